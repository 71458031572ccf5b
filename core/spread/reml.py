"""Training and evaluation variance by restricted maximum likelihood: a second opinion on the moments.

REML weighs runs by what their number of evaluations tells, and never goes below 0; moments are unbiased
and may. On balanced data with a positive estimate the two agree. One free parameter remains after
profiling, so no mixed-model library is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from core.scoring.metrics import Floats
from core.spread.scopes import Runs, cells_of


@dataclass(frozen=True)
class Likelihood:
    """REML variances of training and evaluation; None where the data can't tell them.

    `training_freedom` (runs − variants) and `evaluation_freedom` (evaluations − runs) say how much data
    stands behind each.
    """

    training: float | None
    evaluation: float | None
    training_freedom: int
    evaluation_freedom: int


def reml(variants: Sequence[Runs]) -> Likelihood:
    """REML of score = variant (fixed) + training + evaluation, from variants → runs → evaluations.

    With λ = training / evaluation variance and weights w_r = n_r / (1 + λ·n_r), the restricted likelihood
    is profiled over the evaluation variance Q(λ)/(N − p), Q = Σ within + Σ w_r·(run mean − variant mean)²,
    and minimised over λ ≥ 0 (Patterson & Thompson 1971; Searle, Casella & McCulloch 1992, chapter 6).
    """
    groups = [[run.mean(axis=1) for run in cells_of(runs).runs] for runs in variants]
    groups = [group for group in groups if group]
    within = float(sum(((run - run.mean()) ** 2).sum() for group in groups for run in group))
    runs = sum(len(group) for group in groups)
    freedom = (runs - len(groups), sum(run.size for group in groups for run in group) - runs)
    means = [np.array([run.mean() for run in group]) for group in groups]
    counts = [np.array([run.size for run in group], dtype=np.float64) for group in groups]
    between = float(sum(((mean - mean.mean()) ** 2).sum() for mean in means))
    if freedom[1] == 0:
        return Likelihood(None, None, *freedom)
    if freedom[0] == 0:
        return Likelihood(None, within / freedom[1], *freedom)
    if within <= 1e-20 * between:
        return Likelihood(between / freedom[0], 0.0, *freedom)
    ratio = _best_ratio(means, counts, within, sum(freedom))
    residual = (within + _quadratic(ratio, means, counts)) / sum(freedom)
    return Likelihood(ratio * residual, residual, *freedom)


def _best_ratio(means: list[Floats], counts: list[Floats], within: float, freedom: int) -> float:
    """The ratio λ that minimises the profiled criterion: a grid, then a bounded search around its best."""

    def criterion(ratio: float) -> float:
        logs = sum(np.log1p(ratio * n).sum() + np.log((n / (1 + ratio * n)).sum()) for n in counts)
        return float(freedom * np.log(within + _quadratic(ratio, means, counts)) + logs)

    grid = np.concatenate([[0.0], np.geomspace(1e-8, 1e16, 241)])
    best = int(np.argmin([criterion(ratio) for ratio in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, grid.size - 1)]
    found = scipy.optimize.minimize_scalar(
        criterion, bounds=(low, high), method="bounded", options={"xatol": max(low, 1e-8) * 1e-9}
    )
    return float(found.x) if criterion(found.x) < criterion(0.0) else 0.0


def _quadratic(ratio: float, means: list[Floats], counts: list[Floats]) -> float:
    """Σ w_r (run mean − weighted mean of its variant)²."""
    total = 0.0
    for mean, n in zip(means, counts, strict=True):
        weights = n / (1 + ratio * n)
        total += float((weights * (mean - np.average(mean, weights=weights)) ** 2).sum())
    return total
