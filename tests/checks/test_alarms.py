"""Alarms of many evaluations: what is read of them, and when."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from core.checks.alarms import answers_of, check_records
from core.storage.schemas import PREDICTIONS, write_table
from core.synthetic.experiments import make_experiment

NAME = "my-question"


def test_views_are_compared_where_two_evaluations_answered_alike(tmp_path: Path) -> None:
    make_experiment(tmp_path, skills={"plain": 0.0}, runs=1, evaluations=3, tasks=6, attempts=4)
    files = sorted((tmp_path / "runs" / NAME).rglob("predictions.parquet"))
    assert [one.views for one in answers_of(files).values()] == [None] * 3
    table = pq.read_table(files[0], partitioning=None)
    place = table.column_names.index("symmetry")
    turned = pa.array([(one + 1) % 8 for one in table.column("symmetry").to_pylist()], pa.uint8())
    write_table(files[1], table.set_column(place, "symmetry", turned), PREDICTIONS)
    first, second, third = answers_of(files).values()
    assert first.texts == second.texts != third.texts
    assert None not in (first.views, second.views) and first.views != second.views and third.views is None
    alike = [one for one in check_records(tmp_path, NAME) if one["alarm"] == "identical_predictions"]
    assert [one["eval_seed"] for one in alike] == [0, 1]
    assert all(one["detail"].endswith(", though the views differ") for one in alike)
