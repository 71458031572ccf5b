"""What the same attempts would have been worth had fewer been made: curves over budgets.

A budget of s attempts is s of the n attempts drawn without replacement; the curves are exact means over
all such draws, so the last point is the metric itself and no point depends on the order of attempts.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from core.scoring.metrics import Floats, pass_k

MOST_EXACT_ATTEMPTS = 1000
"""Beyond this the binomial weights leave the range of floats."""


def pass_k_curve(attempts: ArrayLike, correct: ArrayLike, ks: Sequence[int]) -> Floats:
    """pass_k for each k, shape (..., len(ks)), from counts of shape (...); NaN where k > attempts."""
    n, c = (np.asarray(part, dtype=np.float64)[..., None] for part in (attempts, correct))
    return pass_k(n, c, np.asarray(ks, dtype=np.float64))


def expected_vote_curve(
    attempts: int, truth_votes: int, other_votes: Sequence[int], k: int, budgets: Sequence[int] | None = None
) -> Floats:
    """Expected vote_k of one output for each budget, ties at random; shape (len(budgets),).

    `truth_votes` attempts gave the truth, `other_votes` holds the votes of every other distinct answer,
    and the rest of `attempts` is unanswered, which takes part in the draw but doesn't vote. `budgets`
    defaults to 1…attempts; NaN for budgets above `attempts`.

    For every t, the number of draws with t votes for the truth, g answers above and m − 1 tied is the
    coefficient of x^s·y^(m−1)·z^g in Π over the other answers of Σ_u C(votes, u)·x^u·[1 | y | z for
    u below | at | above t]; each term counts clip((k − g)/m, 0, 1). At s = attempts this is
    `expected_vote_k`. Raises ValueError for counts that don't fit and for more than 1,000 attempts.
    """
    sizes = _checked(attempts, truth_votes, other_votes, k)
    if attempts > MOST_EXACT_ATTEMPTS:
        raise ValueError(f"exact for up to {MOST_EXACT_ATTEMPTS} attempts")
    whole = _whole_curve(attempts, truth_votes, sizes, k)
    wanted = np.arange(1, attempts + 1) if budgets is None else np.asarray(budgets, dtype=np.int64)
    if np.any(wanted < 1):
        raise ValueError("a budget is at least 1 attempt")
    return np.asarray(np.where(wanted <= attempts, whole[np.minimum(wanted, attempts)], np.nan))


def _checked(attempts: int, truth_votes: int, other_votes: Sequence[int], k: int) -> tuple[int, ...]:
    others = tuple(sorted((int(votes) for votes in other_votes if votes != 0), reverse=True))
    if k < 1:
        raise ValueError("k must be at least 1")
    if truth_votes < 0 or any(votes < 0 for votes in others) or truth_votes + sum(others) > attempts:
        raise ValueError("votes must be counts that add up to at most the number of attempts")
    return others


@lru_cache(maxsize=4096)
def _whole_curve(attempts: int, truth: int, others: tuple[int, ...], k: int) -> Floats:
    """The curve at 0, 1, …, attempts (0 at 0).

    Binomial coefficients are scaled to binomial probabilities at ½, so that nothing overflows; the scale
    falls out in the last division.
    """
    curve = np.zeros(attempts + 1)
    for t in range(1, truth + 1):
        rivals = [votes for votes in others if votes >= t]
        ways = _ways(attempts, t, rivals, k)
        above = np.arange(ways.shape[1])[:, None]
        tied = 1 + np.arange(ways.shape[2])[None, :]
        won = (ways * np.clip((k - above) / tied, 0, 1)).sum(axis=(1, 2))
        # Answers with fewer than t votes can only stay below; so do the unanswered.
        harmless = attempts - truth - sum(rivals)
        won = np.convolve(won, _binomial(harmless))[: attempts + 1]
        curve[t:] += _binomial(truth)[t] * won[: attempts + 1 - t]
    return np.asarray(curve / _binomial(attempts))


def _ways(attempts: int, t: int, rivals: list[int], k: int) -> Floats:
    """Weight of drawing s attempts of the rivals with g of them above t and so many tied: (s, g, tied).

    g only runs to k − 1: with k answers above, the truth has lost.
    """
    state = np.zeros((attempts + 1, k, 1))
    state[0, 0, 0] = 1.0
    for votes in rivals:
        weights = _binomial(votes)
        grown = np.zeros((attempts + 1, k, state.shape[2] + 1))
        for u, weight in enumerate(weights):
            part = weight * state[: attempts + 1 - u]
            if u < t:
                grown[u:, :, :-1] += part
            elif u == t:
                grown[u:, :, 1:] += part
            else:
                grown[u:, 1:, :-1] += part[:, :-1]
        state = grown
    return state


@lru_cache(maxsize=2048)
def _binomial(n: int) -> Floats:
    return np.asarray(special.binom(n, np.arange(n + 1)) * 0.5**n)
