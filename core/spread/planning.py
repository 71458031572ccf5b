"""How many runs are needed, and what the runs at hand can detect: the power of the verdict that is shown.

In come what is known of the noise between runs, a number of runs and of variants; out come chances,
differences and runs. The power is that of `core.spread.verdict` in a table of so many variants, in simulated
tables (`core.spread.power_simulation`), so it is the same on every call. Where the noise is known from few
runs only, the tables draw it too: a difference "found in 4 of 5 cases" is found so often over all that the
pilot leaves possible. What can't be known is None.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from scipy import special

from core.errors import UserError
from core.spread.components import variance_interval
from core.spread.power_simulation import RunNoise, chance_found, difference_found, largest_difference

MOST_RUNS = 100_000
_HALVINGS = 5


def power(
    difference: float, noise: RunNoise, runs: int, variants: int = 2, level: float = 0.95
) -> float | None:
    """The chance that the verdict on one variant, which truly differs so much from the baseline, says so.

    `runs` of each of `variants`. None below 2 runs and for a std that is unknown or 0: no noise at all is not
    known, but unknown.
    """
    return chance_found(abs(difference), noise, runs, variants, level) if _plannable(noise, runs) else None


@lru_cache(maxsize=1024)
def detectable_difference(
    noise: RunNoise, runs: int, variants: int = 2, power_wanted: float = 0.8, level: float = 0.95
) -> float | None:
    """The smallest true difference from the baseline that the verdict finds with this power; None as in
    `power`, and where a share has no room for one.
    """
    _check_share(power_wanted, "power")
    if not _plannable(noise, runs):
        return None
    normal = difference_found(noise, runs, variants, level, power_wanted)
    return (
        normal
        if noise.mean is None
        else _share_difference(normal, noise, runs, variants, power_wanted, level)
    )


@lru_cache(maxsize=1024)
def runs_needed(
    difference: float, noise: RunNoise, variants: int = 2, power_wanted: float = 0.8, level: float = 0.95
) -> int | None:
    """The smallest number of runs per variant with which the verdict finds this difference with this power.

    At least 2. None for a difference of 0, an unknown std or one of 0, and beyond 100,000 runs. The search
    starts below what Student's test needs.
    """
    _check_share(power_wanted, "power")
    if not _plannable(noise, 2) or not math.isfinite(difference) or difference == 0:
        return None

    def enough(runs: int) -> bool:
        return (power(difference, noise, runs, variants, level) or 0.0) >= power_wanted

    effect = abs(difference) / noise.std
    quantiles = float(special.ndtri((1 + level) / 2) + special.ndtri(power_wanted))
    ratio = max(quantiles, 0.0) / effect if effect > 0 else math.inf  # beside a huge std it may be 0
    if ratio > math.sqrt(MOST_RUNS / 2):
        return None
    low = max(2, math.floor(2 * ratio**2 / (1 if noise.is_certain else 8)))
    return low if enough(low) else _first(enough, low)


def noise_interval(noise: RunNoise, level: float = 0.95) -> tuple[RunNoise | None, RunNoise | None]:
    """The noise at either end of `std_interval`, taken for certain; (None, None) where that is unknown."""
    low, high = std_interval(noise.std, noise.freedom, level)
    if low is None or high is None:
        return None, None
    return replace(noise, std=low, freedom=math.inf), replace(noise, std=high, freedom=math.inf)


def std_interval(std: float, freedom: float, level: float = 0.95) -> tuple[float | None, float | None]:
    """Chi-square interval of a std with so many degrees of freedom; (None, None) without any.

    With two runs in the pilot (1 degree of freedom) the std is known within a factor of 70.
    """
    if std is None or not freedom > 0 or not math.isfinite(std):
        return None, None
    low, high = variance_interval(std**2, freedom, level)
    return low**0.5, high**0.5


def _share_difference(
    guess: float, noise: RunNoise, runs: int, variants: int, power_wanted: float, level: float
) -> float | None:
    """The same of a share, near what normal scores need, to a hundredth; None where the scale ends before
    it."""

    def enough(difference: float) -> bool:
        return chance_found(difference, noise, runs, variants, level) >= power_wanted

    most = largest_difference(noise)
    high = min(most, guess or most / 2)
    while not enough(high):
        if high >= most:
            return None
        high = min(most, 1.5 * high)
    low = high / 1.5
    while enough(low):
        low, high = low / 1.5, low
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


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


def _plannable(noise: RunNoise, runs: int) -> bool:
    return math.isfinite(noise.std) and noise.std > 0 and runs >= 2


def _check_share(value: float, name: str) -> None:
    if not 0 < value < 1:
        raise UserError(f"The {name} {value} is no share between 0 and 1. Give one, as in 0.8.")
