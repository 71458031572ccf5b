"""What one test output is worth, and how outputs become one number per evaluation.

In come the columns of `scores.parquet` (one value per test output) or plain counts; out come arrays of
the same shape, and their means over tasks. Everything broadcasts, nothing loops over outputs. Unknown is
NaN; an output without any prediction counts as wrong.
"""

import difflib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.errors import UserError

Floats = NDArray[np.float64]

METRICS: dict[str, str] = {
    "accuracy": "Share of all attempts that are exactly right.",
    "correct_pixels": "Share of equal cells, averaged over attempts; 0 for an attempt of the wrong size.",
    "max_correct_pixels": "Share of equal cells of the best attempt.",
    "correct_size": "Share of attempts whose grid has the right height and width.",
    "any_correct_size": "1 if at least one attempt has the right height and width.",
    "unanswered": "Share of attempts in which no grid could be read; lower is better.",
    "pass_n": "1 if any attempt is right, however many there were; only compare equal numbers of attempts.",
    "found": "1 if the truth is among the answers given, as a search gives all above a probability.",
    "candidates": "Distinct answers given.",
    "pass_k": "Chance that at least one of k attempts, drawn from those made, is right.",
    "vote_k": "1 if the truth is among the k answers with the most votes; ties go to the likelier answer.",
    "rescored_k": "1 if the truth is among the k likeliest of the answers given; unknown where not rescored.",
    "expected_vote_k": "Chance that the truth is among the k most voted answers, ties drawn at random.",
}
"""Every base metric with one plain sentence; `_k` stands for a number, as in `pass_8` or `vote_2`."""

OF_EQUAL_ATTEMPTS = frozenset(
    {
        "accuracy",
        "correct_pixels",
        "correct_size",
        "unanswered",
        "pass_n",
        "pass_k",
        "vote_k",
        "expected_vote_k",
    }
)
"""Metrics that count attempts made alike; what a search finds is no draw from the model's answers."""


def check_for_search(name: str) -> None:
    """Raise `UserError` where a metric means nothing for answers that a search has found."""
    if parse_metric(name)[0] in OF_EQUAL_ATTEMPTS:
        raise UserError(
            f"{name} counts attempts made alike, and a search gives all answers above a probability instead."
            " Use found, candidates, or rescored_2 after: python -m core rescore"
        )


AGGREGATIONS: dict[str, str] = {
    "by_task": "mean over a task's outputs, then over tasks",
    "by_output": "mean over all outputs; a task with two test inputs counts twice",
    "all_outputs": "a task counts only if all its outputs are right",
}
"""How outputs become one number."""

LOWER_IS_BETTER = frozenset(
    {
        *("unanswered", "loss", "losses", "perplexity", "ppl", "nll", "bpb", "entropy", "error", "errors"),
        *("err", "wer", "cer", "mse", "rmse", "mae", "seconds", "sec", "secs", "minutes", "hours", "time"),
        *("latency", "duration", "cost", "memory"),
    }
)
"""Words in the name of a metric of which less is better."""

_NUMBERED = re.compile(r"(pass|vote|rescored|expected_vote)_([1-9][0-9]{0,6})")


