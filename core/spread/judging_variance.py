"""The variance between runs with which a table is judged: pooled, the variant's own, or borrowed, and never
less than the steps of the score leave.

In come means, variances and numbers of runs of the variants of a table (or of many simulated ones), out comes
a variance for each. The rule was chosen by simulation (`core.spread.simulate`, docs/statistics.md).

A score moves in steps: one task of 29 is 3.4 points. Runs that agree to the last digit say only that their
noise is smaller than such a step, and near 0 or 1 the few runs at hand may miss the rare task that some run
solves.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.scoring.metrics import Floats

UNDECIDED = 0.25
"""Variance of one task that is right in every other run, in squared steps."""
SHEPPARD = 1 / 12
"""Variance of a value that was rounded to a step, in squared steps (Sheppard 1898)."""
ROUNDING = 1e-9


@dataclass(frozen=True)
class Resolution:
    """The step of one run's score; `share` says that the score lies between 0 and 1.

    `step` is None where nothing tells it: a table whose scores are all equal.
    """

    step: float | None
    share: bool = True

    def least_variance(self, means: ArrayLike, sizes: ArrayLike) -> Floats:
        """The least variance between runs of variants with these means over `sizes` runs; shape of `means`.

        step²·max(1/12, min(1/4, λ)), with λ the number of steps from the nearer end of the scale, plus one
        that no run has shown yet, per run: a count has the variance λ near 0 (Poisson), and elsewhere one
        undecided task has 1/4. Chosen by simulation, see `core.spread.simulate`. 0 for an unknown step.
        """
        mean, runs = (np.asarray(part, dtype=np.float64) for part in (means, sizes))
        if self.step is None:
            return np.zeros(np.broadcast_shapes(mean.shape, runs.shape))
        squared = np.full(np.broadcast_shapes(mean.shape, runs.shape), UNDECIDED)
        if self.share:
            near = np.maximum(np.minimum(mean, 1 - mean), 0) / self.step
            squared = np.clip(near + 1 / np.maximum(runs, 1), SHEPPARD, UNDECIDED)
        return np.asarray(self.step**2 * squared)


def resolution_of(groups: Iterable[ArrayLike], step: float | None = None) -> Resolution:
    """The resolution of the scores of a table: `step` where it is known, else the smallest gap between two
    different scores. Scores outside 0…1 are no shares."""
    values = np.unique(np.concatenate([np.ravel(np.asarray(group, dtype=np.float64)) for group in groups]))
    values = values[~np.isnan(values)]
    share = bool(values.size == 0 or (values[0] >= -ROUNDING and values[-1] <= 1 + ROUNDING))
    if step is not None:
        return Resolution(step, share)
    gaps = np.diff(values)
    real = gaps[gaps > ROUNDING * np.max(np.abs(values), initial=1e-300)]
    return Resolution(float(real.min()) if real.size else None, share)


def freedom_of_counts(freedom: float, runs: float, mean: float, step: float) -> float:
    """The degrees of freedom behind the variance of a share of 1 / step tasks, `runs` of each variant.

    ν / (1 + κ/2·(1 − 1/runs)), κ the excess kurtosis of a binomial number (Box 1953): rare successes tell
    less of their noise than normal scores do. Simulated coverage of the χ² interval of a std, 29 tasks solved
    in 0.5 to 20 % of runs: .93 or more, where ν itself has down to .68.
    """
    spread = mean * (1 - mean)
    if not spread > 0:
        return freedom
    kurtosis = max(0.0, (1 - 6 * spread) * step / spread)
    return freedom / (1 + kurtosis / 2 * (1 - 1 / runs))


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
