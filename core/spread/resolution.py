"""How finely a score is counted, and the least noise that this leaves.

A score moves in steps: one task of 29 is 3.4 points. Runs that agree to the last digit say only that their
noise is smaller than such a step, and near 0 or 1 the few runs at hand may miss the rare task that some run
solves. In come the scores of a table, out comes the least variance that a verdict or an interval may assume.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

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