def pass_k(attempts: ArrayLike, correct: ArrayLike, k: ArrayLike) -> Floats:
    """The chance that k of the attempts, drawn without replacement, hold a right one.

    1 − C(n−c, k) / C(n, k), as the product 1 − Π_{j<k} (n−c−j)/(n−j), which neither overflows nor loses
    digits (Chen et al. 2021, "Evaluating large language models trained on code", equation 1).

    attempts (n), correct (c) and k broadcast against each other; k is a positive whole number. NaN where
    k > n (undefined) or a count is unknown. Raises ValueError for k < 1, c < 0 or c > n.
    """
    n, c, draws = np.broadcast_arrays(
        *(np.asarray(part, dtype=np.float64) for part in (attempts, correct, k))
    )
    if np.any(draws < 1) or np.any(draws != np.floor(draws)):
        raise ValueError("k must be a whole number of at least 1")
    if np.any(c < 0) or np.any(c > n):
        raise ValueError("the number of correct attempts must lie between 0 and the number of attempts")
    # C(n−c, k) / C(n, k) = C(n−k, c) / C(n, c): take the form with fewer factors.
    steps, removed = np.minimum(draws, c), np.maximum(draws, c)
    defined = (draws <= n) & ~np.isnan(c)
    miss = np.ones(n.shape)
    for j in range(int(np.max(steps, initial=0, where=defined))):
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = np.maximum(n - removed - j, 0) / (n - j)
        miss = np.where(j < steps, miss * factor, miss)
    return np.asarray(np.where(defined, 1 - miss, np.nan))


def expected_vote_k(votes_above: ArrayLike, votes_tied: ArrayLike, k: int) -> Floats:
    """The chance that the truth is among the k most voted answers when ties are broken at random.

    clip((k − g) / m, 0, 1), with g answers strictly above the truth and m tied with it, itself included;
    0 where m = 0, because then nobody voted for the truth. NaN where a count is unknown.
    """
    _check_k(k)
    above, tied = (np.asarray(part, dtype=np.float64) for part in (votes_above, votes_tied))
    share = np.clip((k - above) / np.where(tied == 0, 1, tied), 0, 1)
    return np.asarray(np.where(tied == 0, 0.0, share))


def vote_k(vote_rank: ArrayLike, k: int) -> Floats:
    """1 if the truth's place among the voted answers (1 = most votes) is k or better, else 0.

    A rank of 0, below 0 or NaN means that nobody voted for the truth: 0.
    """
    _check_k(k)
    rank = np.asarray(vote_rank, dtype=np.float64)
    return np.asarray((rank >= 1) & (rank <= k), dtype=np.float64)


def output_metric(name: str, columns: Mapping[str, Any]) -> Floats:
    """One metric for every test output, from the columns of `scores.parquet`.

    `columns` maps column names (attempts, correct, right_size, pixels_sum, pixels_max, unanswered,
    votes_above, votes_tied, vote_rank, rescored_rank; only those needed) to arrays of one shape; NULL may
    come as NaN or masked. An output with 0 attempts has every metric 0, but unanswered 1. `pass_<k>` is NaN
    where fewer than k attempts were made; `vote_<k>` with fewer than k answers simply hands in fewer.
    Raises `UserError` for an unknown name.
    """
    family, k = parse_metric(name)
    attempts = _column(columns, "attempts")
    with np.errstate(divide="ignore", invalid="ignore"):
        values = _values(family, k, attempts, columns)
    nothing = 1.0 if family == "unanswered" else 0.0
    return np.asarray(np.where(attempts == 0, nothing, values))


def _values(family: str, k: int, attempts: Floats, columns: Mapping[str, Any]) -> Floats:
    match family:
        case "accuracy":
            return _column(columns, "correct") / attempts
        case "correct_pixels":
            return _column(columns, "pixels_sum") / attempts
        case "max_correct_pixels":
            return _column(columns, "pixels_max")
        case "correct_size":
            return _column(columns, "right_size") / attempts
        case "any_correct_size":
            return _at_least_one(_column(columns, "right_size"))
        case "unanswered":
            return _column(columns, "unanswered") / attempts
        case "candidates":
            return _column(columns, "distinct")
        case "pass_n" | "found":
            return _at_least_one(_column(columns, "correct"))
        case "pass_k":
            return pass_k(attempts, np.where(attempts == 0, 0, _column(columns, "correct")), k)
        case "vote_k":
            return vote_k(_column(columns, "vote_rank"), k)
        case "rescored_k":
            rank = _column(columns, "rescored_rank")
            return np.asarray(np.where(np.isnan(rank), np.nan, vote_k(rank, k)))
        case _:
            return expected_vote_k(_column(columns, "votes_above"), _column(columns, "votes_tied"), k)


