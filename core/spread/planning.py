"""How many runs are needed, and what the runs at hand can detect.

All answers are for the comparison of two variants with equal numbers of runs by a two-sided t test, from
the std between runs of a pilot. They are as uncertain as that std, and say so. Variances that came out
negative count as 0; what can't be known is None.
"""

import math
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike
from scipy import special

from core.errors import UserError
from core.spread.components import variance_interval
from core.spread.distributions import t_test_power
from core.spread.metrics import Floats

MOST_STEPPED = 10**6
MOST_RUNS = 10**12


@dataclass(frozen=True)
class Plan:
    """Runs per variant for a wanted difference. None is unknown or, for `runs`, no number would do.

    `runs_low` and `runs_high` follow from the interval of the pilot's std (`std_low`, `std_high`), whose
    degrees of freedom are `freedom`; None there means that the pilot sets no limit. `power` is the one
    reached with `runs`, at least the one asked for.
    """

    difference: float
    std: float
    evaluations: int
    runs: int | None
    power: float | None
    std_low: float | None
    std_high: float | None
    runs_low: int | None
    runs_high: int | None


@dataclass(frozen=True)
class Allocation:
    """How to divide effort: evaluations per training, the std of such a run's mean, its cost.

    `unrounded` is the classical optimum before rounding. `runs` and `detectable` are set where a budget is.
    """

    evaluations: int
    unrounded: float
    std: float
    cost: float
    runs: int | None = None
    detectable: float | None = None


def power(
    difference: ArrayLike,
    std: ArrayLike,
    runs: ArrayLike,
    level: float = 0.95,
    other_runs: ArrayLike | None = None,
) -> Floats:
    """The chance to find a true difference: P(|T| > t), T noncentral t.

    Degrees of freedom n_a + n_b − 2, noncentrality difference / (std·√(1/n_a + 1/n_b)) (Cohen 1988). `runs`
    is per variant, need not be whole, and may differ for the other variant. Broadcasts. NaN below 2 runs
    or where anything is unknown; 1 for a difference without spread, and 1 − level for no difference.
    """
    _check_share(level, "level")
    effect, spread, first = (np.asarray(x, dtype=np.float64) for x in (difference, std, runs))
    second = first if other_runs is None else np.asarray(other_runs, dtype=np.float64)
    freedom = first + second - 2
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.abs(effect) / (spread * np.sqrt(1 / first + 1 / second))
        shift = np.where((effect == 0) & (spread >= 0), 0.0, shift)
        critical = special.stdtrit(freedom, (1 + level) / 2)
    known = (shift >= 0) & (first >= 2) & (second >= 2)
    shift, freedom, critical = (np.where(known, part, 2.0) for part in (shift, freedom, critical))
    return np.asarray(np.where(known, np.clip(t_test_power(shift, freedom, critical), 0, 1), np.nan))


def detectable_difference(
    std: float, runs: int, power_wanted: float = 0.8, level: float = 0.95
) -> float | None:
    """The smallest true difference that so many runs per variant find with this power.

    None below 2 runs or for an unknown std; 0 where nothing varies. Root of `power` in the difference.
    """
    _check_share(power_wanted, "power")
    if runs < 2 or std is None or not math.isfinite(std) or std < 0:
        return None
    if std == 0 or power_wanted <= 1 - level:
        return 0.0
    top = 2.0
    while float(power(top, 1.0, runs, level)) < power_wanted:
        top *= 2
    return std * float(
        scipy.optimize.brentq(lambda d: float(power(d, 1.0, runs, level)) - power_wanted, 0, top, xtol=1e-12)
    )


def runs_needed(difference: float, std: float, power_wanted: float = 0.8, level: float = 0.95) -> int | None:
    """The smallest whole number of runs per variant that finds this difference with this power; at least 2.

    From the normal approximation, then step by step over whole numbers (beyond a million the approximation
    is right to 1 in a million and stands). None for a difference of 0, an unknown input, or more than 10¹²
    runs: no number would do.
    """
    effect = _effect(difference, std, power_wanted)
    if effect is None:
        return None
    if math.isinf(effect):
        return 2
    quantiles = float(special.ndtri((1 + level) / 2) + special.ndtri(power_wanted))
    runs = max(2, math.ceil(2 * (max(quantiles, 0.0) / effect) ** 2))
    if runs > MOST_STEPPED:
        return runs if runs <= MOST_RUNS else None
    while float(power(effect, 1.0, runs, level)) < power_wanted:
        runs += 1
    while runs > 2 and float(power(effect, 1.0, runs - 1, level)) >= power_wanted:
        runs -= 1
    return runs


def fractional_runs(
    difference: float, std: float, power_wanted: float = 0.8, level: float = 0.95
) -> float | None:
    """`runs_needed` before rounding up: where power, taken over real n ≥ 2, is the one wanted."""
    whole, effect = runs_needed(difference, std, power_wanted, level), _effect(difference, std, power_wanted)
    if whole is None or effect is None:
        return None
    if whole == 2 or whole > MOST_STEPPED:
        return float(whole)
    return float(
        scipy.optimize.brentq(
            lambda n: float(power(effect, 1.0, n, level)) - power_wanted, whole - 1, whole, xtol=1e-10
        )
    )


