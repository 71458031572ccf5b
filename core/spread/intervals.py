"""Mean ± std with its interval, and over what it generalises.

The statistical unit is the run (one training), unless the scope says otherwise: tasks are crossed with
trainings, evaluations are nested in them. In come scores per run, or runs of evaluations (of tasks); out
comes a `Summary`. Unknown scores (NaN) are left out and counted; with one unit the std is unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from core.errors import UserError
from core.scoring.metrics import Floats

ROUNDING = 1e-13
"""Differences below this share of the values are rounding, not spread."""
SKEWED = 0.2
"""A share whose std exceeds this part of its distance to an end of the scale is taken to be skewed."""


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
    negative as long as their sum isn't. No terms: the variance is unknown. `common` is one more, of the
    evaluation seeds that all runs share; it keeps its own quantile in the interval, as Satterthwaite's single
    one falls short where there are two seeds.
    """

    mean: float
    terms: tuple[tuple[float, float], ...] = ()
    common: tuple[float, float] | None = None

    @property
    def variance(self) -> float | None:
        """Squared standard error of the mean."""
        if not self.terms:
            return None
        return max(0.0, sum(part for part, _ in self.terms)) + (self.common[0] if self.common else 0.0)

    @property
    def degrees_of_freedom(self) -> float | None:
        """Satterthwaite 1946: (Σ parts)² / Σ (part² / its degrees of freedom); inf where nothing varies."""
        return satterthwaite((*self.terms, *([self.common] if self.common else [])))

    def interval(self, level: float = 0.95) -> tuple[float | None, float | None]:
        """Student t interval of the mean; (None, None) where the variance is unknown."""
        half = self.half_width(level)
        return (None, None) if half is None else (self.mean - half, self.mean + half)

    def half_width(self, level: float = 0.95) -> float | None:
        """t·√variance; with a `common` term √(t²·variance of the terms + t²·common), each with its own
        quantile, which covers at least `level` (Banerjee 1960).
        """
        _check_level(level)
        freedom = satterthwaite(self.terms)
        if freedom is None:
            return None
        parts = [(max(0.0, sum(part for part, _ in self.terms)), freedom)]
        parts += [self.common] if self.common else []
        quantiles = special.stdtrit([freedom for _, freedom in parts], (1 + level) / 2).tolist()
        return float(np.sqrt(sum(q**2 * part for q, (part, _) in zip(quantiles, parts, strict=True))))


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


def share_interval(
    over: Estimate, units: int | None, level: float = 0.95, step: float | None = None
) -> tuple[float | None, float | None]:
    """Interval for the mean of a share over `units` runs, within 0…1; (None, None) where it is unknown.

    With `units` None it is only kept within 0…1.

    Student's t; and where one unit's std exceeds a fifth of the distance to an end of the scale, scores are
    skewed, and the interval reaches as far as one whose variance grows with the mean: all μ with
    (mean − μ)² ≤ half²·μ/mean, at half the error. Simulated coverage near 0 of a nominal .95: counts of 29
    tasks .957 or more, exponential scores .945 or more, where Student's has .93 and .88 (docs/statistics.md).
    """
    half, wide = over.half_width(level), over.half_width((1 + level) / 2)
    if half is None or wide is None or units == 0:
        return None, None
    low, high = over.mean - half, over.mean + half
    if units is None:
        return max(0.0, low), min(1.0, high)
    deviation, least = ((over.variance or 0.0) * units) ** 0.5, (step or 0.0) / units
    for distance, sign in ((max(over.mean, least), 1), (max(1 - over.mean, least), -1)):
        if distance > 0 and deviation > SKEWED * distance:
            shift = wide**2 / distance / 2
            reach = (wide**2 + shift**2) ** 0.5
            low = min(low, over.mean + sign * shift - reach)
            high = max(high, over.mean + sign * shift + reach)
    return max(0.0, low), min(1.0, high)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise UserError(
            f"An interval can't have the level {level}. Give a share between 0 and 1, as in 0.95."
        )
