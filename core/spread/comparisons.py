"""Is one variant better than another? The verdict, with trainings as units.

In come the runs of two variants (one number each, or runs → evaluations → tasks for other scopes), out
comes a difference with its interval, and one of three words: "better", "worse", "cannot tell". Welch's
test over runs decides; Holm's correction answers for a whole table.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from core.errors import UserError
from core.spread.intervals import ROUNDING, Estimate, estimate, known, mean_and_variance
from core.spread.metrics import Floats
from core.spread.planning import runs_needed
from core.spread.scopes import Cells, Runs, cells_of, exceeds, mean_squares, run_means, scope_estimate

BETTER, WORSE, CANNOT_TELL = "better", "worse", "cannot tell"


@dataclass(frozen=True)
class Comparison:
    """Variant b against baseline a. None is unknown.

    `difference` is b − a with its interval, `verdict` says of b whether it is "better", "worse" or
    "cannot tell" from a. `runs_needed` is how many runs per variant would find a difference of this size
    with 80 % power, were it true. `n_a`, `n_b` count runs. `p_holm` and `verdict_holm` are set where the
    comparison is one of a table; the interval stays that of this comparison alone.
    """

    difference: float
    low: float | None
    high: float | None
    p: float | None
    verdict: str
    runs_needed: int | None
    degrees_of_freedom: float | None
    n_a: int
    n_b: int
    scope: str = "recipe"
    p_holm: float | None = None
    verdict_holm: str | None = None


def compare(
    a: ArrayLike,
    b: ArrayLike,
    level: float = 0.95,
    higher_is_better: bool = True,
    std: float | None = None,
) -> Comparison:
    """Welch's test of variant b against baseline a, each one number per run (Welch 1947).

    t = (mean b − mean a) / √(s_a²/n_a + s_b²/n_b) with Satterthwaite's degrees of freedom. NaN runs are
    left out. Below 2 runs in either: "cannot tell", p and interval None, and `runs_needed` from the std of
    the other variant or from `std` (such as the one pooled over a table). Without any spread the limits
    hold: p is 0 for different means, 1 for equal ones.
    """
    first, second = known(a)[0], known(b)[0]
    found = _compared(estimate(first), estimate(second), level, higher_is_better)
    wanted = runs_needed(found.difference, _common_std(first, second, std), level=level)
    return replace(found, runs_needed=wanted, n_a=first.size, n_b=second.size)


def compare_scope(
    a: Runs, b: Runs, scope: str = "recipe", level: float = 0.95, higher_is_better: bool = True
) -> Comparison:
    """Variant b against baseline a at a scope, each runs → evaluations (→ tasks, the same in the same order).

    recipe: Welch over run means (`compare`). checkpoint: the same with the variance between evaluations
    of each variant; it judges these trained models only. new_tasks: trainings of either variant and the
    tasks they share are random; with D_t the difference on task t, s_D² its variance over T tasks and
    MS the mean squares of each runs × tasks table,
        Var = MS_training,a/(R_a·T) + MS_training,b/(R_b·T) + max(0, s_D² − MS_inter,a/R_a − MS_inter,b/R_b)/T
    with Satterthwaite's degrees of freedom. `runs_needed` is known at scope "recipe" alone.
    """
    if scope == "recipe":
        return compare(run_means(a), run_means(b), level, higher_is_better)
    first, second = cells_of(a), cells_of(b)
    if scope == "new_tasks":
        difference = _shared_tasks(first, second)
        found = _judged(difference, scope_estimate(a, scope).mean, level, higher_is_better)
    else:
        found = _compared(scope_estimate(a, scope), scope_estimate(b, scope), level, higher_is_better)
    return replace(found, n_a=len(first.runs), n_b=len(second.runs), scope=scope)


def against_baseline(
    variants: Mapping[str, Runs],
    baseline: str,
    scope: str = "recipe",
    level: float = 0.95,
    higher_is_better: bool = True,
) -> dict[str, Comparison]:
    """Every other variant against the baseline, with Holm's correction over these comparisons.

    `variants` maps names to runs → evaluations (→ tasks). Below two runs the std pooled over all variants
    stands in for planning. Raises `UserError` for an unknown baseline.
    """
    if baseline not in variants:
        raise UserError(f"There is no variant '{baseline}'. Known: {', '.join(variants)}.")
    others = [name for name in variants if name != baseline]
    if scope == "recipe":
        means = {name: run_means(runs) for name, runs in variants.items()}
        std = pooled_std(means.values())
        found = [compare(means[baseline], means[name], level, higher_is_better, std) for name in others]
    else:
        found = [
            compare_scope(variants[baseline], variants[name], scope, level, higher_is_better)
            for name in others
        ]
    adjusted = holm([np.nan if one.p is None else one.p for one in found])
    return {
        name: one
        if one.p is None
        else replace(
            one,
            p_holm=float(p),
            verdict_holm=verdict(one.difference, float(p), level, higher_is_better),
        )
        for name, one, p in zip(others, found, adjusted, strict=True)
    }


def holm(p: ArrayLike) -> Floats:
    """Holm's adjusted p values (Holm 1979): the running maximum of (m − i + 1)·p_(i), at most 1.

    NaN (no test was made) stays NaN and doesn't count among the m tests.
    """
    values = np.asarray(p, dtype=np.float64).ravel()
    order = np.argsort(values, kind="stable")
    tests = int((~np.isnan(values)).sum())
    adjusted = np.full(values.shape, np.nan)
    steps = values[order[:tests]] * np.arange(tests, 0, -1)
    adjusted[order[:tests]] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def pooled_std(groups: Iterable[ArrayLike]) -> float | None:
    """Std between runs within variants, from the runs of each variant; None where none has two.

    √(Σ (n_v − 1)·s_v² / Σ (n_v − 1)).
    """
    scores = [known(group)[0] for group in groups]
    moments = [(group.size - 1, mean_and_variance(group)[1]) for group in scores if group.size > 1]
    freedom = sum(n for n, _ in moments)
    return float(np.sqrt(sum(n * (v or 0.0) for n, v in moments) / freedom)) if freedom else None


def verdict(difference: float, p: float | None, level: float = 0.95, higher_is_better: bool = True) -> str:
    """The word for a difference b − a: "better" or "worse" where p < 1 − level, else "cannot tell"."""
    # Rounded, as 1 − 0.95 is a little more than 0.05 in floats.
    if p is None or np.isnan(p) or p >= round(1 - level, 12) or difference == 0:
        return CANNOT_TELL
    return BETTER if (difference > 0) == higher_is_better else WORSE


def two_sided_p(difference: float, variance: float, freedom: float) -> float:
    """P(|T| ≥ |difference| / √variance); the limits 0 and 1 where the variance is 0."""
    if variance == 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * special.stdtr(freedom, -abs(difference) / np.sqrt(variance)))


def _compared(first: Estimate, second: Estimate, level: float, higher_is_better: bool) -> Comparison:
    terms = first.terms + second.terms if first.terms and second.terms else ()
    return _judged(Estimate(second.mean - first.mean, terms), first.mean, level, higher_is_better)


def _judged(difference: Estimate, reference: float, level: float, higher_is_better: bool) -> Comparison:
    """A comparison from the estimate of b − a; differences that are rounding of `reference` are 0."""
    if abs(difference.mean) <= ROUNDING * abs(reference):
        difference = replace(difference, mean=0.0)
    low, high = difference.interval(level)
    variance, freedom = difference.variance, difference.degrees_of_freedom
    p = None if variance is None or freedom is None else two_sided_p(difference.mean, variance, freedom)
    word = verdict(difference.mean, p, level, higher_is_better)
    return Comparison(difference.mean, low, high, p, word, None, freedom, 0, 0)


def _common_std(first: Floats, second: Floats, otherwise: float | None) -> float:
    """√ of the mean of the known variances, else `otherwise`, else NaN."""
    variances = [v for v in (mean_and_variance(first)[1], mean_and_variance(second)[1]) if v is not None]
    if variances:
        return float(np.sqrt(np.mean(variances)))
    return np.nan if otherwise is None else otherwise


def _shared_tasks(first: Cells, second: Cells) -> Estimate:
    """The difference second − first with trainings and shared tasks random."""
    if not first.runs or not second.runs:
        return Estimate(float("nan"))
    if not (first.has_tasks and second.has_tasks):
        raise UserError("Scope 'new_tasks' needs values per task. Choose scope 'recipe' for these results.")
    tables = [np.array([run.mean(axis=0) for run in cells.runs]) for cells in (first, second)]
    if tables[0].shape[1] != tables[1].shape[1]:
        raise ValueError("both variants must have the same tasks in the same order")
    by_task = tables[1].mean(axis=0) - tables[0].mean(axis=0)
    mean, variance = mean_and_variance(by_task)
    if variance is None or min(len(table) for table in tables) < 2:
        return Estimate(mean)
    tasks, terms, noise = by_task.size, [], []
    for table in tables:
        runs = len(table)
        _, training, rest = mean_squares(table)
        terms.append((training / (runs * tasks), runs - 1.0))
        noise.append((-rest / (runs * tasks), (runs - 1.0) * (tasks - 1.0)))
    if exceeds(variance / tasks, -sum(part for part, _ in noise)):
        terms += [(variance / tasks, tasks - 1.0), *noise]
    return Estimate(mean, tuple(terms))
