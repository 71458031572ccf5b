"""How many runs are needed, and what the runs at hand can detect: the power of the verdict that is shown.

In come a std between runs, a number of runs and of variants; out come chances, differences and runs. The
power is that of `core.spread.verdict` in a table of so many variants, simulated with fixed seeds, so it is
the same on every call. All answers are as uncertain as the std that they start from; what can't be known is
None.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy import special

from core.errors import UserError
from core.scoring.metrics import Floats
from core.seeds import generator
from core.spread.components import variance_interval
from core.spread.resolution import UNDECIDED
from core.spread.variances import largest_variance
from core.spread.verdict import critical_against

TABLES = 10_000
"""Simulated tables behind a power: its standard error is at most 0.005."""
MOST_RUNS = 100_000
_DIGITS = 2


def power(
    difference: float,
    std: float,
    runs: int,
    variants: int = 2,
    level: float = 0.95,
    step: float | None = None,
) -> float | None:
    """The chance that the verdict on one variant, which truly differs so much from the baseline, says so.

    `runs` of each of `variants`, normal scores with this std, counted in steps of `step`. None below 2 runs
    and for a std that is unknown or 0: no noise at all is not known, but unknown.
    """
    if not _plannable(std, runs):
        return None
    wins = np.searchsorted(_thresholds(runs, variants, level, _least(std, step)), abs(difference) / std)
    return float(wins / TABLES)


def detectable_difference(
    std: float,
    runs: int,
    variants: int = 2,
    power_wanted: float = 0.8,
    level: float = 0.95,
    step: float | None = None,
) -> float | None:
    """The smallest true difference from the baseline that the verdict finds with this power; None as in
    `power`.
    """
    _check_share(power_wanted, "power")
    if not _plannable(std, runs):
        return None
    return std * max(
        0.0, float(np.quantile(_thresholds(runs, variants, level, _least(std, step)), power_wanted))
    )


def runs_needed(
    difference: float,
    std: float,
    variants: int = 2,
    power_wanted: float = 0.8,
    level: float = 0.95,
    step: float | None = None,
) -> int | None:
    """The smallest number of runs per variant with which the verdict finds this difference with this power.

    At least 2. None for a difference of 0, an unknown std or one of 0, and beyond 100,000 runs. The search
    starts where Student's test would be content, which is never too late.
    """
    _check_share(power_wanted, "power")
    if not _plannable(std, 2) or not math.isfinite(difference) or difference == 0:
        return None

    def enough(runs: int) -> bool:
        return (power(difference, std, runs, variants, level, step) or 0.0) >= power_wanted

    effect = abs(difference) / std
    quantiles = float(special.ndtri((1 + level) / 2) + special.ndtri(power_wanted))
    ratio = max(quantiles, 0.0) / effect if effect > 0 else math.inf  # beside a huge std it may be 0
    if ratio > math.sqrt(MOST_RUNS / 2):
        return None
    low = max(2, math.floor(2 * ratio**2))
    return low if enough(low) else _first(enough, low)


def std_interval(std: float, freedom: float, level: float = 0.95) -> tuple[float | None, float | None]:
    """Chi-square interval of a std with so many degrees of freedom; (None, None) without any.

    With two runs in the pilot (1 degree of freedom) the std is known within a factor of 70.
    """
    if std is None or not freedom > 0 or not math.isfinite(std):
        return None, None
    low, high = variance_interval(std**2, freedom, level)
    return low**0.5, high**0.5


@lru_cache(maxsize=512)
def _thresholds(runs: int, variants: int, level: float, least: float) -> Floats:
    """For each of `TABLES` tables of std 1 the true difference from which on the verdict is "better", sorted.

    All that matters of a table: the χ² variances of the two variants, that of all others together, one
    difference. `least` is the smallest variance that the resolution allows.
    """
    rng, freedom = generator(0, "planning", runs, variants), runs - 1
    own = rng.chisquare(freedom, size=(2, TABLES)) / freedom
    others = rng.chisquare(freedom * (variants - 2), size=TABLES) if variants > 2 else 0.0
    change = rng.normal(size=TABLES) * (2 / runs) ** 0.5
    pooled = (freedom * own.sum(axis=0) + others) / (freedom * variants)
    deviation = np.sqrt(largest_variance(pooled, own, least).sum(axis=0) / runs)
    critical = critical_against((runs,) * variants, 0, float(freedom * variants), level)
    return np.sort(critical * deviation - change)


def _least(std: float, step: float | None) -> float:
    """The least variance of a score counted in steps, in units of std², to two digits, so that it is
    cached.
    """
    least = 0.0 if step is None else UNDECIDED * (step / std) ** 2
    return float(f"{least:.{_DIGITS}g}")


def _first(enough: Callable[[int], bool], low: int) -> int | None:
    """The first number above `low` that is enough: doubled until one is, then halved."""
    high = 2 * low
    while not enough(high):
        low, high = high, 2 * high
        if high > 2 * MOST_RUNS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _plannable(std: float, runs: int) -> bool:
    return std is not None and math.isfinite(std) and std > 0 and runs >= 2


def _check_share(value: float, name: str) -> None:
    if not 0 < value < 1:
        raise UserError(f"The {name} {value} is no share between 0 and 1. Give one, as in 0.8.")
