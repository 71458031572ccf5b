"""What `results`, `compare` and `spread` say, once more from the predictions, by other formulas.

An experiment drawn at random; every value per output comes from `plain_metrics`, in plain Python. Means,
stds, intervals, tests and components are then written out here, with scipy's distributions and nothing of the
project's statistics.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from core.bench import plain_metrics
from core.synthetic.experiments import make_experiment, make_tasks
from tests.printed import printed

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
                    [np.mean(values) for values in plain_metrics.output_values(tasks, path, metric).values()]
                    for path in sorted(run.glob("eval-*/predictions.parquet"))
                ]
                for run in sorted((root / "runs" / NAME / variant).glob("train-*"))
            ]
            found[metric, variant] = np.array(table)
            assert found[metric, variant].shape == (RUNS, EVALUATIONS, TASKS)
    return found


def said(root: Path, *command: str) -> list[dict[str, Any]]:
    options = [part for metric in METRICS for part in ("--metric", metric)]
    return json.loads(printed(root, *command, *options, "--json"))


def variance_of_mean(cells: np.ndarray, scope: str) -> tuple[float, float]:
    """The variance of a variant's mean and its degrees of freedom, each scope in its own way."""
    runs, evaluations, tasks = cells.shape
    if scope == "recipe":  # runs are the sample
        return cells.mean(axis=(1, 2)).var(ddof=1) / runs, runs - 1
    if scope == "checkpoint":  # evaluation seeds, shared by all runs, are the sample
        return cells.mean(axis=(0, 2)).var(ddof=1) / evaluations, evaluations - 1
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
        if scope != "checkpoint":  # evaluation seeds are random too, each part with its own quantile
            by_seed = table.mean(axis=(0, 2)).var(ddof=1) / EVALUATIONS
            half = (half**2 + (stats.t.ppf(0.975, EVALUATIONS - 1)) ** 2 * by_seed) ** 0.5
        ends = [max(0, mean - half), min(1, mean + half)]
        skewed = scope != "new_tasks" and record["std"] > 0.1 * min(mean, 1 - mean)
        if skewed:  # near an end of the scale it reaches farther
            assert record["low"] <= ends[0] + 1e-9 and record["high"] >= ends[1] - 1e-9
        else:
            assert [record["low"], record["high"]] == pytest.approx(ends, abs=1e-9)
        assert record["n"] == (EVALUATIONS if scope == "checkpoint" else RUNS)
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
        if scope == "recipe":  # two variants: Student's test, but a variant's own variance where it is larger
            own = [part.mean(axis=(1, 2)).var(ddof=1) for part in (a, b)]
            error = (sum(max(one, np.mean(own)) for one in own) / RUNS) ** 0.5
            freedom = 2 * (RUNS - 1)
        else:  # evaluation seeds are paired
            by_seed = (b - a).mean(axis=(0, 2))
            error, freedom = stats.sem(by_seed), EVALUATIONS - 1
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
        run, seed, task = table.mean(axis=(1, 2)), table.mean(axis=(0, 2)), table.mean(axis=(0, 1))
        means, grand = table.mean(axis=2), table.mean()
        rest = means - run[:, None] - seed[None, :] + grand
        mixed = (rest**2).sum() / ((RUNS - 1) * (EVALUATIONS - 1))
        of_means = {
            "training×evaluation": mixed,
            "training": run.var(ddof=1) - mixed / EVALUATIONS,
            "evaluation": seed.var(ddof=1) - mixed / RUNS,
        }
        by_run, by_seed = table.mean(axis=1), table.mean(axis=0)
        interplay = by_run - run[:, None] - task[None, :] + grand
        with_seed = by_seed - seed[:, None] - task[None, :] + grand
        left = table - means[:, :, None] - by_run[:, None, :] - by_seed[None, :, :]
        left += run[:, None, None] + seed[None, :, None] + task[None, None, :] - grand
        residual = (left**2).sum() / ((RUNS - 1) * (EVALUATIONS - 1) * (TASKS - 1))
        task_training = (interplay**2).sum() / ((RUNS - 1) * (TASKS - 1)) - residual / EVALUATIONS
        task_seed = (with_seed**2).sum() / ((EVALUATIONS - 1) * (TASKS - 1)) - residual / RUNS
        expected = {
            **{f"{name} of run means": variance for name, variance in of_means.items()},
            "residual": residual,
            "task×training": task_training,
            "task×evaluation": task_seed,
            "training×evaluation": mixed - residual / TASKS,
            "training": of_means["training"] - task_training / TASKS,
            "evaluation": of_means["evaluation"] - task_seed / TASKS,
        }
        for component, variance in expected.items():
            assert found[metric, variant, component] == pytest.approx(variance, abs=1e-12), component
            compared += 1
    assert compared == 9 * 2 * len(METRICS)


def test_scores_are_the_counts_of_plain_python(root: Path) -> None:
    import pyarrow.parquet as pq

    paths = sorted((root / "runs" / NAME).rglob("predictions.parquet"))
    assert len(paths) == 2 * RUNS * EVALUATIONS
    for path in paths[::5]:
        rows = pq.read_table(path.with_name("scores.parquet"), partitioning=None).to_pylist()
        counted = plain_metrics.counted_outputs(make_tasks(TASKS), path)
        assert len(rows) == len(counted) == 18
        for row in rows:
            for name, value in counted[row["task_id"], row["test_index"]].items():
                assert row[name] == pytest.approx(value, abs=1e-9), name


def test_plain_python_writes_the_file_that_it_is_timed_against(root: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = min((root / "runs" / NAME).rglob("predictions.parquet"))
    theirs = pq.read_table(path.with_name("scores.parquet"), partitioning=None)
    key = {name: theirs.column(name)[0].as_py() for name in theirs.column_names[:4]}
    plain_metrics.write_counted(make_tasks(TASKS), path, tmp_path / "scores.parquet", key)
    ours = pq.read_table(tmp_path / "scores.parquet", partitioning=None)
    assert ours.schema.equals(theirs.schema) and ours.num_rows == theirs.num_rows == 18
    for name in ours.column_names:
        rows = zip(ours.column(name).to_pylist(), theirs.column(name).to_pylist(), strict=True)
        assert all(one == pytest.approx(two, abs=1e-9) for one, two in rows), name
