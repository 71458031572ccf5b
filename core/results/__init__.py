"""Scores of many evaluations become tables, comparisons and verdicts."""
