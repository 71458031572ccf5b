"""The three scopes of spread: checkpoint, recipe, new tasks.

In comes a ragged structure, runs → evaluations → a number or an array of tasks; out comes a `Summary`, or
the `Estimate` from which two variants are compared. Runs count equally whatever the number of their
evaluations, so all scopes share one mean and differ in what may vary around it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import UserError
from core.scoring.metrics import Floats
from core.spread.intervals import Estimate, Summary, mean_and_variance, share_interval
from core.spread.judging_variance import Resolution


@dataclass(frozen=True)
class Scope:
    """What a spread generalises over, what its n counts, and the name of one alone, whose std is unknown."""

    over: str
    counts: str
    alone: str


SCOPES: dict[str, Scope] = {
    "checkpoint": Scope(
        "these trained models, evaluated with other seeds; it says nothing of other trainings",
        "evaluations",
        "One evaluation of each model",
    ),
    "recipe": Scope("new trainings of the same recipe, on the same tasks", "trainings", "One training"),
    "new_tasks": Scope(
        "new trainings of the same recipe, on new tasks of the same kind",
        "trainings",
        "One training, or one task",
    ),
}

Runs = Sequence[Any]
"""Runs of one variant: each a sequence of evaluations, each a number or an array of one number per task."""


@dataclass(frozen=True)
class Cells:
    """Known evaluations of one variant. `runs[r]` has shape (evaluations, tasks) or (evaluations, 1)."""

    runs: tuple[Floats, ...]
    unknown: int
    has_tasks: bool


def cells_of(values: Runs) -> Cells:
    """Runs as arrays; evaluations with an unknown (NaN) score, and runs without any, are left out.

    Raises ValueError for a ragged task axis (every evaluation answers all tasks of its source) and for
    infinite scores.
    """
    arrays = [np.asarray(run, dtype=np.float64) for run in values]
    arrays = [run.reshape(1) if run.ndim == 0 else run for run in arrays if run.size]
    if any(run.ndim > 2 for run in arrays) or len({(run.ndim, *run.shape[1:]) for run in arrays}) > 1:
        raise ValueError(
            "each evaluation must be a number, or an array with one number for each of the tasks"
        )
    if any(np.isinf(run).any() for run in arrays):
        raise ValueError("a score is infinite")
    has_tasks = bool(arrays) and arrays[0].ndim == 2
    tables = [run if has_tasks else run[:, None] for run in arrays]
    kept = [run[~np.isnan(run).any(axis=1)] for run in tables]
    unknown = sum(len(run) for run in tables) - sum(len(run) for run in kept)
    return Cells(tuple(run for run in kept if len(run)), unknown, has_tasks)


def run_means(values: Runs) -> Floats:
    """One number per run: the mean over its evaluations (and tasks). What `summarize` and `compare` take.

    A run without known evaluations is NaN, so that runs keep their places.
    """
    return np.array([_run_mean(run) for run in values])


def _run_mean(run: Any) -> float:
    array = np.asarray(run, dtype=np.float64)
    if array.size and array.ndim <= 2 and np.isfinite(mean := array.mean()):
        return float(mean)  # nothing in it is unknown
    kept = cells_of([run]).runs
    return float(kept[0].mean()) if kept else np.nan


def task_means(values: Runs) -> Floats:
    """One number per task, shape (tasks,): evaluations averaged within runs, then over runs."""
    cells = cells_of(values)
    if not cells.has_tasks:
        raise UserError("These results have no values per task. Choose a source with predictions.")
    return np.asarray(np.mean([run.mean(axis=0) for run in cells.runs], axis=0))


def scope_estimate(
    values: Runs, scope: str = "recipe", shared: bool = False, resolution: Resolution | None = None
) -> Estimate:
    """The mean of a variant and the variance of that mean at a scope.

    `shared` says that all runs have the same evaluations in the same order (evaluation seeds are crossed with
    runs); they are nested otherwise. Runs may still lack some: what evaluations have in common is known from
    those that do not.
    checkpoint: pooled variance within runs s_w² (Σ(e_r − 1) degrees of freedom) · Σ(1/e_r) / R²; shared: the
    sample variance of the means of each evaluation seed over the runs, / E.
    recipe: sample variance of run means / R (R − 1 degrees of freedom); shared: random evaluations crossed
    with random trainings, Var ≤ (MS_training + MS_evaluation) / (R·E), each with its own quantile.
    new_tasks: random tasks crossed with random trainings. With mean squares of the runs × tasks table
    (evaluations averaged), Var = (MS_task + MS_training − MS_interaction) / (R·T); shared: evaluations are
    random too, and their variance is added as at "recipe" (MS_evaluation holds no less than theirs).
    In a crossed sum a mean square below the interaction's is replaced by it (a component is no less than 0),
    so that this variance is never below that of the runs alone; degrees of freedom by Satterthwaite. Unknown
    with one run or one task, and where nothing varies and no `resolution` says how much at least may.
    """
    return _estimate(cells_of(values), _check_scope(scope), shared, resolution)


def summarize_scope(
    values: Runs,
    scope: str = "recipe",
    level: float = 0.95,
    shared: bool = False,
    resolution: Resolution | None = None,
) -> Summary:
    """Mean ± std and interval of one variant at a scope, from runs → evaluations (→ tasks).

    std is what one more unit would show: at "checkpoint" one evaluation of the same model (n counts
    evaluations, seeds where they are shared), at "recipe" one training (n counts runs), at "new_tasks" one
    training on as many new tasks (n counts runs, `tasks` the tasks). Unknown evaluations are left out and
    counted. A share's interval stays within 0…1 and knows its skewness near the ends. Raises `UserError` for
    an unknown scope and for "new_tasks" where the values have no tasks.
    """
    cells = cells_of(values)
    over = _estimate(cells, _check_scope(scope), shared, resolution)
    tasks = cells.runs[0].shape[1] if cells.has_tasks and cells.runs else None
    if scope == "recipe":
        _, variance = mean_and_variance([run.mean() for run in cells.runs])
        std, n = None if variance is None else variance**0.5, len(cells.runs)
    elif scope == "checkpoint":
        within, _ = _within(cells)
        crossed = _evaluations(cells) if shared and cells.runs else None
        std = None if within is None else within**0.5
        n = sum(len(run) for run in cells.runs) if crossed is None else crossed.shape[1]
    else:
        std, n = _new_tasks_std(cells), len(cells.runs)
    low, high = over.interval(level)
    if resolution is not None and resolution.share:
        units = None if scope == "new_tasks" else n
        low, high = share_interval(over, units, level, resolution.step)
    shown = tasks if scope == "new_tasks" else None
    return Summary(over.mean, std, n, low, high, over.degrees_of_freedom, scope, cells.unknown, shown)


def mean_squares(table: Floats) -> tuple[float, float, float]:
    """Mean squares (task, training, interaction) of a runs × tasks table with one value per cell."""
    runs, tasks = table.shape
    shifted = table - table.flat[0]
    by_run, by_task, grand = shifted.mean(axis=1), shifted.mean(axis=0), shifted.mean()
    rest = shifted - by_run[:, None] - by_task[None, :] + grand
    return (
        float(runs * ((by_task - grand) ** 2).sum() / (tasks - 1)),
        float(tasks * ((by_run - grand) ** 2).sum() / (runs - 1)),
        float((rest**2).sum() / ((runs - 1) * (tasks - 1))),
    )


def exceeds(square: float, noise: float) -> bool:
    """Whether a mean square lies above another by more than rounding.

    Scores of 0 and 1 often make two of them equal, and degrees of freedom jump there: the order of runs or
    tasks, which rounds differently, must not decide.
    """
    return square - noise > 1e-9 * abs(noise)


def _estimate(cells: Cells, scope: str, shared: bool, resolution: Resolution | None) -> Estimate:
    per_run = np.array([run.mean() for run in cells.runs])
    mean, variance = mean_and_variance(per_run)
    crossed = _evaluations(cells) if shared and cells.runs else None
    if scope == "checkpoint":
        return _over_evaluations(cells, mean, crossed, resolution)
    if scope == "new_tasks":
        table = _table(cells)
        terms = () if table is None else _crossed_terms(table)
        return _known(Estimate(mean, terms, _common_term(crossed)))
    if variance is None:
        return Estimate(mean)
    runs = len(per_run)
    least = 0.0 if resolution is None else float(resolution.least_variance(mean, runs))
    return _known(Estimate(mean, ((max(variance, least) / runs, runs - 1.0),), _common_term(crossed)))


def _common_term(crossed: Floats | None) -> tuple[float, float] | None:
    """What the evaluations that all runs share add to the variance of the mean, of a table runs ×
    evaluations; None where there are fewer than two.
    """
    if crossed is None or crossed.shape[1] < 2:
        return None
    evaluations = crossed.shape[1]
    _, over_seeds = mean_and_variance(crossed.mean(axis=0))
    return (over_seeds or 0.0) / evaluations, evaluations - 1.0


def _over_evaluations(
    cells: Cells, mean: float, crossed: Floats | None, resolution: Resolution | None
) -> Estimate:
    """The mean of these trained models over new evaluations."""
    if crossed is not None:
        _, variance = mean_and_variance(crossed.mean(axis=0))
        variance = None if variance is None else variance / crossed.shape[1]
        freedom = crossed.shape[1] - 1.0
    else:
        within, freedom = _within(cells)
        shares = sum(1 / len(run) for run in cells.runs) / max(1, len(cells.runs)) ** 2
        variance = None if within is None else within * shares
    if variance is None:
        return Estimate(mean)
    units = sum(len(run) for run in cells.runs)
    least = 0.0 if resolution is None else float(resolution.least_variance(mean, units)) / units
    return _known(Estimate(mean, ((max(variance, least), freedom),)))


def _known(over: Estimate) -> Estimate:
    """The estimate, without its variance where that is 0: equal scores are no certainty."""
    return over if over.variance else Estimate(over.mean)


def _crossed_terms(table: Floats) -> tuple[tuple[float, float], ...]:
    """Mean squares that make up the variance of the mean of a runs × columns table, both random."""
    (runs, columns), (column, training, rest) = table.shape, mean_squares(table)
    parts = [(column, columns - 1.0)] if exceeds(column, rest) else []
    parts += [(training, runs - 1.0)] if exceeds(training, rest) else []
    sign = 1 if not parts else 1 - len(parts)
    if sign:
        parts.append((sign * rest, (runs - 1.0) * (columns - 1.0)))
    return tuple((part / (runs * columns), freedom) for part, freedom in parts)


def whole_runs(cells: Cells) -> list[Floats]:
    """The runs with as many evaluations as any, whose evaluations are all seeds in order where these are
    shared; a run under way still lacks some."""
    most = max((len(run) for run in cells.runs), default=0)
    return [run for run in cells.runs if len(run) == most]


def _evaluations(cells: Cells) -> Floats:
    """Runs × evaluations, tasks averaged, of the runs that lack no evaluation."""
    return np.array([run.mean(axis=1) for run in whole_runs(cells)])


def _within(cells: Cells) -> tuple[float | None, float]:
    """Variance between evaluations of one run, pooled over runs, and its degrees of freedom."""
    freedom = sum(len(run) - 1 for run in cells.runs)
    if freedom == 0:
        return None, 0.0
    variances = [mean_and_variance(run.mean(axis=1))[1] for run in cells.runs]
    squares = sum((len(run) - 1) * (v or 0.0) for run, v in zip(cells.runs, variances, strict=True))
    return squares / freedom, float(freedom)


def _table(cells: Cells) -> Floats | None:
    """Runs × tasks with evaluations averaged; None with fewer than two of either."""
    if cells.runs and not cells.has_tasks:
        raise UserError("Scope 'new_tasks' needs values per task. Choose scope 'recipe' for these results.")
    if len(cells.runs) < 2 or cells.runs[0].shape[1] < 2:
        return None
    return np.array([run.mean(axis=0) for run in cells.runs])


def _new_tasks_std(cells: Cells) -> float | None:
    table = _table(cells)
    if table is None:
        return None
    (runs, tasks), (task, training, rest) = table.shape, mean_squares(table)
    return float(np.sqrt(max(training, rest) / tasks + max(0.0, task - rest) / (runs * tasks)))


def _check_scope(scope: str) -> str:
    if scope not in SCOPES:
        raise UserError(f"Unknown scope '{scope}'. Known: {', '.join(SCOPES)}.")
    return scope
