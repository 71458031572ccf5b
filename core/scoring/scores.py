"""Predictions become scores: one row per test output of the evaluated tasks.

The columns (attempts n, correct c, votes above and tied, …) are those from which every metric follows,
so later queries never touch predictions again. Tasks without predictions get a row with no attempts.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core.arc.grids import Grid
from core.arc.tasks import Task
from core.errors import UserError
from core.scoring.votes import Distinct, Output, Whole, distinct_answers
from core.storage.evaluation_files import PREDICTIONS_FILE, SCORES_FILE
from core.storage.schemas import SCORES, write_table

_EVALUATION = ("experiment", "variant", "train_seed", "eval_seed")
_KEY = ("source", "task_id", "test_index")
_KEYS = pa.schema([SCORES.field(name) for name in _KEY])


@dataclass(frozen=True)
class Truths:
    """The test outputs of tasks, in the order of source, task and index: `keys`, the `place` of each, and the
    sides and cells of its grid. All arrays have shape (outputs,)."""

    keys: pa.Table
    place: dict[Output, int]
    height: Whole
    width: Whole
    cells: pa.BinaryArray


def truths_of(tasks: Sequence[Task]) -> Truths:
    """What evaluations of these tasks are scored against, made once for all of them.

    Raises `UserError` where a task's answer is not known.
    """
    found: dict[Output, Grid] = {}
    for task in tasks:
        for index, pair in enumerate(task.test):
            if pair.output is None:
                raise UserError(
                    f"Test pair {index} of task {task.task_id!r} ({task.source}) has no output to score"
                    " against. Evaluate on a source with solutions."
                )
            found[task.source, task.task_id, index] = pair.output
    outputs = sorted(found)
    grids = [found[output] for output in outputs]
    keys = zip(*outputs, strict=True) if outputs else ((), (), ())
    return Truths(
        pa.table({name: list(values) for name, values in zip(_KEY, keys, strict=True)}, schema=_KEYS),
        {output: place for place, output in enumerate(outputs)},
        np.array([grid.shape[0] for grid in grids], dtype=np.int64),
        np.array([grid.shape[1] for grid in grids], dtype=np.int64),
        pa.array([grid.tobytes() for grid in grids], pa.binary()),
    )


@dataclass(frozen=True)
class Scoring:
    """One evaluation to be scored. Its predictions lie in `folder`; so will its scores, unless `target` names
    another file."""

    folder: Path
    experiment: str
    variant: str
    train_seed: int
    eval_seed: int
    target: Path | None = None


def score(evaluation: Scoring, truths: Truths) -> Path:
    """Write the scores of an evaluation, whole; where they lie. Raises `UserError` where its predictions
    can't be read."""
    return _write(evaluation, scores_of(evaluation, truths))


def score_each(evaluations: Iterable[Scoring], truths: Truths) -> Iterator[Path]:
    """The same for many, one after the other: while one is written, which is mostly waiting for the disk,
    the next is counted."""
    with ThreadPoolExecutor(1) as writer:
        written: Future[Path] | None = None
        for evaluation in evaluations:
            table = scores_of(evaluation, truths)
            if written is not None:
                yield written.result()
            written = writer.submit(_write, evaluation, table)
        if written is not None:
            yield written.result()


def _write(evaluation: Scoring, table: pa.Table) -> Path:
    target = evaluation.target or evaluation.folder / SCORES_FILE
    write_table(target, table, SCORES)
    return target


def scores_of(evaluation: Scoring, truths: Truths) -> pa.Table:
    """The scores of an evaluation, one row per test output.

    `vote_rank` is the place of the truth among the distinct answers (1: most voted), 0 where nobody gave
    it; `votes_above` counts distinct answers with more votes than the truth, `votes_tied` those with
    as many, the truth included (0 where nobody gave it). `votes` lists the votes of every distinct answer,
    the truth included, most first: what curves over the number of attempts follow from.
    """
    count = truths.keys.num_rows
    columns = {
        name: pa.array([getattr(evaluation, name)] * count, SCORES.field(name).type) for name in _EVALUATION
    }
    columns |= {name: truths.keys.column(name) for name in _KEY}
    columns |= _counts(distinct_answers(evaluation.folder / PREDICTIONS_FILE, truths.place), truths)
    return pa.table({name: columns[name] for name in SCORES.names})


