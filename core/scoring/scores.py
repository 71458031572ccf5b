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

# Pixel shares come in as a table, because comparing bytes cell by cell is numpy's work; everything else
# is counting. `place` orders distinct answers by votes, then by mean logprob per token, then by first
# appearance (which also decides where there are no logprobs). NaN is unknown; DuckDB would call it largest.
_SCORES = """
WITH attempts AS (
    SELECT p.*, s.share, s.right_size,
           COALESCE(s.right_size AND p.output_cells = t.truth_cells, false) AS correct
    FROM {predictions} AS p
    JOIN truths AS t USING (source, task_id, test_index)
    JOIN shares AS s USING (source, task_id, test_index, attempt)
), distinct_answers AS (
    SELECT source, task_id, test_index, output_cells, output_h, output_w,
           count(*) AS votes, bool_or(correct) AS correct, min(attempt) AS first_attempt,
           avg(logprob / NULLIF(output_tokens, 0)) FILTER (NOT isnan(logprob)) AS logprob_per_token
    FROM attempts
    WHERE output_cells IS NOT NULL
    GROUP BY ALL
), answers AS (
    SELECT *, row_number() OVER (
        PARTITION BY source, task_id, test_index
        ORDER BY votes DESC, logprob_per_token DESC NULLS LAST, first_attempt
    ) AS place
    FROM distinct_answers
), right_answer AS (
    SELECT source, task_id, test_index, votes, place FROM answers WHERE correct
), votes AS (
    SELECT a.source, a.task_id, a.test_index, count(*) AS distinct_answers,
           count(*) FILTER (a.votes > COALESCE(r.votes, 0)) AS votes_above,
           count(*) FILTER (a.votes = r.votes) AS votes_tied,
           COALESCE(any_value(r.place), 0) AS vote_rank
    FROM answers AS a LEFT JOIN right_answer AS r USING (source, task_id, test_index)
    GROUP BY ALL
), counts AS (
    SELECT source, task_id, test_index, count(*) AS attempts, count(*) FILTER (correct) AS correct,
           count(*) FILTER (right_size) AS right_size, sum(share) AS pixels_sum, max(share) AS pixels_max,
           count(*) FILTER (output_cells IS NULL) AS unanswered
    FROM attempts GROUP BY ALL
)
SELECT $experiment AS experiment, $variant AS variant, $train_seed AS train_seed, $eval_seed AS eval_seed,
       t.source, t.task_id, t.test_index,
       COALESCE(c.attempts, 0) AS attempts, COALESCE(c.correct, 0) AS correct,
       COALESCE(c.right_size, 0) AS right_size, COALESCE(c.pixels_sum, 0.0) AS pixels_sum,
       COALESCE(c.pixels_max, 0.0) AS pixels_max, COALESCE(c.unanswered, 0) AS unanswered,
       COALESCE(v.distinct_answers, 0) AS "distinct", COALESCE(v.votes_above, 0) AS votes_above,
       COALESCE(v.votes_tied, 0) AS votes_tied, COALESCE(v.vote_rank, 0) AS vote_rank
FROM truths AS t
LEFT JOIN counts AS c USING (source, task_id, test_index)
LEFT JOIN votes AS v USING (source, task_id, test_index)
ORDER BY t.source, t.task_id, t.test_index
"""


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
    as many, the truth included (0 where nobody gave it).
    """
    truths = truth_table(tasks)
    source = parquet([predictions], PREDICTIONS)
    answers = query(
        f"""SELECT p.source, p.task_id, p.test_index, p.attempt,
                   p.output_cells, p.output_h, p.output_w, t.truth_cells, t.truth_h, t.truth_w
            FROM {source} AS p JOIN truths AS t USING (source, task_id, test_index)""",
        tables={"truths": truths},
    )
    shares = answers.select([*_KEY, "attempt"])
    right_size, share = pixel_shares(answers)
    shares = shares.append_column("right_size", pa.array(right_size)).append_column("share", pa.array(share))
    table = query(
        _SCORES.format(predictions=source),
        {"experiment": experiment, "variant": variant, "train_seed": train_seed, "eval_seed": eval_seed},
        tables={"truths": truths, "shares": shares},
    )
    write_table(target, table, SCORES)
    return target


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
