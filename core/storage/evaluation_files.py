"""What the tables of one evaluation are called in its folder."""

PREDICTIONS_FILE = "predictions.parquet"
SCORES_FILE = "scores.parquet"
CANDIDATES_FILE = "candidates.parquet"
