"""What `results`, `compare` and `spread` say, once more from the predictions, by other formulas.

An experiment drawn at random; every value per output comes from `by_hand`, in plain Python. Means, stds,
intervals, tests and components are then written out here, with scipy's distributions and nothing of the
project's statistics.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from core.__main__ import app
from core.bench import by_hand
from core.bench.synthetic import make_experiment, make_tasks

NAME = "drawn-at-random"
A, B = "first", "second"
RUNS, EVALUATIONS, TASKS = 4, 3, 15
METRICS = ("accuracy", "correct_pixels", "vote_2", "pass_3")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recomputed")
    sizes = {"runs": RUNS, "evaluations": EVALUATIONS, "tasks": TASKS, "attempts": 6}
    make_experiment(folder, NAME, {A: 0.2, B: 0.9}, seed=7, **sizes)
    return folder


@pytest.fixture(scope="module")
def cells(root: Path) -> dict[tuple[str, str], np.ndarray]:
    """For each metric and variant the values by task, shape (runs, evaluations, tasks), from predictions."""
    tasks = make_tasks(TASKS)
    found = {}
    for metric in METRICS:
        for variant in (A, B):
            table = [
                [
                    [np.mean(values) for values in by_hand.output_values(tasks, path, metric).values()]
                    for path in sorted(run.glob("eval-*/predictions.parquet"))
                ]
                for run in sorted((root / "runs" / NAME / variant).glob("train-*"))
            ]
            found[metric, variant] = np.array(table)
            assert found[metric, variant].shape == (RUNS, EVALUATIONS, TASKS)
    return found


def said(root: Path, *command: str) -> list[dict[str, Any]]:
    options = [part for metric in METRICS for part in ("--metric", metric)]
    answer = CliRunner().invoke(app, [*command, *options, "--json", "--root", str(root)])
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


def variance_of_mean(cells: np.ndarray, scope: str) -> tuple[float, float]:
    """The variance of a variant's mean and its degrees of freedom, each scope in its own way."""
    runs, evaluations, tasks = cells.shape
    if scope == "recipe":  # runs are the sample
        return cells.mean(axis=(1, 2)).var(ddof=1) / runs, runs - 1
    if scope == "checkpoint":  # evaluations within runs
        within = cells.mean(axis=2).var(axis=1, ddof=1).mean()
        return within / (runs * evaluations), runs * (evaluations - 1)
    table = cells.mean(axis=1)  # runs × tasks, both random
    by_run, by_task, rest = mean_squares(table)
    parts = [(by_task, tasks - 1), (by_run, runs - 1)]
    above = [(square, freedom) for square, freedom in parts if square > rest]
    sign = {0: 1.0, 1: 0.0, 2: -1.0}[len(above)]
    above.append((sign * rest, (runs - 1) * (tasks - 1)))
    terms = [(square / (runs * tasks), freedom) for square, freedom in above if square]
    total = sum(term for term, _ in terms)
    return total, total**2 / sum(term**2 / freedom for term, freedom in terms)


def mean_squares(table: np.ndarray) -> tuple[float, float, float]:
    """Of rows, of columns, and of what is left, by fitting means (numpy's least squares)."""
    rows, columns = table.shape
    row, column = np.indices(table.shape)
    one = np.ones(table.size)
    dummies = [(row.ravel() == place) * 1.0 for place in range(1, rows)]
    others = [(column.ravel() == place) * 1.0 for place in range(1, columns)]

    def left(*parts: Any) -> float:
        design = np.column_stack([one, *[part for group in parts for part in group]])
        fitted = design @ np.linalg.lstsq(design, table.ravel(), rcond=None)[0]
        return float(((table.ravel() - fitted) ** 2).sum())

    full = left(dummies, others)
    return (
        (left(others) - full) / (rows - 1),
        (left(dummies) - full) / (columns - 1),
        full / ((rows - 1) * (columns - 1)),
    )


@pytest.mark.parametrize("scope", ["checkpoint", "recipe", "new_tasks"])
def test_results(root: Path, cells: dict, scope: str) -> None:
    records = said(root, "results", NAME, "--scope", scope)
    assert len(records) == 2 * len(METRICS)
    for record in records:
        table = cells[record["metric"], record["variant"]]
        variance, freedom = variance_of_mean(table, scope)
        half = stats.t.ppf(0.975, freedom) * variance**0.5
        mean = table.mean()
        assert record["mean"] == pytest.approx(mean, abs=1e-12)
        assert [record["low"], record["high"]] == pytest.approx([mean - half, mean + half], abs=1e-9)
        assert record["n"] == (RUNS * EVALUATIONS if scope == "checkpoint" else RUNS)
        if scope == "recipe":
            assert record["std"] == pytest.approx(table.mean(axis=(1, 2)).std(ddof=1), abs=1e-12)
        if scope == "new_tasks":  # one more training, on as many new tasks
            by_run, by_task, rest = mean_squares(table.mean(axis=1))
            training, task = max(0, by_run - rest) / TASKS, max(0, by_task - rest) / RUNS
            assert record["std"] == pytest.approx((training + (task + rest) / TASKS) ** 0.5, abs=1e-9)
        if scope == "checkpoint":
            within = table.mean(axis=2).var(axis=1, ddof=1).mean()
            assert record["std"] == pytest.approx(within**0.5, abs=1e-12)


