"""Scores against plain Python that says what the definitions say."""

import time
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.arc.tasks import Task, parse_task
from core.errors import UserError
from core.scoring.scores import Scoring, score, score_each, truths_of
from core.storage.schemas import PREDICTIONS, SCORES, write_table
from tests.patience import slowness
from tests.training.tiny import copy_task

Grid = tuple[tuple[int, ...], ...]
Row = dict[str, Any]


def prediction(
    task_id: str, attempt: int, grid: Grid | None, logprob: float | None = None, **more: Any
) -> Row:
    """A row of predictions; every answer has 4 tokens."""
    cells = None if grid is None else bytes(cell for row in grid for cell in row)
    return {
        **dict.fromkeys(PREDICTIONS.names),
        "source": "toy",
        "task_id": task_id,
        "test_index": 0,
        "attempt": attempt,
        "output_tokens": 4,
        "logprob": logprob,
        "output_cells": cells,
        "output_h": None if grid is None else len(grid),
        "output_w": None if grid is None else len(grid[0]),
        **more,
    }


def task_of(task_id: str, *outputs: Grid) -> Task:
    """A task with these test outputs."""
    pair = {"input": [[1]], "output": [[2]]}
    tests = [{"input": [[1]], "output": [list(row) for row in output]} for output in outputs]
    return parse_task({"train": [pair], "test": tests}, task_id=task_id, source="toy")


def scored(tasks: Sequence[Task], predictions: list[Row], folder: Path) -> list[Row]:
    write_table(
        folder / "predictions.parquet", pa.Table.from_pylist(predictions, schema=PREDICTIONS), PREDICTIONS
    )
    names: dict[str, Any] = {"experiment": "trial", "variant": "plain", "train_seed": 3, "eval_seed": 4}
    path = score(Scoring(folder, **names), truths_of(tasks))
    table = pq.read_table(path)
    assert table.schema.equals(SCORES)
    rows: list[Row] = table.to_pylist()
    for row in rows:
        assert {name: row.pop(name) for name in names} == names
    return rows


def by_definition(truth: Grid, attempts: list[Row]) -> Row:
    """The scores of one output, attempt by attempt and cell by cell, in exact fractions."""
    grids: list[Grid | None] = []
    for row in attempts:
        cells, width = row["output_cells"], row["output_w"]
        grid = (
            None
            if cells is None
            else tuple(tuple(cells[start : start + width]) for start in range(0, len(cells), width))
        )
        grids.append(grid)
    shares = []
    for grid in grids:
        if grid is None or len(grid) != len(truth) or len(grid[0]) != len(truth[0]):
            shares.append(Fraction(0))
        else:
            pairs = [
                (a, b)
                for one, other in zip(grid, truth, strict=True)
                for a, b in zip(one, other, strict=True)
            ]
            shares.append(Fraction(sum(a == b for a, b in pairs), len(pairs)))
    votes = Counter(grid for grid in grids if grid is not None)
    order = sorted(votes, key=lambda grid: (-votes[grid], *_tie_breaks(grid, grids, attempts)))
    return {
        "attempts": len(attempts),
        "correct": sum(grid == truth for grid in grids),
        "right_size": sum(
            grid is not None and (len(grid), len(grid[0])) == (len(truth), len(truth[0])) for grid in grids
        ),
        "pixels_sum": float(sum(shares)),
        "pixels_max": float(max(shares, default=0)),
        "unanswered": sum(grid is None for grid in grids),
        "distinct": len(votes),
        "votes_above": sum(count > votes[truth] for count in votes.values()),
        "votes_tied": sum(count == votes[truth] for count in votes.values()) if truth in votes else 0,
        "vote_rank": order.index(truth) + 1 if truth in votes else 0,
    }


def _tie_breaks(grid: Grid, grids: list[Grid | None], attempts: list[Row]) -> tuple[Fraction, int]:
    """The likelier answer first (mean logprob per token; unknown comes last), then the first given."""
    members = [row for one, row in zip(grids, attempts, strict=True) if one == grid]
    known = [Fraction(row["logprob"]) / row["output_tokens"] for row in members if row["logprob"] is not None]
    likelihood = sum(known, Fraction(0)) / len(known) if known else Fraction(-(10**9))
    return -likelihood, min(row["attempt"] for row in members)


