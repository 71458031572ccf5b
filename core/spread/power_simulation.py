"""Tables of an experiment that is still to be launched, drawn from what is known of its noise and judged.

In come the noise between runs and a design (runs, variants), out come chances that the verdict of
`core.spread.verdict` finds a true difference. Seeds are fixed. Scores are drawn as they are: shares as counts
of yes and no, whose noise grows away from 0 and 1 and whose rate is itself uncertain; all others as normal
numbers.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from core.scoring.metrics import Floats
from core.seeds import generator
from core.spread.judging_variance import UNDECIDED, Resolution, largest_variance
from core.spread.verdict import critical_against

TABLES = 10_000
"""Simulated tables behind a chance: its standard error is at most 0.005."""
SHARE_TABLES = 4_000
"""The same for shares: at most 0.008."""
COUNTED_FREEDOM = 1.0
"""For how many degrees of freedom the variance of independent tasks counts, beside the std that was seen."""
MOST_ANSWERS = 1e9
_DIGITS = 2


@dataclass(frozen=True)
class RunNoise:
    """What is known of the scores of runs that are still to be made.

    `std` is that between runs, on `freedom` degrees of freedom (infinite: for certain); `step` how much one
    task or attempt moves a score. `mean` is that of a share, over `seen` runs; None for scores that are no
    shares. `counted`: a run's score is the share of right ones among 1 / step tasks.
    """

    std: float
    freedom: float = math.inf
    step: float | None = None
    mean: float | None = None
    seen: int = 0
    counted: bool = False

    @property
    def is_certain(self) -> bool:
        """Whether nothing but the noise itself is uncertain."""
        return math.isinf(self.freedom)


def chance_found(difference: float, noise: RunNoise, runs: int, variants: int, level: float) -> float:
    """The share of tables in which the verdict finds a true difference of this size from the baseline."""
    if noise.mean is None:
        sorted_ = _thresholds(runs, variants, level, _least(noise), noise.freedom)
        return float(np.searchsorted(sorted_, difference / noise.std) / TABLES)
    return _share_found(difference, noise, runs, variants, level)


def difference_found(noise: RunNoise, runs: int, variants: int, level: float, wanted: float) -> float:
    """The difference that the verdict finds in so many tables, had the scores no ends."""
    sorted_ = _thresholds(runs, variants, level, _least(noise), noise.freedom)
    return noise.std * max(0.0, float(np.quantile(sorted_, wanted)))


def largest_difference(noise: RunNoise) -> float:
    """How far a share may lie from its mean, towards the farther end of the scale, where its noise is
    larger."""
    return max(noise.mean or 0.0, 1 - (noise.mean or 0.0))


@lru_cache(maxsize=256)
def _thresholds(runs: int, variants: int, level: float, least: float, seen: float) -> Floats:
    """For each of `TABLES` tables of a std seen as 1 the true difference from which on the verdict is
    "better", sorted.

    All that matters of a table: the χ² variances of the two variants, that of all others together, one
    difference, and how far the true variance lies from the one seen on `seen` degrees of freedom. `least` is
    the smallest variance that the resolution allows.
    """
    rng, freedom = generator(0, "planning", runs, variants), runs - 1
    own = rng.chisquare(freedom, size=(2, TABLES)) / freedom
    others = rng.chisquare(freedom * (variants - 2), size=TABLES) if variants > 2 else 0.0
    change = rng.normal(size=TABLES) * (2 / runs) ** 0.5
    pooled = (freedom * own.sum(axis=0) + others) / (freedom * variants)
    true = np.ones(TABLES) if math.isinf(seen) else seen / rng.chisquare(seen, size=TABLES)
    deviation = np.sqrt(largest_variance(true * pooled, true * own, least).sum(axis=0) / runs)
    return np.sort(_critical(runs, variants, level) * deviation - np.sqrt(true) * change)


@dataclass(frozen=True)
class _Shares:
    """Drawn tables of shares, each array (tables,): the true rate, so many independent answers as make the
    noise of one run, the baseline's mean, its variance, χ²/ν of the variant, and the sum of squares of all
    others."""

    rate: Floats
    answers: Floats
    mean: Floats
    variance: Floats
    own: Floats
    others: Floats


@lru_cache(maxsize=8)
def _drawn_shares(noise: RunNoise, runs: int, variants: int) -> _Shares:
    """Tables without a true difference.

    The variance of a run is rate·(1 − rate) / answers. Where it is uncertain, it is drawn from the scaled
    inverse χ² distribution, and the rate from the beta distribution that follows from Jeffreys' prior.
    """
    assert noise.mean is not None
    rng, freedom = generator(0, "planning of shares", runs, variants), runs - 1
    spread, rate = noise.mean * (1 - noise.mean), np.full(SHARE_TABLES, noise.mean)
    variance = np.full(SHARE_TABLES, noise.std**2)
    if not noise.is_certain:
        total, known = noise.freedom * noise.std**2, noise.freedom
        if noise.counted and noise.step:
            total, known = total + COUNTED_FREEDOM * spread * noise.step, known + COUNTED_FREEDOM
        variance = total / rng.chisquare(known, size=SHARE_TABLES)
    answers = np.clip(spread / variance, 1.0, MOST_ANSWERS)
    if not noise.is_certain:
        seen = answers * max(1, noise.seen)
        rate = rng.beta(noise.mean * seen + 0.5, (1 - noise.mean) * seen + 0.5)
    means = [_mean(rng, answers * count, rate) for count in (runs, max(1, runs * (variants - 2)))]
    own = rng.chisquare(freedom, size=(2, SHARE_TABLES)) / freedom
    others = rng.chisquare(max(1, freedom * (variants - 2)), size=SHARE_TABLES) * (variants > 2)
    first, rest = (mean * (1 - mean) / answers for mean in means)
    return _Shares(rate, answers, means[0], own[0] * first, own[1], others * rest)


def _share_found(difference: float, noise: RunNoise, runs: int, variants: int, level: float) -> float:
    """The variant is moved towards the farther end of the scale, where its noise is larger."""
    drawn, freedom = _drawn_shares(noise, runs, variants), runs - 1
    sign = 1 if (noise.mean or 0.0) <= 0.5 else -1
    rng = generator(0, "planning of a share", runs)
    mean = _mean(rng, drawn.answers * runs, np.clip(drawn.rate + sign * difference, 0, 1))
    own = np.stack([drawn.variance, drawn.own * mean * (1 - mean) / drawn.answers], axis=1)
    pooled = (freedom * own.sum(axis=1) + drawn.others) / (freedom * variants)
    least = Resolution(noise.step).least_variance(np.stack([drawn.mean, mean], axis=1), runs)
    judged = largest_variance(pooled[:, None], own, least).sum(axis=1)
    return float(
        np.mean(sign * (mean - drawn.mean) > _critical(runs, variants, level) * np.sqrt(judged / runs))
    )


def _mean(rng: np.random.Generator, answers: Floats, rate: Floats) -> Floats:
    """The share of so many independent answers that are right."""
    total = np.rint(answers).astype(np.int64)
    return np.asarray(rng.binomial(total, rate) / total)


def _critical(runs: int, variants: int, level: float) -> float:
    return critical_against((runs,) * variants, 0, float((runs - 1) * variants), level)


def _least(noise: RunNoise) -> float:
    """The least variance of a score counted in steps, in units of std², to two digits, so that it is
    cached.
    """
    least = 0.0 if noise.step is None else UNDECIDED * (noise.step / noise.std) ** 2
    return float(f"{least:.{_DIGITS}g}")