@pytest.mark.parametrize("scope", ["checkpoint", "recipe"])
def test_compare(root: Path, cells: dict, scope: str) -> None:
    records = said(root, "compare", NAME, A, B, "--scope", scope)
    assert len(records) == len(METRICS)
    for record in records:
        a, b = cells[record["metric"], A], cells[record["metric"], B]
        difference = b.mean() - a.mean()
        if scope == "recipe":  # Welch by scipy
            welch = stats.ttest_ind(b.mean(axis=(1, 2)), a.mean(axis=(1, 2)), equal_var=False)
            p, (low, high) = welch.pvalue, welch.confidence_interval(0.95)
        else:
            (va, fa), (vb, fb) = variance_of_mean(a, scope), variance_of_mean(b, scope)
            freedom = (va + vb) ** 2 / (va**2 / fa + vb**2 / fb)
            error = (va + vb) ** 0.5
            p = 2 * stats.t.sf(abs(difference) / error, freedom)
            half = stats.t.ppf(0.975, freedom) * error
            low, high = difference - half, difference + half
        assert record["difference"] == pytest.approx(difference, abs=1e-12)
        assert record["p"] == pytest.approx(p, rel=1e-6)
        assert [record["low"], record["high"]] == pytest.approx([low, high], abs=1e-9)
        assert record["verdict"] == ("better" if low > 0 else "worse" if high < 0 else "cannot tell")


def test_spread(root: Path, cells: dict) -> None:
    found = {(r["metric"], r["variant"], r["component"]): r["variance"] for r in said(root, "spread", NAME)}
    compared = 0
    for (metric, variant), table in cells.items():
        means = table.mean(axis=2)
        within = means.var(axis=1, ddof=1).mean()
        between = means.mean(axis=1).var(ddof=1) - within / EVALUATIONS
        assert found[metric, variant, "evaluation of run means"] == pytest.approx(within, abs=1e-12)
        assert found[metric, variant, "training of run means"] == pytest.approx(between, abs=1e-12)
        squares = nested_squares(table)
        expected = {
            "residual": squares["rest"],
            "evaluation": (squares["evaluation"] - squares["rest"]) / TASKS,
            "task×training": (squares["interplay"] - squares["rest"]) / EVALUATIONS,
            "task": (squares["task"] - squares["interplay"]) / (RUNS * EVALUATIONS),
            "training": (squares["training"] - squares["interplay"] - squares["evaluation"] + squares["rest"])
            / (TASKS * EVALUATIONS),
        }
        for component, variance in expected.items():
            assert found[metric, variant, component] == pytest.approx(variance, abs=1e-12), component
            compared += 1
    assert compared == 5 * 2 * len(METRICS)


def nested_squares(table: np.ndarray) -> dict[str, float]:
    """Mean squares of tasks crossed with trainings, evaluations within trainings."""
    grand = table.mean()
    run, task = table.mean(axis=(1, 2)), table.mean(axis=(0, 1))
    evaluation, cell = table.mean(axis=2), table.mean(axis=1)
    interplay = cell - run[:, None] - task[None, :] + grand
    rest = table - evaluation[:, :, None] - cell[:, None, :] + run[:, None, None]
    return {
        "task": RUNS * EVALUATIONS * ((task - grand) ** 2).sum() / (TASKS - 1),
        "training": TASKS * EVALUATIONS * ((run - grand) ** 2).sum() / (RUNS - 1),
        "interplay": EVALUATIONS * (interplay**2).sum() / ((RUNS - 1) * (TASKS - 1)),
        "evaluation": TASKS * ((evaluation - run[:, None]) ** 2).sum() / (RUNS * (EVALUATIONS - 1)),
        "rest": (rest**2).sum() / (RUNS * (EVALUATIONS - 1) * (TASKS - 1)),
    }


def test_scores_are_the_counts_of_plain_python(root: Path) -> None:
    import pyarrow.parquet as pq

    paths = sorted((root / "runs" / NAME).rglob("predictions.parquet"))
    assert len(paths) == 2 * RUNS * EVALUATIONS
    for path in paths[::5]:
        rows = pq.read_table(path.with_name("scores.parquet"), partitioning=None).to_pylist()
        counted = by_hand.counted_outputs(make_tasks(TASKS), path)
        assert len(rows) == len(counted) == 18
        for row in rows:
            for name, value in counted[row["task_id"], row["test_index"]].items():
                assert row[name] == pytest.approx(value, abs=1e-9), name


def test_plain_python_writes_the_file_that_it_is_timed_against(root: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = min((root / "runs" / NAME).rglob("predictions.parquet"))
    theirs = pq.read_table(path.with_name("scores.parquet"), partitioning=None)
    key = {name: theirs.column(name)[0].as_py() for name in theirs.column_names[:4]}
    by_hand.write_counted(make_tasks(TASKS), path, tmp_path / "scores.parquet", key)
    ours = pq.read_table(tmp_path / "scores.parquet", partitioning=None)
    assert ours.schema.equals(theirs.schema) and ours.num_rows == theirs.num_rows == 18
    for name in ours.column_names:
        rows = zip(ours.column(name).to_pylist(), theirs.column(name).to_pylist(), strict=True)
        assert all(one == pytest.approx(two, abs=1e-9) for one, two in rows), name