def std_interval(std: float, freedom: float, level: float = 0.95) -> tuple[float | None, float | None]:
    """Chi-square interval of a std with so many degrees of freedom; (None, None) without any.

    With two runs in the pilot (1 degree of freedom) the std is known within a factor of 70.
    """
    if std is None or not freedom > 0 or not math.isfinite(std):
        return None, None
    low, high = variance_interval(std**2, freedom, level)
    return low**0.5, high**0.5


def std_of_run(training_variance: float, evaluation_variance: float, evaluations: int) -> float:
    """Std between run means with so many evaluations each: √(training + evaluation / evaluations)."""
    if evaluations < 1:
        raise ValueError("a run needs at least one evaluation")
    return math.sqrt(max(0.0, training_variance) + max(0.0, evaluation_variance) / evaluations)


def plan(
    difference: float,
    training_variance: float,
    evaluation_variance: float = 0.0,
    evaluations: int = 1,
    freedom: float | None = None,
    power_wanted: float = 0.8,
    level: float = 0.95,
) -> Plan:
    """Runs per variant for a wanted difference, with the uncertainty that the pilot leaves.

    The variances come from `run_components` (where only run means are known, give their variance as
    `training_variance`); `freedom` are the pilot's degrees of freedom between runs (runs − variants).
    """
    std = std_of_run(training_variance, evaluation_variance, evaluations)
    runs = runs_needed(difference, std, power_wanted, level)
    low, high = std_interval(std, freedom or 0, level)
    return Plan(
        difference,
        std,
        evaluations,
        runs,
        None if runs is None else float(power(difference, std, runs, level)),
        low,
        high,
        None if low is None else runs_needed(difference, low, power_wanted, level),
        None if high is None else runs_needed(difference, high, power_wanted, level),
    )


def best_evaluations(
    training_variance: float,
    evaluation_variance: float,
    training_cost: float,
    evaluation_cost: float,
    most: int = 100,
) -> Allocation:
    """How many evaluations per training give the most certainty for the effort, between 1 and `most`.

    Minimises cost × variance, (c_t + c_e·e)·(σ_t² + σ_e²/e). The classical optimum is
    √(c_t/c_e · σ_e²/σ_t²) (Cochran 1977, chapter 10); the whole numbers around it are compared.
    Costs are in any one unit, such as minutes.
    """
    _check_costs(training_cost, evaluation_cost)
    training, evaluation = max(0.0, training_variance), max(0.0, evaluation_variance)
    if evaluation == 0 or training_cost == 0:
        unrounded = 0.0
    elif training == 0 or evaluation_cost == 0:
        unrounded = math.inf
    else:
        unrounded = math.sqrt(training_cost / evaluation_cost * evaluation / training)
    near = min(max(unrounded, 1.0), float(most))

    def effort(count: int) -> float:
        return (training_cost + evaluation_cost * count) * (training + evaluation / count)

    best = min(sorted({math.floor(near), math.ceil(near)}), key=effort)
    std = std_of_run(training, evaluation, best)
    return Allocation(best, unrounded, std, training_cost + evaluation_cost * best)


def spend(
    budget: float,
    training_variance: float,
    evaluation_variance: float,
    training_cost: float,
    evaluation_cost: float,
    most: int = 100,
    power_wanted: float = 0.8,
    level: float = 0.95,
) -> Allocation | None:
    """Runs and evaluations per variant that detect the smallest difference within a budget per variant.

    Every whole number of evaluations up to `most` is tried with as many runs as the budget allows; unlike
    `best_evaluations` this counts what few runs cost in degrees of freedom. None where the budget doesn't
    pay for two runs.
    """
    _check_costs(training_cost, evaluation_cost)
    usual = best_evaluations(training_variance, evaluation_variance, training_cost, evaluation_cost, most)
    best: Allocation | None = None
    for evaluations in range(1, most + 1):
        cost = training_cost + evaluation_cost * evaluations
        runs = math.floor(budget / cost + 1e-9)
        if runs < 2:
            break
        std = std_of_run(training_variance, evaluation_variance, evaluations)
        found = detectable_difference(std, runs, power_wanted, level)
        if found is not None and (
            best is None or best.detectable is None or found < best.detectable * (1 - 1e-9)
        ):
            best = Allocation(evaluations, usual.unrounded, std, cost * runs, runs, found)
    return best


def _effect(difference: float, std: float, power_wanted: float) -> float | None:
    """|difference| / std; inf where nothing varies; None where no number of runs can be named."""
    _check_share(power_wanted, "power")
    if difference is None or std is None or not math.isfinite(difference) or not math.isfinite(std):
        return None
    if difference == 0 or std < 0:
        return None
    return math.inf if std == 0 else abs(difference) / std


def _check_share(value: float, name: str) -> None:
    if not 0 < value < 1:
        raise UserError(f"The {name} {value} is no share between 0 and 1. Give one, as in 0.8.")


def _check_costs(training_cost: float, evaluation_cost: float) -> None:
    if training_cost < 0 or evaluation_cost < 0 or training_cost + evaluation_cost == 0:
        raise UserError(
            "Costs can't be negative or both 0. Give the minutes of a training and an evaluation."
        )
