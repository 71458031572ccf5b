"""The verdict at the other scopes: these checkpoints over new evaluations, and recipes over new tasks.

In come two variants as runs → evaluations (→ tasks), out comes the `Comparison` of the one against the other.
The error of a table is shared by Bonferroni's inequality, as these differences have spreads of their own.
"""

from dataclasses import replace

import numpy as np

from core.errors import UserError
from core.spread.intervals import ROUNDING, Estimate, mean_and_variance
from core.spread.judging_variance import Resolution
from core.spread.scopes import Cells, Runs, cells_of, exceeds, mean_squares, scope_estimate, whole_runs
from core.spread.verdict import CANNOT_TELL, OTHERS_SHARE, Comparison, two_sided_p, word


def comparisons_beside(others: int, *, with_baseline: bool, baseline_evaluated: bool = True) -> float:
    """How many comparisons share the error of this one, in a table of so many evaluated variants beside the
    baseline: those with the baseline, or all other pairs, which together get half of the error where there
    are comparisons with the baseline."""
    if with_baseline:
        return max(1, others)
    return max(1, others * (others - 1) / 2) / (OTHERS_SHARE if baseline_evaluated else 1)


def compare_scope(
    a: Runs,
    b: Runs,
    scope: str,
    level: float = 0.95,
    higher_is_better: bool = True,
    comparisons: float = 1,
    shared: bool = False,
    resolution: Resolution | None = None,
) -> Comparison:
    """Variant b against a at "checkpoint" or "new_tasks", each runs → evaluations (→ tasks, the same in
    both).

    checkpoint: the variance between evaluations of each variant; with `shared` evaluations their differences
    seed by seed, which cancels what the views have in common. It judges these trained models only. new_tasks:
    trainings of either variant and the tasks they share are random; with D_t the difference on task t, s_D²
    its variance over T tasks and MS the mean squares of each runs × tasks table,
        Var = MS_training,a/(R_a·T) + MS_training,b/(R_b·T) + max(0, s_D² − MS_inter,a/R_a − MS_inter,b/R_b)/T
    with Satterthwaite's degrees of freedom. `recipe` is judged by `core.spread.verdict.judge`.
    """
    first, second = cells_of(a), cells_of(b)
    if scope == "new_tasks":
        over = _shared_tasks(first, second)
    elif scope == "checkpoint":
        over = _paired(first, second, resolution) if shared else _nested(a, b, resolution)
    else:
        raise ValueError(f"scope '{scope}' is judged elsewhere")
    if abs(over.mean) <= ROUNDING * max((abs(run).max() for run in (*first.runs, *second.runs)), default=0.0):
        over = replace(over, mean=0.0)
    variance, freedom = over.variance, over.degrees_of_freedom
    alone = None if variance is None or freedom is None else two_sided_p(over.mean, variance, freedom)
    counts = len(first.runs), len(second.runs)
    if alone is None:
        return Comparison(over.mean, None, None, None, CANNOT_TELL, None, None, *counts, scope)
    p = min(1.0, comparisons * alone)
    low, high = over.interval(1 - (1 - level) / comparisons)
    verdict = word(over.mean, p, level, higher_is_better)
    return Comparison(over.mean, low, high, p, verdict, alone, freedom, *counts, scope, level)


def _nested(a: Runs, b: Runs, resolution: Resolution | None) -> Estimate:
    first, second = (scope_estimate(runs, "checkpoint", resolution=resolution) for runs in (a, b))
    terms = first.terms + second.terms if first.terms and second.terms else ()
    return Estimate(second.mean - first.mean, terms)


def _paired(first: Cells, second: Cells, resolution: Resolution | None) -> Estimate:
    """The difference seed by seed, averaged over the runs of each variant that lack no evaluation."""
    if not first.runs or not second.runs:
        return Estimate(float("nan"))
    one, other = (
        np.mean([run.mean(axis=1) for run in whole_runs(cells)], axis=0) for cells in (first, second)
    )
    mean = float(np.mean([run.mean() for run in second.runs]) - np.mean([run.mean() for run in first.runs]))
    _, variance = mean_and_variance(other - one)
    if variance is None:
        return Estimate(mean)
    seeds, least = one.size, 0.0
    if resolution is not None:
        units = [len(whole_runs(cells)) for cells in (first, second)]
        averages = np.array([one.mean(), other.mean()])
        least = float((resolution.least_variance(averages, np.array(units) * seeds) / units).sum())
    return Estimate(mean, ((max(variance, least) / seeds, seeds - 1.0),))


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
