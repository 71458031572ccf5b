"""Two variants that share their trainings: each trained model was evaluated in both ways, as with and without
test-time training. The noise between trainings is common to a pair and leaves their difference.

In come two numbers per training, out comes the mean difference with its interval, over new trainings.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from core.spread.intervals import ROUNDING, Estimate, mean_and_variance
from core.spread.judging_variance import UNDECIDED
from core.spread.verdict import CANNOT_TELL, two_sided_p, word


@dataclass(frozen=True)
class PairedTrainings:
    """b − a over `n` trained models that both share; None is unknown. `apart_std` is the std that the
    difference would have, had its runs been trained apart: what pairing saves."""

    difference: float
    low: float | None
    high: float | None
    p: float | None
    std: float | None
    apart_std: float | None
    n: int
    verdict: str


def paired_trainings(
    a: ArrayLike,
    b: ArrayLike,
    level: float = 0.95,
    *,
    higher_is_better: bool = True,
    step: float | None = None,
) -> PairedTrainings:
    """Student's paired t over trainings: mean(d) ± t(n − 1)·s/√n with d = b − a of each trained model.

    `step` is how much one task or attempt moves a score: s² is never taken below step²/4, the variance of one
    undecided task, since runs that agree to the last digit show only that their noise is finer. Pairs that
    are NaN in either are left out. Raises ValueError where the two differ in length.
    """
    first, second = (np.asarray(values, dtype=np.float64).ravel() for values in (a, b))
    if first.shape != second.shape:
        raise ValueError("both variants must have the same trainings in the same order")
    both = ~np.isnan(first) & ~np.isnan(second)
    first, second = first[both], second[both]
    change = second - first
    change[np.abs(change) <= ROUNDING * np.maximum(np.abs(first), np.abs(second))] = 0.0
    n = int(change.size)
    mean, seen = mean_and_variance(change)
    if seen is None:
        return PairedTrainings(mean, None, None, None, None, None, n, CANNOT_TELL)
    variance = max(seen, UNDECIDED * (step or 0.0) ** 2)
    apart = sum(mean_and_variance(one)[1] or 0.0 for one in (first, second))
    if not variance > 0:
        return PairedTrainings(mean, None, None, None, 0.0, apart**0.5, n, CANNOT_TELL)
    low, high = Estimate(mean, ((variance / n, n - 1.0),)).interval(level)
    p = two_sided_p(mean, variance / n, n - 1.0)
    verdict = word(mean, p, level, higher_is_better)
    return PairedTrainings(mean, low, high, p, variance**0.5, apart**0.5, n, verdict)
