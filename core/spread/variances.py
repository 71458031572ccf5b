"""The variance between runs with which a table is judged: pooled, the variant's own, or borrowed.

In come means, variances and numbers of runs of the variants of a table (or of many simulated ones), out comes
a variance for each. The rule was chosen by simulation (`core.spread.simulate`, docs/statistics.md).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.scoring.metrics import Floats
from core.spread.resolution import Resolution


@dataclass(frozen=True)
class BorrowedNoise:
    """The variance between runs of another experiment, with the degrees of freedom behind it."""

    variance: float
    freedom: float
    experiment: str = ""


def pooled_noise(own: ArrayLike, sizes: ArrayLike) -> BorrowedNoise | None:
    """The variance between runs within variants: Σ (n − 1)·s² / Σ (n − 1); None where no variant has two."""
    variances, n = np.asarray(own, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    freedom = float((n[n > 1] - 1).sum())
    return BorrowedNoise(float(((n - 1) * variances)[n > 1].sum()) / freedom, freedom) if freedom else None


def judged_variances(
    means: Floats,
    own: Floats,
    sizes: NDArray[np.int64],
    resolution: Resolution,
    borrowed: BorrowedNoise | None = None,
) -> Floats:
    """The variance between runs that each variant is judged with, shape (..., variants).

    The largest of three: the variance pooled over the variants, times `weight_of_few`; the variant's own; and
    the least that the resolution of the score allows. Pooled alone, a baseline with twice the spread of the
    others raises false alarms in 11 to 19 % of tables; with it in 4 to 10 %. Borrowed noise stands in for the
    pooled one and has no weight: that it is alike was said by whoever lent it. NaN where nothing tells.
    """
    several = sizes > 1
    if borrowed is None:
        freedom = np.where(several, sizes - 1, 0)
        total = np.where(several, freedom * own, 0.0).sum(axis=-1, keepdims=True)
        with np.errstate(invalid="ignore"):
            pooled = weight_of_few(sizes) * (total / freedom.sum())
    else:
        pooled = np.full((*means.shape[:-1], 1), borrowed.variance)
    return largest_variance(pooled, np.where(several, own, pooled), resolution.least_variance(means, sizes))


def largest_variance(pooled: Floats, own: Floats, least: Floats | float) -> Floats:
    """The rule of `judged_variances`, element by element."""
    largest = np.maximum(np.maximum(pooled, own), least)
    return np.asarray(np.where(largest > 0, largest, np.nan))


def weight_of_few(sizes: ArrayLike) -> Floats:
    """With how much of the pooled variance each variant counts, shape (variants,): 1 with as many runs as the
    others.

    1 + ½·(1 + 1/c)·ln r for a variant with r > 1 times fewer degrees of freedom n − 1 than the mean of the
    table, c comparisons with the baseline. Most of the pooled variance then comes from the others, and few
    runs can't show that they vary more. Variants with a single run have 1 and are not counted.
    """
    n = np.asarray(sizes, dtype=np.float64)
    several = n > 1
    freedom = np.where(several, n - 1, 1.0)
    mean = freedom[several].mean() if several.any() else 1.0
    comparisons = max(1, int(several.sum()) - 1)
    fewer = np.where(several, np.maximum(1.0, mean / freedom), 1.0)
    return np.asarray(1 + (1 + 1 / comparisons) / 2 * np.log(fewer))
