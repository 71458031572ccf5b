"""Mean ± std with its interval, and over what it generalises.

The statistical unit is the run (one training), unless the scope says otherwise: tasks are crossed with
trainings, evaluations are nested in them. In come scores per run, or runs of evaluations (of tasks); out
comes a `Summary`. Unknown scores (NaN) are left out and counted; with one unit the std is unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from core.errors import UserError
from core.spread.metrics import Floats

SCOPES: dict[str, str] = {
    "checkpoint": "these trained models, evaluated again with other evaluation seeds",
    "recipe": "new trainings of the same recipe, on the same tasks",
    "new_tasks": "new trainings of the same recipe, on new tasks of the same kind",
}
"""Every scope with what it generalises over."""

ROUNDING = 1e-13
"""Differences below this share of the values are rounding, not spread."""


@dataclass(frozen=True)
class Summary:
    """Mean ± std of n units with an interval for the mean. None is unknown.

    `std` is the sample std of one unit's score (a run's; at scope "checkpoint" an evaluation's), not the
    standard error. `degrees_of_freedom` are those of the interval. `unknown` scores were left out.
    `tasks` is set where tasks are part of the scope.
    """

    mean: float
    std: float | None
    n: int
    low: float | None
    high: float | None
    degrees_of_freedom: float | None = None
    scope: str = "recipe"
    unknown: int = 0
    tasks: int | None = None


@dataclass(frozen=True)
class Estimate:
    """A mean with the mean squares that make up its variance: the common coin of all intervals.

    `terms` are (contribution to the variance of the mean, degrees of freedom); contributions may be
    negative as long as their sum isn't. No terms: the variance is unknown.
    """

    mean: float
    terms: tuple[tuple[float, float], ...] = ()

    @property
    def variance(self) -> float | None:
        """Squared standard error of the mean."""
        return max(0.0, sum(part for part, _ in self.terms)) if self.terms else None

    @property
    def degrees_of_freedom(self) -> float | None:
        """Satterthwaite 1946: (Σ parts)² / Σ (part² / its degrees of freedom); inf where nothing varies."""
        return satterthwaite(self.terms)

    def interval(self, level: float = 0.95) -> tuple[float | None, float | None]:
        """Student t interval of the mean; (None, None) where the variance is unknown."""
        _check_level(level)
        variance, freedom = self.variance, self.degrees_of_freedom
        if variance is None or freedom is None:
            return None, None
        half = float(special.stdtrit(freedom, (1 + level) / 2)) * variance**0.5
        return self.mean - half, self.mean + half


def satterthwaite(terms: Sequence[tuple[float, float]]) -> float | None:
    """Effective degrees of freedom of a sum of (part, degrees of freedom); None without terms.

    Where every part is 0 the limit is taken as the sum of the degrees of freedom.
    """
    if not terms:
        return None
    scale = max(abs(part) for part, _ in terms)
    if scale == 0:
        return sum(freedom for _, freedom in terms)
    shares = [(part / scale, freedom) for part, freedom in terms]
    return sum(part for part, _ in shares) ** 2 / sum(part**2 / freedom for part, freedom in shares)


def mean_and_variance(values: ArrayLike) -> tuple[float, float | None]:
    """Mean and sample variance (ddof = 1) of a flat array; None for fewer than two values.

    Taken about the first value, so that equal values have the variance 0 exactly, and differences that
    are mere rounding (1e-13 of the values) count as equal.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        return float("nan"), None
    shifted = array - array[0]
    if np.ptp(shifted) <= ROUNDING * np.max(np.abs(array)):
        shifted = np.zeros_like(shifted)
    mean = float(array[0] + shifted.mean())
    return mean, float(shifted.var(ddof=1)) if array.size > 1 else None


def known(values: ArrayLike) -> tuple[Floats, int]:
    """The finite values of a flat array and the number of unknown (NaN) ones left out.

    Raises ValueError for infinite values, which are no scores.
    """
    array = np.asarray(values, dtype=np.float64).ravel()
    if np.any(np.isinf(array)):
        raise ValueError("a score is infinite")
    missing = np.isnan(array)
    return array[~missing], int(missing.sum())


def estimate(per_run: ArrayLike) -> Estimate:
    """The mean over runs with its variance s² / n on n − 1 degrees of freedom; NaN runs left out."""
    scores, _ = known(per_run)
    mean, variance = mean_and_variance(scores)
    return Estimate(mean, () if variance is None else ((variance / scores.size, scores.size - 1.0),))