def parse_metric(name: str) -> tuple[str, int]:
    """The base name and k of a metric: `pass_8` → ("pass_k", 8); k is 0 for names without one.

    Raises `UserError` with the nearest known name.
    """
    numbered = _NUMBERED.fullmatch(name)
    if numbered:
        return f"{numbered[1]}_k", int(numbered[2])
    if name in METRICS and not name.endswith("_k"):
        return name, 0
    near = difflib.get_close_matches(name, METRICS, n=1)
    hint = f"Did you mean '{near[0]}'? " if near else ""
    raise UserError(
        f"Unknown metric '{name}'. {hint}Known: {', '.join(METRICS)} (k is a number, as in pass_8)."
    )


def describe(name: str) -> str:
    """One plain sentence about a metric, with its k filled in."""
    family, k = parse_metric(name)
    return re.sub(r"\bk\b", str(k), METRICS[family])


def higher_is_better(name: str) -> bool:
    """Whether more of this metric is good; those from elsewhere are known by a word in their name, as in
    `val_loss`, `eval/perplexity`, `error_rate` and `seconds_per_task`."""
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
    return LOWER_IS_BETTER.isdisjoint(words)


def task_values(values: ArrayLike, task_index: ArrayLike, how: str = "by_task") -> Floats:
    """One value per task, shape (..., tasks), from values of shape (..., outputs).

    `task_index` (outputs,) says which task an output belongs to; tasks come out in its sorted order.
    `by_task` takes the mean over a task's outputs; `all_outputs` their product: exactly "every output is
    right" for metrics of 0 and 1, and for chances (pass_k, expected_vote_k) the chance of that, as
    attempts at different outputs are independent. NaN (unknown) stays NaN.
    """
    array = np.asarray(values, dtype=np.float64)
    _, index = np.unique(np.asarray(task_index), return_inverse=True)
    if array.ndim == 0 or index.shape != array.shape[-1:]:
        raise ValueError(f"{index.size} task numbers for values of shape {array.shape}")
    if how not in ("by_task", "all_outputs"):
        raise UserError(f"Unknown aggregation '{how}'. Values per task have: by_task, all_outputs.")
    if index.size == 0:
        return array
    order = np.argsort(index, kind="stable")
    starts = np.flatnonzero(np.diff(index[order], prepend=-1))
    if how == "all_outputs":
        return np.asarray(np.multiply.reduceat(array[..., order], starts, axis=-1))
    return np.asarray(np.add.reduceat(array[..., order], starts, axis=-1) / np.bincount(index))


def form_of(metric: str, aggregation: str) -> str:
    """The form in which a metric is counted. `unanswered` and `candidates` do not say how right an output is,
    so for them `all_outputs` means nothing and the mean of a task's outputs stands."""
    says_nothing = aggregation == "all_outputs" and parse_metric(metric)[0] in ("unanswered", "candidates")
    return "by_task" if says_nothing else aggregation


def form_of_one_task(aggregation: str) -> str:
    """The form in which a single task has a value of its own: with `by_output` it is the mean of its outputs,
    while the values whose mean is that of all outputs lie around that mean."""
    return "by_task" if aggregation == "by_output" else aggregation


def _at_least_one(counts: Floats) -> Floats:
    return np.asarray(np.where(np.isnan(counts), np.nan, counts > 0))


def _check_k(k: int) -> None:
    if k < 1 or k != int(k):
        raise ValueError("k must be a whole number of at least 1")


def _column(columns: Mapping[str, Any], name: str) -> Floats:
    """A column as floats, NULL as NaN."""
    if name not in columns:
        raise UserError(f"The scores have no column '{name}'. Score the predictions again.")
    column = columns[name]
    if isinstance(column, np.ma.MaskedArray):
        column = np.ma.filled(column.astype(np.float64), np.nan)
    return np.asarray(column, dtype=np.float64)
