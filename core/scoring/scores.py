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
from core.storage.queries import parquet, query
from core.storage.schemas import PREDICTIONS, SCORES, grid_columns, write_table

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

# The same grid given by many attempts is compared with the truth once. NaN is an unknown logprob, and counts
# neither in means nor as the largest, as DuckDB would have it.
_ANSWERS = """
SELECT source, task_id, test_index, output_cells, output_h, output_w,
       count(*)::INTEGER AS votes, min(attempt) AS first_attempt,
       COALESCE(avg(logprob / NULLIF(output_tokens, 0)) FILTER (NOT isnan(logprob)), '-inf')
           AS logprob_per_token
FROM {predictions}
GROUP BY ALL
"""

Whole = npt.NDArray[np.int64]


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
    answers, output = _of_truths(
        query(_ANSWERS.format(predictions=parquet([predictions], PREDICTIONS))), truths
    )
    given = truths.select(["truth_cells", "truth_h", "truth_w"]).take(pa.array(output))
    for name in given.column_names:
        answers = answers.append_column(name, given.column(name))
    count = truths.num_rows
    key = {"experiment": experiment, "variant": variant, "train_seed": train_seed, "eval_seed": eval_seed}
    columns = {name: pa.array([value] * count, SCORES.field(name).type) for name, value in key.items()}
    columns |= {name: truths.column(name) for name in _KEY}
    columns |= _counts(answers, output, count)
    table = pa.table({name: columns[name] for name in SCORES.names})
    write_table(target, table.sort_by([(name, "ascending") for name in _KEY]), SCORES)
    return target


def _of_truths(answers: pa.Table, truths: pa.Table) -> tuple[pa.Table, Whole]:
    """The answers to outputs that are evaluated, and for each the row of its truth."""
    keys = zip(*(truths.column(name).to_pylist() for name in _KEY), strict=True)
    place = {key: row for row, key in enumerate(keys)}
    asked = zip(*(answers.column(name).to_pylist() for name in _KEY), strict=True)
    output = np.array([place.get(key, -1) for key in asked], dtype=np.int64)
    return answers.filter(pa.array(output >= 0)), output[output >= 0]


def _counts(answers: pa.Table, output: Whole, count: int) -> dict[str, pa.Array]:
    """The counted columns, one value per truth. Distinct answers are ordered by votes, then by mean logprob
    per token, then by first appearance (which also decides where there are no logprobs)."""
    right_size, share = pixel_shares(answers)
    correct = share == 1.0
    votes = np.asarray(np.from_dlpack(answers.column("votes").combine_chunks())).astype(np.int64)
    voted = answers.column("output_cells").is_valid().to_numpy()

    def summed(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.bincount(output, weights=votes * values, minlength=count)

    right = summed(correct)
    best = np.zeros(count)
    np.maximum.at(best, output, share)
    order = np.lexsort(
        (
            answers.column("first_attempt").to_numpy(),
            -answers.column("logprob_per_token").to_numpy(),
            -votes,
            output,
        )
    )
    order = order[voted[order]]
    distinct = np.bincount(output[order], minlength=count)
    starts = np.concatenate([[0], np.cumsum(distinct)])
    place = np.arange(order.size) - starts[output[order]] + 1
    rank = np.zeros(count)
    rank[output[order][correct[order]]] = place[correct[order]]
    ours, theirs = right[output], np.where(voted, votes, -1)
    whole = {
        "attempts": np.bincount(output, weights=votes, minlength=count),
        "correct": right,
        "right_size": summed(right_size),
        "unanswered": summed(~voted),
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
    columns: dict[str, list[Any]] = {name: [] for name in _KEY}
    grids = []
    for task in tasks:
        for index, pair in enumerate(task.test):
            if pair.output is None:
                raise UserError(
                    f"Test pair {index} of task {task.task_id!r} ({task.source}) has no output to score"
                    " against. Evaluate on a source with solutions."
                )
            for name, value in zip(_KEY, (task.source, task.task_id, index), strict=True):
                columns[name].append(value)
            grids.append(pair.output)
    return pa.table({**columns, **grid_columns("truth", grids)}, schema=_TRUTHS)


def pixel_shares(answers: pa.Table) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """For each answer: whether its size is right, and the share of equal cells (0 where it is not).

    Columns output_cells/_h/_w and truth_cells/_h/_w; both results have shape (answers,).
    """
    sizes = [answers.column(name).to_numpy() for name in ("output_h", "output_w", "truth_h", "truth_w")]
    right = (sizes[0] == sizes[2]) & (sizes[1] == sizes[3])
    share = np.zeros(answers.num_rows)
    if right.any():
        comparable = answers.filter(pa.array(right))
        equal = _bytes(comparable, "output_cells") == _bytes(comparable, "truth_cells")
        lengths = (sizes[2][right].astype(np.int64)) * sizes[3][right].astype(np.int64)
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        share[right] = np.add.reduceat(equal, starts, dtype=np.int64) / lengths
    return right, share


def _bytes(table: pa.Table, name: str) -> npt.NDArray[np.uint8]:
    return np.frombuffer(b"".join(table.column(name).to_pylist()), dtype=np.uint8)
