"""Curves over attempts end at the metric itself, and the strip adds up to the scores."""

from itertools import combinations
from pathlib import Path
from statistics import fmean

import numpy as np
import pyarrow.parquet as pq
import pytest

from core.bench import plain_metrics
from core.errors import UserError
from core.reports import figures
from core.results.curves import budgets_up_to, pass_curves, solved, vote_curves
from core.results.loading import load_scores
from core.results.reading import Reading
from core.results.table_records import records_of
from core.storage.seals import seal_path
from core.synthetic.experiments import make_experiment, make_tasks
from tests.results.test_run_values import NAME


@pytest.mark.parametrize("how", ["by_task", "by_output", "all_outputs"])
def test_curves_pass_through_the_metrics(project: Path, how: str) -> None:
    scores = load_scores(project, NAME)
    for records, name, ks in (
        (pass_curves(scores, how), "pass_{}", (1, 4, 8)),
        (vote_curves(project, scores, 2, how), "expected_vote_2", (8,)),
    ):
        assert len(records) == 3 * len(budgets_up_to(8)) == 24
        for k in ks:
            table = {r["variant"]: r for r in records_of(scores, Reading((name.format(k),), how))}
            curve = {r["variant"]: r for r in records if r["k"] == k}
            for variant, record in table.items():
                for part in ("mean", "std", "n"):
                    assert curve[variant][part] == pytest.approx(record[part], abs=1e-9)


def test_a_vote_curve_is_the_mean_over_all_draws(tmp_path: Path) -> None:
    make_experiment(tmp_path, runs=1, evaluations=1, tasks=6, attempts=5, skills={"plain": 1.0})
    scores = load_scores(tmp_path, NAME)
    curve = {record["k"]: record["mean"] for record in vote_curves(tmp_path, scores, 1)}
    path = tmp_path / "runs" / NAME / "plain" / "train-0" / "eval-0" / "predictions.parquet"
    attempts = plain_metrics.attempts_of(path)
    for budget in (1, 3, 5):
        by_task = []
        for task in make_tasks(6):
            outputs = []
            for index, pair in enumerate(task.test):
                assert pair.output is not None
                truth = (pair.output.tobytes(), *pair.output.shape)
                drawn = combinations(attempts[task.task_id, index], budget)
                outputs.append(fmean(first_place(truth, map(answer_of, chosen)) for chosen in drawn))
            by_task.append(fmean(outputs))
        assert curve[budget] == pytest.approx(fmean(by_task), abs=1e-9)
    assert 0.1 < curve[5] < 1


def answer_of(record: dict) -> tuple | None:
    cells = record["output_cells"]
    return None if cells is None else (cells, record["output_h"], record["output_w"])


def first_place(truth: tuple, answers: map) -> float:
    """The chance that the truth wins the vote when ties are drawn."""
    given = [answer for answer in answers if answer is not None]
    most = max((given.count(answer) for answer in given), default=0)
    winners = {answer for answer in given if given.count(answer) == most}
    return 1 / len(winners) if truth in winners else 0.0


def test_scores_without_votes_are_a_sentence(tmp_path: Path) -> None:
    make_experiment(tmp_path, runs=2, evaluations=1, tasks=3, skills={"plain": 0})
    paths = sorted((tmp_path / "runs").rglob("scores.parquet"))
    assert len(paths) == 2
    for path in paths:  # one file of two, then both
        table = pq.read_table(path, partitioning=None)
        pq.write_table(table.drop_columns(["votes"]), path)
        seal_path(path).unlink()
        scores = load_scores(tmp_path, NAME)
        with pytest.raises(UserError, match="before votes were kept"):
            vote_curves(tmp_path, scores, 1)
        assert len(records_of(scores, Reading(("vote_1",)))) == 1


def test_the_strip_adds_up(project: Path) -> None:
    scores = load_scores(project, NAME)
    strip = solved(scores)
    assert strip.runs[0] == ("plain", 0) and len(strip.runs) == 9
    assert strip.right.sum() == scores.columns["correct"].sum()
    assert strip.attempts.sum() == scores.columns["attempts"].sum()
    assert sum(strip.kinds) == len(scores.tasks) == 40
    shares = strip.right.sum(axis=0) / strip.attempts.sum(axis=0)
    assert np.all(np.diff(shares) <= 1e-12)
    place = strip.tasks.index(scores.tasks[3])
    outputs = scores.task_index == 3
    first_run = scores.runs["plain"][0]
    assert strip.right[0, place] == scores.columns["correct"][first_run][:, outputs].sum()


def test_a_curve_that_agrees_with_the_baseline_does_not_hide_it() -> None:
    own = [{"k": k, "mean": k / 10, "std": None, "n": 1} for k in (1, 2, 4)]
    variants = ["other", "base", "third"]
    records = [{"variant": variant, **one} for variant in variants for one in own]
    drawn = figures.curve_chart(records, variants, "base", "pass_k, %").data
    assert [line.name for line in drawn] == ["base", "other", "third"], "the first lies lowest"
    assert drawn[0].line.width > drawn[1].line.width == drawn[2].line.width


def test_marks_in_a_legend_take_no_room_from_the_curves() -> None:
    variants = [f"variant-{number}" for number in range(6)]
    records = [{"variant": one, "k": k, "mean": 0.2, "std": 0.1, "n": 3} for one in variants for k in (1, 2)]
    plain, marked = (
        figures.curve_chart(records, variants, variants[0], "pass_k, %", seen) for seen in ((), variants)
    )
    assert plain.layout.showlegend and marked.layout.showlegend
    assert marked.layout.height - plain.layout.height == 6 * figures.LEGEND_LINE


def test_budgets() -> None:
    assert budgets_up_to(0) == []
    assert budgets_up_to(3) == [1, 2, 3]
    assert budgets_up_to(64) == [1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64]
    assert budgets_up_to(100)[-2:] == [64, 100]
