"""Rows of runs carry the numbers of the results, and variants sum up their own runs."""

from pathlib import Path

import pytest

from core.experiments.listing import run_records
from core.monitoring.run_times import Clock
from core.results.loading import load_scores
from core.results.run_rows import run_rows, run_scores, variant_rows
from core.synthetic.experiments import make_experiment
from tests.result_table import result_records


def test_rows_carry_scores_and_variants_sum_them_up(tmp_path: Path) -> None:
    make_experiment(tmp_path, "trial", {"plain": 0, "longer": 2}, runs=3, evaluations=1, tasks=10)
    scores = run_scores(load_scores(tmp_path, "trial"))
    clock = Clock()
    report = {"stage": "train", "total": 2}
    clock.note({**report, "time": 10.0, "step": 1, "tokens": 300, "tokens_per_second": 100.0})
    clock.note({**report, "time": 25.0, "step": 2, "tokens": 300, "tokens_per_second": 300.0})
    rows = run_rows(tmp_path, run_records(tmp_path, "trial"), {("plain", 0): clock}, scores)
    assert len(rows) == 6 and all(row["score"] is not None and row["share"] == 1.0 for row in rows)
    plain = next(row for row in rows if (row["variant"], row["train_seed"]) == ("plain", 0))
    assert (plain["seconds"], plain["started"], plain["tries"]) == (15.0, 10.0, 1)
    assert (plain["step"], plain["total"]) == (2, 2)
    assert plain["tokens_per_second"] == 600 / (3 + 1)  # not the mean of the two speeds
    (mean,) = {
        record["mean"]
        for record in result_records(tmp_path, "trial", ["accuracy"])
        if record["variant"] == "longer"
    }
    longer = next(row for row in variant_rows(rows, scores) if row["variant"] == "longer")
    assert (longer["runs"], longer["done"], longer["state"]) == (3, 3, "done")
    assert longer["score"] == pytest.approx(mean) and " ± " in longer["score_text"]
    shown = [row["score_text"] for row in (*rows, *variant_rows(rows, scores))]
    assert len({len(text.split(" ")[0].partition(".")[2]) for text in shown}) == 1, shown