SMALL_GRIDS: list[Grid] = [
    ((1,),),
    ((2,),),
    ((1, 2),),
    ((1,), (2,)),
    ((2, 1),),
    ((1, 2), (2, 1)),
    ((0, 0), (0, 0)),
]
ANSWERS = st.lists(
    st.tuples(st.sampled_from([None, *SMALL_GRIDS]), st.sampled_from([None, -1.0, -1.5, -2.0])), max_size=9
)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(SMALL_GRIDS), ANSWERS), min_size=1, max_size=4), st.randoms())
def test_scores_are_those_of_the_definitions(
    tmp_path_factory: pytest.TempPathFactory, outputs: list[tuple[Grid, Any]], random: Any
) -> None:
    """Empty, wrong-size, duplicate and missing answers, with and without logprobs, in any order of rows."""
    tasks = [task_of(f"task-{number}", truth) for number, (truth, _) in enumerate(outputs)]
    predictions = [
        prediction(f"task-{number}", attempt, grid, logprob)
        for number, (_, answers) in enumerate(outputs)
        for attempt, (grid, logprob) in enumerate(answers)
    ]
    shuffled = random.sample(predictions, len(predictions))
    rows = scored(tasks, shuffled, tmp_path_factory.mktemp("scores"))
    assert [row["task_id"] for row in rows] == [task.task_id for task in tasks]
    for (truth, _), task, row in zip(outputs, tasks, rows, strict=True):
        wanted = by_definition(truth, [one for one in predictions if one["task_id"] == task.task_id])
        assert {name: row[name] for name in wanted} == pytest.approx(wanted, abs=1e-12)


def test_larger_random_predictions_agree_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tasks = [copy_task(number, tests=2) for number in range(30)]
    predictions, members = [], {}
    for task in tasks:
        for index, pair in enumerate(task.test):
            truth = tuple(map(tuple, pair.input.tolist()))
            answers = []
            for attempt in range(16):
                spoilt = pair.input.copy()
                spoilt[0, 0] = (spoilt[0, 0] + rng.integers(1, 4)) % 10
                grid = [None, truth, tuple(map(tuple, spoilt.tolist())), truth[:1]][
                    rng.choice(4, p=[0.1, 0.2, 0.6, 0.1])
                ]
                logprob = -float(rng.integers(1, 5))
                answers.append(prediction(task.task_id, attempt, grid, logprob, test_index=index))
            members[task.task_id, index] = (truth, answers)
            predictions += answers
    rows = scored(tasks, predictions, tmp_path)
    assert len(rows) == 60
    ranks = set()
    for row in rows:
        wanted = by_definition(*members[row["task_id"], row["test_index"]])
        assert {name: row[name] for name in wanted} == pytest.approx(wanted, abs=1e-12)
        ranks.add(row["vote_rank"])
    assert len(ranks) >= 3


def test_tasks_without_predictions_get_a_row_and_foreign_predictions_none(tmp_path: Path) -> None:
    tasks = [task_of("a", ((1,),), ((2,),)), task_of("b", ((3,),))]
    rows = scored(tasks, [prediction("a", 0, ((1,),)), prediction("elsewhere", 0, ((1,),))], tmp_path)
    assert [(row["task_id"], row["test_index"], row["attempts"]) for row in rows] == [
        ("a", 0, 1),
        ("a", 1, 0),
        ("b", 0, 0),
    ]
    empty = {**dict.fromkeys(SCORES.names[7:], 0), "votes": []}
    assert [{name: row[name] for name in empty} for row in rows[1:]] == [empty, empty]


def test_no_prediction_at_all_is_no_error(tmp_path: Path) -> None:
    (row,) = scored([task_of("a", ((1,),))], [], tmp_path)
    assert (row["attempts"], row["vote_rank"]) == (0, 0)


def test_without_logprobs_the_first_given_answer_wins_a_tie(tmp_path: Path) -> None:
    answers: list[Grid] = [((5,),), ((1,),), ((1,),), ((5,),)]
    predictions = [prediction("a", number, grid) for number, grid in enumerate(answers)]
    assert scored([task_of("a", ((1,),))], predictions, tmp_path)[0]["vote_rank"] == 2
    assert scored([task_of("a", ((5,),))], predictions, tmp_path)[0]["vote_rank"] == 1


