"""Predictions become scores: one row per test output of the evaluated tasks.

The columns (attempts n, correct c, votes above and tied, …) are those from which every metric follows,
so later queries never touch predictions again. Tasks without predictions get a row with no attempts.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core.arc.tasks import Task
from core.errors import UserError
from core.scoring.distinct import Distinct, distinct_answers
from core.storage.schemas import SCORES, grid_columns, write_table

_KEY = ("source", "task_id", "test_index")

_TRUTHS = pa.schema(
    [
        ("source", pa.string()),
        ("task_id", pa.string()),
        ("test_index", pa.int32()),
        ("truth_cells", pa.binary()),
        ("truth_h", pa.uint8()),
        ("truth_w", pa.uint8()),
    ]
)


def score(
    predictions: Path,
    tasks: Sequence[Task],
    target: Path,
    *,
    experiment: str,
    variant: str,
    train_seed: int,
    eval_seed: int,
) -> Path:
    """Score an evaluation and write `scores.parquet` whole.

    `vote_rank` is the place of the truth among the distinct answers (1: most voted), 0 where nobody gave
    it; `votes_above` counts distinct answers with more votes than the truth, `votes_tied` those with
    as many, the truth included (0 where nobody gave it). `votes` lists the votes of every distinct answer,
    the truth included, most first: what curves over the number of attempts follow from.
    """
    truths = truth_table(tasks)
    outputs = list(zip(*(truths.column(name).to_pylist() for name in _KEY), strict=True))
    answers = distinct_answers(predictions, outputs)
    count = truths.num_rows
    key = {"experiment": experiment, "variant": variant, "train_seed": train_seed, "eval_seed": eval_seed}
    columns = {name: pa.array([value] * count, SCORES.field(name).type) for name, value in key.items()}
    columns |= {name: truths.column(name) for name in _KEY}
    columns |= _counts(answers, truths)
    table = pa.table({name: columns[name] for name in SCORES.names})
    write_table(target, table.sort_by([(name, "ascending") for name in _KEY]), SCORES)
    return target


def _counts(answers: Distinct, truths: pa.Table) -> dict[str, pa.Array]:
    """The counted columns, one value per truth. Distinct answers are ordered by votes, then by mean logprob
    per token, then by first appearance (which also decides where there are no logprobs)."""
    output, votes, count = answers.output, answers.votes, truths.num_rows
    right_size, share = pixel_shares(answers, truths)
    correct = share == 1.0

    def summed(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.bincount(output, weights=votes * values, minlength=count)

    right = summed(correct)
    best = np.zeros(count)
    if output.size:  # which is in ascending order
        begins = np.flatnonzero(np.diff(output, prepend=-1))
        best[output[begins]] = np.maximum.reduceat(share, begins)
    most_first = output * (votes.max(initial=0) + 1) - votes
    order = np.lexsort((answers.first_attempt, -answers.logprob_per_token, most_first))
    order = order[answers.voted[order]]
    distinct = np.bincount(output[order], minlength=count)
    starts = np.concatenate([[0], np.cumsum(distinct)])
    place = np.arange(order.size) - starts[output[order]] + 1
    rank = np.zeros(count)
    rank[output[order][correct[order]]] = place[correct[order]]
    ours, theirs = right[output], np.where(answers.voted, votes, -1)
    whole = {
        "attempts": np.bincount(output, weights=votes, minlength=count),
        "correct": right,
        "right_size": summed(right_size),
        "unanswered": summed(~answers.voted),
        "distinct": distinct,
        "votes_above": np.bincount(output, weights=theirs > ours, minlength=count),
        "votes_tied": np.bincount(output, weights=theirs == ours, minlength=count),
        "vote_rank": rank,
    }
    found = {name: pa.array(values.astype(np.int32)) for name, values in whole.items()}
    found["pixels_sum"], found["pixels_max"] = pa.array(summed(share)), pa.array(best)
    found["votes"] = pa.ListArray.from_arrays(
        starts.astype(np.int32), pa.array(votes[order].astype(np.int32))
    )
    return found


def truth_table(tasks: Sequence[Task]) -> pa.Table:
    """The test outputs of the evaluated tasks: source, task_id, test_index, truth_cells/_h/_w.

    Raises `UserError` where a task's answer is not known.
    """
    found = [(task, index, pair.output) for task in tasks for index, pair in enumerate(task.test)]
    for task, index, output in found:
        if output is None:
            raise UserError(
                f"Test pair {index} of task {task.task_id!r} ({task.source}) has no output to score"
                " against. Evaluate on a source with solutions."
            )
    keys = ([task.source for task, _, _ in found], [task.task_id for task, _, _ in found])
    columns = dict(zip(_KEY, (*keys, [index for _, index, _ in found]), strict=True))
    return pa.table({**columns, **grid_columns("truth", [grid for _, _, grid in found])}, schema=_TRUTHS)


def pixel_shares(
    answers: Distinct, truths: pa.Table
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """For each answer: whether its size is right, and the share of equal cells (0 where it is not).

    Both results have shape (answers,).
    """
    sides = [truths.column(name).to_numpy()[answers.output] for name in ("truth_h", "truth_w")]
    right = answers.voted & (answers.height == sides[0]) & (answers.width == sides[1])
    share = np.zeros(right.size)
    if right.any():
        wanted = truths.column("truth_cells").combine_chunks().take(pa.array(answers.output[right]))
        equal = _bytes(answers.cells.filter(pa.array(right))) == _bytes(wanted)
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
