"""The SQL behind a chart gives the chart's own numbers, also where evaluations lack outputs or attempts."""

from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from core.exchange.import_scores import import_results
from core.monitoring.loss_curve import Curve
from core.results.curves import curve_records, solved
from core.results.differences import task_differences
from core.results.loading import Scores, load_scores
from core.results.run_values import offered_metrics, run_records
from core.runs.layout import Run
from core.scoring.metrics import AGGREGATIONS
from core.scoring.score_bounds import COUNTS
from core.sql.ask import ask, records
from core.sql.chart_queries import (
    curve_query,
    differences_query,
    losses_query,
    runs_query,
    solved_query,
)
from core.storage.files import append_record
from core.storage.seals import seal_path
from core.synthetic.experiments import make_experiment

NAME = "it-s-a-question"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two variants, one evaluation without its last outputs and one with an output of fewer attempts."""
    root = tmp_path_factory.mktemp("project")
    make_experiment(root, NAME, {"plain": 0.0, "longer": 1.0}, runs=2, tasks=12, attempts=6)
    make_experiment(root, "another", {"plain": 3.0}, runs=1, evaluations=1, tasks=12, attempts=6)
    paths = [Run(root, NAME, "longer", seed).eval_folder(1) / "scores.parquet" for seed in (0, 1)]
    table = pq.read_table(paths[0], partitioning=None)
    pq.write_table(table.slice(0, table.num_rows - 3), paths[0])
    seal_path(paths[0]).unlink()
    table = pq.read_table(paths[1], partitioning=None)
    place = table.schema.get_field_index("attempts")
    fewer = pc.if_else(pc.equal(table["task_id"], table["task_id"][0]), 4, table["attempts"])
    whole = table.set_column(place, "attempts", fewer.cast("int32"))
    for name in (*COUNTS, "pixels_sum"):
        most = pc.min_element_wise(whole[name], whole["attempts"].cast(whole[name].type))
        whole = whole.set_column(whole.schema.get_field_index(name), name, most)
    pq.write_table(whole, paths[1])
    seal_path(paths[1]).unlink()
    return root


@pytest.fixture(scope="module")
def scores(root: Path) -> Scores:
    found = load_scores(root, NAME)
    assert found.missing == 3
    return found


def rows(root: Path, sql: str) -> list[dict]:
    return records(ask(root, sql))


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_runs(root: Path, scores: Scores, aggregation: str) -> None:
    compared = 0
    for metric in offered_metrics(scores):
        wanted = {
            (record["variant"], record["train_seed"]): record["value"]
            for record in run_records(scores, metric, aggregation)
            if record["value"] is not None
        }
        found = {
            (row["variant"], row["train_seed"]): row[metric] / 100
            for row in rows(root, runs_query(scores, metric, aggregation))
        }
        assert found == pytest.approx(wanted, abs=1e-9), metric
        compared += len(found)
    assert compared >= 50


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_curves(root: Path, scores: Scores, aggregation: str) -> None:
    found = rows(root, curve_query(scores, "pass_k", aggregation))
    wanted = curve_records(root, scores, "pass_k", aggregation)
    key = {(record["variant"], record["k"]): record for record in wanted}
    assert len(found) == len(wanted) >= 12
    for row in found:
        record = key[row["variant"], row["k"]]
        assert row["n"] == record["n"]
        assert row["pass_k"] / 100 == pytest.approx(record["mean"], abs=1e-9)
        assert (row["std"] is None) == (record["std"] is None)
        assert (row["std"] or 0) / 100 == pytest.approx(record["std"] or 0, abs=1e-9)


def test_the_right_end_of_a_vote_curve(root: Path) -> None:
    scores = load_scores(root, "another")
    (row,) = rows(root, curve_query(scores, "vote_2"))
    last = curve_records(root, scores, "vote_2")[-1]
    assert row["recipe_mean"] / 100 == pytest.approx(last["mean"])


def test_tasks_by_run(root: Path, scores: Scores) -> None:
    strip = solved(scores)
    wanted = {
        (*run, *task): (int(strip.right[line, column]), int(strip.attempts[line, column]))
        for line, run in enumerate(strip.runs)
        for column, task in enumerate(strip.tasks)
    }
    found = {
        (row["variant"], row["train_seed"], row["source"], row["task_id"]): (row["right"], row["attempts"])
        for row in rows(root, solved_query(scores))
    }
    assert found == wanted and len(found) == 4 * 12


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("metric", ["accuracy", "vote_2", "pass_6"])
def test_differences(root: Path, scores: Scores, metric: str, aggregation: str) -> None:
    wanted = {one.task_id: one for one in task_differences(scores, "plain", "longer", metric, aggregation)}
    found = rows(root, differences_query(scores, "plain", "longer", metric, aggregation))
    assert len(found) == len(wanted) == 12
    for row in found:
        one = wanted[row["task_id"]]
        expected = (100 * one.a, 100 * one.b, 100 * one.difference)
        assert (row["a"], row["b"], row["difference"]) == pytest.approx(expected, abs=1e-9)


def test_imported_results(root: Path, tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text(
        "variant,train_seed,eval_seed,right size\nA,0,0,25\nA,0,1,30\nA,1,0,35\n"
    )
    import_results(tmp_path, tmp_path / "old.csv", "old", percent=True)
    found = rows(tmp_path, runs_query(load_scores(tmp_path, "old"), "right size"))
    assert [row["train_seed"] for row in found] == [0, 1]
    assert [row["right size"] for row in found] == pytest.approx([27.5, 35.0])


def test_an_imported_loss_is_no_percentage(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("variant,train_seed,eval_seed,valLoss\nA,0,0,2.5\nA,1,0,2.1\n")
    import_results(tmp_path, tmp_path / "old.csv", "old")
    sql = runs_query(load_scores(tmp_path, "old"), "valLoss")
    assert sql.startswith("-- valLoss of every training")
    assert [row["valLoss"] for row in rows(tmp_path, sql)] == pytest.approx([2.5, 2.1])


def test_losses(root: Path) -> None:
    run = Run(root, NAME, "plain", 0)
    for step, loss in ((1, 2.0), (2, 1.5)):
        append_record(run.folder / "progress.jsonl", {"stage": "train", "step": step, "loss": loss})
    curve = Curve(run.folder / "progress.jsonl")
    curve.read()
    steps, losses = curve.points()
    found = rows(root, losses_query(NAME))
    assert [(row["step"], row["loss"]) for row in found] == list(zip(steps, losses, strict=True))
    assert len(found) == 2