def summarize(per_run: ArrayLike, level: float = 0.95) -> Summary:
    """Mean, sample std (ddof = 1) and Student t interval over runs: mean ± t(n − 1)·s/√n.

    One number per run: average a run's evaluations first. NaN runs are left out and counted in `unknown`.
    With n = 1 std and interval are None, with n = 0 the mean is NaN.
    """
    scores, unknown = known(per_run)
    mean, variance = mean_and_variance(scores)
    over_runs = estimate(scores)
    low, high = over_runs.interval(level)
    std = None if variance is None else variance**0.5
    return Summary(mean, std, scores.size, low, high, over_runs.degrees_of_freedom, "recipe", unknown)


def wilson(successes: ArrayLike, n: ArrayLike, level: float = 0.95) -> tuple[Floats, Floats]:
    """Wilson's score interval for a share of n independent yes/no outcomes (Wilson 1927).

    (p + z²/2n ± z·√(p(1−p)/n + z²/4n²)) / (1 + z²/n). Broadcasts; NaN where n = 0. Not for scores of a
    recipe: tasks of one run are not independent trainings.
    """
    _check_level(level)
    hits, total = (np.asarray(part, dtype=np.float64) for part in (successes, n))
    if np.any(hits < 0) or np.any(hits > total):
        raise ValueError("successes must lie between 0 and n")
    z2 = float(special.ndtri((1 + level) / 2)) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        share = hits / total
        centre = (share + z2 / (2 * total)) / (1 + z2 / total)
        half = np.sqrt(z2 * (share * (1 - share) / total + z2 / (4 * total**2))) / (1 + z2 / total)
    low = np.where(hits == 0, np.where(total > 0, 0.0, np.nan), centre - half)
    high = np.where(hits == total, np.where(total > 0, 1.0, np.nan), centre + half)
    return np.asarray(low), np.asarray(high)


def clustered_standard_error(values: ArrayLike, clusters: ArrayLike, correct: bool = True) -> Any:
    """Standard error of the flat mean over outputs when outputs of one task go together.

    √(Σ over clusters of (Σ within of (x − mean))²) / n, times √(G / (G − 1)) for G clusters unless
    `correct` is off (Cameron & Miller 2015; the form for evaluations is Miller 2024, "Adding error bars to
    evals"). With one output per cluster it is s/√n. Values (..., outputs), clusters (outputs,); the answer
    has shape (...). NaN where fewer than two clusters or an unknown value leave it unknown.
    """
    array = np.asarray(values, dtype=np.float64)
    _, index, sizes = np.unique(np.asarray(clusters), return_inverse=True, return_counts=True)
    if index.shape != array.shape[-1:]:
        raise ValueError(f"{index.size} cluster numbers for values of shape {array.shape}")
    if sizes.size < 2:
        return np.full(array.shape[:-1], np.nan)[()]
    order = np.argsort(index, kind="stable")
    centred = (array - array.mean(axis=-1, keepdims=True))[..., order]
    sums = np.add.reduceat(centred, np.concatenate([[0], np.cumsum(sizes)[:-1]]), axis=-1)
    error = np.sqrt((sums**2).sum(axis=-1)) / index.size
    return (error * (np.sqrt(sizes.size / (sizes.size - 1)) if correct else 1.0))[()]


def summarize_clustered(values: ArrayLike, clusters: ArrayLike, level: float = 0.95) -> Summary:
    """Flat mean over the outputs of one checkpoint with an interval over *its* tasks.

    Student t on G − 1 degrees of freedom with the clustered standard error; n is the number of clusters
    and std the standard error · √G. Says nothing about other trainings.
    """
    array = np.asarray(values, dtype=np.float64)
    groups = np.unique(np.asarray(clusters)).size
    error = float(clustered_standard_error(array, clusters))
    mean = float(array.mean()) if array.size else float("nan")
    if np.isnan(error):
        return Summary(mean, None, groups, None, None, scope="tasks of this checkpoint", tasks=groups)
    over_tasks = Estimate(mean, ((error**2, groups - 1.0),))
    low, high = over_tasks.interval(level)
    std = error * groups**0.5
    return Summary(mean, std, groups, low, high, groups - 1.0, "tasks of this checkpoint", tasks=groups)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise UserError(
            f"An interval can't have the level {level}. Give a share between 0 and 1, as in 0.95."
        )
