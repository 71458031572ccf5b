"""What was answered: the answers to one task grouped by votes, and the order in which tasks deserve a look.

In come the predictions of all runs, of which only one task's rows are read (DuckDB hands the filter down to
the parquet files), and the task's truth; out come distinct answers with votes, mean log-probability per
token and the kind of failure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.arc.grids import Grid
from core.arc.tasks import Task
from core.curation.sources import tasks_named
from core.curation.stored import UnknownTaskError
from core.errors import UserError
from core.experiments.experiment import known_folder
from core.results.curves import Solved
from core.results.loading import Evaluation, Scores
from core.runs.layout import Run
from core.storage.queries import parquet, query
from core.storage.schemas import PREDICTIONS, grids_of

RIGHT, NEAR, OTHER, WRONG_SIZE, NO_GRID = "right", "near", "other", "wrong_size", "no_grid"
MOST_CELLS_NEAR = 5
KINDS = {
    RIGHT: "right",
    NEAR: f"≤ {MOST_CELLS_NEAR} cells off",
    OTHER: "more cells off",
    WRONG_SIZE: "wrong size",
    NO_GRID: "no grid",
}

# Which rows are counted together. Votes of an evaluation are those that vote_k counts.
UNITS = {
    "variant": ("variant",),
    "run": ("variant", "train_seed"),
    "evaluation": ("variant", "train_seed", "eval_seed"),
}

_ANSWERS = """
SELECT {unit}, test_index, output_cells, output_h, output_w, count(*) AS votes,
       avg(logprob / NULLIF(output_tokens, 0)) AS logprob_per_token,
       min(attempt) AS first_attempt,
       min((variant, train_seed, eval_seed, attempt)) AS example,
       sum(count(*)) OVER (PARTITION BY {unit}, test_index)::BIGINT AS attempts
FROM {predictions} WHERE source = $source AND task_id = $task_id
GROUP BY {unit}, test_index, output_cells, output_h, output_w
ORDER BY {unit}, test_index, output_cells IS NULL, votes DESC, logprob_per_token DESC NULLS LAST,
         first_attempt
"""

_ATTEMPTS = """
SELECT variant, train_seed, eval_seed, attempt FROM {predictions}
WHERE source = $source AND task_id = $task_id AND test_index = $test_index
      AND output_cells IS NOT DISTINCT FROM $cells AND output_h IS NOT DISTINCT FROM $height
      AND output_w IS NOT DISTINCT FROM $width