def test_the_likelier_answer_per_token_wins_a_tie(tmp_path: Path) -> None:
    """-3 over 6 tokens is likelier, per token, than -2.5 over 4."""
    predictions = [prediction("a", 0, ((5,),), -2.5), prediction("a", 1, ((1,),), -3.0, output_tokens=6)]
    row = scored([task_of("a", ((1,),))], predictions, tmp_path)[0]
    assert (row["vote_rank"], row["votes_above"], row["votes_tied"]) == (1, 0, 2)
    assert row["votes"] == [1, 1]


def test_a_logprob_that_is_no_number_is_unknown_not_the_best(tmp_path: Path) -> None:
    predictions = [prediction("a", 0, ((5,),), float("nan")), prediction("a", 1, ((1,),), -3.0)]
    assert scored([task_of("a", ((1,),))], predictions, tmp_path)[0]["vote_rank"] == 1


def test_equal_cells_in_another_shape_are_another_answer(tmp_path: Path) -> None:
    predictions = [prediction("a", 0, ((1, 2),)), prediction("a", 1, ((1,), (2,)))]
    row = scored([task_of("a", ((1, 2),))], predictions, tmp_path)[0]
    assert (row["correct"], row["distinct"], row["right_size"], row["pixels_sum"]) == (1, 2, 1, 1.0)


def test_an_unknown_truth_is_one_sentence(tmp_path: Path) -> None:
    record = {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3]]}]}
    hidden = parse_task(record, task_id="a", source="toy")
    with pytest.raises(
        UserError,
        match=r"Test pair 0 of task 'a' \(toy\) has no output to score against. Evaluate on a source",
    ):
        scored([hidden], [], tmp_path)


def test_damaged_predictions_are_named_and_write_nothing(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("good", "bad", "later")]
    for folder in folders:
        write_table(folder / "predictions.parquet", PREDICTIONS.empty_table(), PREDICTIONS)
    (tmp_path / "bad" / "predictions.parquet").write_bytes(b"PAR1 nonsense PAR1")
    evaluations = [Scoring(folder, "e", "v", 0, 0) for folder in folders]
    with pytest.raises(
        UserError, match=r"predictions\.parquet is damaged \(.*\). Delete it and scores\.parquet beside it"
    ):
        list(score_each(evaluations, truths_of([task_of("a", ((1,),))])))
    assert [(folder / "scores.parquet").exists() for folder in folders] == [True, False, False]


def test_scores_that_cannot_be_written_are_no_success(tmp_path: Path) -> None:
    """Also where others come after them, though they are written aside."""
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        write_table(folder / "predictions.parquet", PREDICTIONS.empty_table(), PREDICTIONS)
    (tmp_path / "file").touch()
    evaluations = [
        Scoring(folders[0], "e", "v", 0, 0, target=tmp_path / "file" / "scores.parquet"),
        Scoring(folders[1], "e", "v", 0, 1),
    ]
    with pytest.raises(OSError):
        list(score_each(evaluations, truths_of([task_of("a", ((1,),))])))


def test_rows_come_in_the_order_of_their_keys(tmp_path: Path) -> None:
    tasks = [task_of("b", ((1,),), ((2,),)), task_of("a", ((3,),))]
    rows = scored(tasks, [prediction("b", 0, ((1,),), -1.0), prediction("a", 0, ((3,),), -1.0)], tmp_path)
    keys = [(row["task_id"], row["test_index"], row["correct"]) for row in rows]
    assert keys == [("a", 0, 1), ("b", 0, 1), ("b", 1, 0)]


def test_a_hundred_thousand_predictions_take_less_than_three_seconds(tmp_path: Path) -> None:
    tasks = [copy_task(number) for number in range(400)]
    rows = []
    for task in tasks:
        cells = task.test[0].input.tobytes()
        for attempt in range(250):
            spoilt = cells if attempt % 3 else bytes([attempt % 10]) + cells[1:]
            row = prediction(task.task_id, attempt, None, -float(attempt % 7))
            rows.append({**row, "output_cells": spoilt, "output_h": 2, "output_w": 3})
    table = pa.Table.from_pylist(rows, schema=PREDICTIONS)
    write_table(tmp_path / "predictions.parquet", table, PREDICTIONS)
    begin = time.process_time()
    path = score(Scoring(tmp_path, "e", "v", 0, 0), truths_of(tasks))
    assert time.process_time() - begin < 3 * slowness()
    assert pq.read_table(path).column("attempts").to_pylist() == [250] * 400