def _counts(answers: Distinct, truths: Truths) -> dict[str, pa.Array]:
    """The counted columns, one value per truth. Distinct answers are ordered by votes, then by mean logprob
    per token, then by first appearance (which also decides where there are no logprobs)."""
    output, votes, voted, count = answers.output, answers.votes, answers.voted, len(truths.place)
    right_size, share = pixel_shares(answers, truths)
    correct = share == 1.0

    def summed(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.bincount(output, weights=votes * values, minlength=count)

    right = summed(correct)
    best = np.zeros(count)
    if output.size:  # which is in ascending order
        begins = np.flatnonzero(np.diff(output, prepend=-1))
        best[output[begins]] = np.maximum.reduceat(share, begins)
    ours, theirs = right[output], np.where(voted, votes, -1)
    above = np.bincount(output, weights=theirs > ours, minlength=count)
    tied = np.flatnonzero(theirs == ours)
    truth = np.zeros(count, dtype=np.int64)
    truth[output[correct]] = np.flatnonzero(correct)
    likelier = _likelier(answers, tied, np.searchsorted(tied, truth[output[tied]]))
    first = np.bincount(output[tied], weights=likelier, minlength=count)
    whole = {
        "attempts": np.bincount(output, weights=votes, minlength=count),
        "correct": right,
        "right_size": summed(right_size),
        "unanswered": summed(~voted),
        "distinct": np.bincount(output[voted], minlength=count),
        "votes_above": above,
        "votes_tied": np.bincount(output[tied], minlength=count),
        "vote_rank": np.where(right > 0, above + first + 1, 0),
    }
    found = {name: pa.array(values.astype(np.int32)) for name, values in whole.items()}
    found["pixels_sum"], found["pixels_max"] = pa.array(summed(share)), pa.array(best)
    most = votes.max(initial=0) + 1
    most_first = -np.sort((output * most - votes)[voted]) % most
    starts = np.concatenate([[0], np.cumsum(whole["distinct"])])
    found["votes"] = pa.ListArray.from_arrays(starts.astype(np.int32), pa.array(most_first.astype(np.int32)))
    return found


def _likelier(answers: Distinct, tied: Whole, truths: Whole) -> npt.NDArray[np.bool_]:
    """Which of the answers that were given as often as the truth stand before it; `tied` are these and the
    truths themselves, `truths` the truth of each, by its place in `tied`."""
    logprob, first = answers.standing(tied)
    level = logprob == logprob[truths]
    likelier: npt.NDArray[np.bool_] = (logprob > logprob[truths]) | (level & (first < first[truths]))
    return likelier


def pixel_shares(answers: Distinct, truths: Truths) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """For each answer: whether its size is right, and the share of equal cells (0 where it is not).

    Both results have shape (answers,).
    """
    height, width = (sides[answers.output] for sides in (truths.height, truths.width))
    right = answers.voted & (answers.height == height) & (answers.width == width)
    share = np.zeros(right.size)
    if right.any():
        wanted = truths.cells.take(pa.array(answers.output[right]))
        equal = _bytes(answers.grids.take(pa.array(answers.grid[right]))) == _bytes(wanted)
        lengths = (answers.height * answers.width)[right]
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        # 16 bits hold the cells of any grid, and are several times as fast here as 64.
        share[right] = np.add.reduceat(equal.view(np.uint8), starts, dtype=np.uint16) / lengths
    return right, share


def _bytes(cells: pa.BinaryArray) -> npt.NDArray[np.uint8]:
    """The cells of grids, one behind the other; grids that are NULL hold none."""
    _, offsets, data = cells.buffers()
    ends = np.frombuffer(offsets, dtype=np.int32)[[cells.offset, cells.offset + len(cells)]]
    return np.frombuffer(data, dtype=np.uint8)[slice(*ends.tolist())]