ORDER BY variant, train_seed, eval_seed, attempt
"""


@dataclass(frozen=True)
class Answer:
    """One distinct answer to a test output, with who gave it how often.

    `train_seed` and `eval_seed` are None where several were counted together. `grid` is None for the
    attempts that hold no grid: they share one entry, which comes last and has no `place`. `place` counts
    from 1 in the order of vote_k. `cells_off` is None unless the size is right. `example` is one attempt.
    """

    variant: str
    train_seed: int | None
    eval_seed: int | None
    test_index: int
    place: int | None
    grid: Grid | None
    votes: int
    attempts: int
    logprob_per_token: float | None
    kind: str
    cells_off: int | None
    example: tuple[Evaluation, int]


def prediction_paths(root: Path, experiment: str, evaluations: Sequence[Evaluation]) -> list[Path]:
    """Where the predictions of these evaluations lie. Raises `UserError` where one is gone."""
    known_folder(root, experiment)
    paths = [
        Run(root, experiment, one.variant, one.train_seed).predictions(one.eval_seed) for one in evaluations
    ]
    for path in paths:
        if not path.exists():
            raise UserError(f"{path} is gone, so its answers can't be shown. Launch the experiment again.")
    return paths


def answers_of(
    root: Path,
    experiment: str,
    evaluations: Sequence[Evaluation],
    source: str,
    task_id: str,
    unit: str = "evaluation",
) -> list[Answer]:
    """The distinct answers to a task, by unit, test output and place; variants in the order of `evaluations`.

    `unit` says whose attempts are counted together: "evaluation", "run" or "variant". Ties in votes are
    broken as in scoring: by mean log-probability per token, then by the first attempt. Raises `UserError`
    for an unknown source or task and for predictions that are gone.
    """
    task = evaluated_task(root, source, task_id)
    paths = prediction_paths(root, experiment, evaluations)
    sql = _ANSWERS.format(unit=", ".join(UNITS[unit]), predictions=parquet(paths, PREDICTIONS))
    table = query(sql, {"source": source, "task_id": task_id})
    grids = list(grids_of(table, "output"))
    places: dict[tuple[Any, ...], int] = {}
    answers = []
    for record, grid in zip(table.drop_columns(["output_cells"]).to_pylist(), grids, strict=True):
        group = (*(record[name] for name in UNITS[unit]), record["test_index"])
        places[group] = places.get(group, 0) + (grid is not None)
        answers.append(_answer(record, grid, task, places[group]))
    order = list(dict.fromkeys(one.variant for one in evaluations))
    return sorted(answers, key=lambda answer: order.index(answer.variant))


def attempts_of(
    root: Path,
    experiment: str,
    evaluations: Sequence[Evaluation],
    source: str,
    task_id: str,
    answer: Answer,
) -> list[tuple[Evaluation, int]]:
    """The attempts that gave an answer of `answers_of`, by evaluation and number; as many as its votes.

    `evaluations` are those that the answer was counted over. Raises `UserError` for predictions
    that are gone.
    """
    own = [
        one
        for one in evaluations
        if one.variant == answer.variant
        and answer.train_seed in (None, one.train_seed)
        and answer.eval_seed in (None, one.eval_seed)
    ]
    paths = prediction_paths(root, experiment, own)
    grid = answer.grid
    height, width = (None, None) if grid is None else grid.shape
    wanted = {
        "source": source,
        "task_id": task_id,
        "test_index": answer.test_index,
        "cells": None if grid is None else grid.tobytes(),
        "height": height,
        "width": width,
    }
    rows = query(_ATTEMPTS.format(predictions=parquet(paths, PREDICTIONS)), wanted).to_pylist()
    return [(Evaluation(row["variant"], row["train_seed"], row["eval_seed"]), row["attempt"]) for row in rows]


def _answer(record: dict[str, Any], grid: Grid | None, task: Task, place: int) -> Answer:
    truth = task.test[record["test_index"]].output if record["test_index"] < len(task.test) else None
    if truth is None:
        raise UserError(
            f"Test output {record['test_index']} of '{task.task_id}' ({task.source}) is not known any more."
            " Import the source as it was when the experiment was launched."
        )
    wrong = wrong_cells(grid, truth)
    variant, train_seed, eval_seed, attempt = record["example"].values()
    return Answer(
        record["variant"],
        record.get("train_seed"),
        record.get("eval_seed"),
        record["test_index"],
        None if grid is None else place,
        grid,
        record["votes"],
        record["attempts"],
        record["logprob_per_token"],
        kind_of(grid, truth),
        None if wrong is None else int(wrong.sum()),
        (Evaluation(variant, train_seed, eval_seed), attempt),
    )


def evaluated_task(root: Path, source: str, task_id: str) -> Task:
    """The task as its source holds it today; of a reversed source also where it is not flagged any more.

    Raises `UserError` where it is gone.
    """
    try:
        (task,) = tasks_named(root, source, [task_id])
    except UnknownTaskError:
        raise UserError(
            f"'{source}' has no task '{task_id}' any more. Import the source as it was at the launch."
        ) from None
    return task


def wrong_cells(grid: Grid | None, truth: Grid) -> npt.NDArray[np.bool_] | None:
    """Which cells differ from the truth, in its shape; None where the size differs or there is no grid."""
    if grid is None or grid.shape != truth.shape:
        return None
    return np.asarray(grid != truth)


def kind_of(grid: Grid | None, truth: Grid) -> str:
    """Right, or the kind of failure: one of `KINDS`."""
    if grid is None:
        return NO_GRID
    wrong = wrong_cells(grid, truth)
    if wrong is None:
        return WRONG_SIZE
    off = int(wrong.sum())
    if off == 0:
        return RIGHT
    return NEAR if off <= MOST_CELLS_NEAR else OTHER


def answer_record(answer: Answer, source: str, task_id: str) -> dict[str, Any]:
    """An answer as a flat record; `output` writes the grid in lines of digits, None where there is none."""
    rows = [] if answer.grid is None else answer.grid.tolist()
    return {
        "variant": answer.variant,
        "train_seed": answer.train_seed,
        "eval_seed": answer.eval_seed,
        "source": source,
        "task_id": task_id,
        "test_index": answer.test_index,
        "place": answer.place,
        "votes": answer.votes,
        "attempts": answer.attempts,
        "logprob_per_token": answer.logprob_per_token,
        "kind": answer.kind,
        "cells_off": answer.cells_off,
        "output": "\n".join("".join(map(str, row)) for row in rows) or None,
    }


ORDERS = {
    "uncertain": "most uncertain first: solved in about half of the attempts, then most different answers",
    "hardest": "hardest first: never solved, with the fewest right cells on top",
    "easiest": "easiest first",
    "name": "by source and id",
}


def ordered(scores: Scores, solved: Solved, order: str) -> Solved:
    """The map of tasks × runs with its tasks in one of `ORDERS`."""
    number = {task: place for place, task in enumerate(scores.tasks)}
    places = [number[task] for task in solved.tasks]
    made = np.maximum(_per_task(scores, "attempts")[places], 1)
    share = solved.right.sum(axis=0) / np.maximum(solved.attempts.sum(axis=0), 1)
    keys = {
        "uncertain": (-share * (1 - share), -_per_task(scores, "distinct")[places] / made),
        "hardest": (share, _per_task(scores, "pixels_sum")[places] / made),
        "easiest": (-share, -_per_task(scores, "pixels_sum")[places] / made),
        "name": (np.array(places),),
    }[order]
    new = np.lexsort(keys[::-1])
    tasks = tuple(solved.tasks[place] for place in new.tolist())
    return Solved(solved.runs, tasks, solved.right[:, new], solved.attempts[:, new], solved.always[new])


def _per_task(scores: Scores, name: str) -> npt.NDArray[np.float64]:
    """A column summed over evaluations and over the outputs of each task."""
    sums = scores.columns[name].sum(axis=0)
    return np.bincount(scores.task_index, weights=sums, minlength=len(scores.tasks)).astype(np.float64)
