"""Where the spread comes from: tasks, trainings, their interplay, evaluations, the rest.

Tasks are crossed with trainings. Evaluations are nested in trainings here,
y[task, training, evaluation] = mean + task + training + task×training + evaluation(training) + residual;
where all trainings have the same evaluation seeds and views, `core.spread.crossed` has the sources.
In come cells, or runs of evaluations; out come mean squares and, by the method of moments, a variance for
each source. Negative estimates are kept: they say "not distinguishable from 0".
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from core.scoring.metrics import Floats
from core.spread.intervals import ROUNDING
from core.spread.scopes import Runs, cells_of

Sizes = tuple[int, int, int, int]
SOURCES = ("task", "training", "task×training", "evaluation", "residual")
CROSSED_SOURCES = (
    *("task", "training", "task×training", "evaluation"),
    *("task×evaluation", "training×evaluation", "residual"),
)
SHARED_DRAWS = frozenset({"evaluation", "task×evaluation"})
"""Sources of which all variants of an experiment show the same draws."""


@dataclass(frozen=True)
class Component:
    """One source of spread. None is unknown: the data can't tell this source from others.

    `variance` is the estimate by moments, negative where the mean square is below its noise.
    `degrees_of_freedom` belong to the mean square. `includes` names sources that can't be told apart from
    this one here and are part of its variance.
    """

    name: str
    degrees_of_freedom: float
    sum_of_squares: float | None
    mean_square: float | None
    variance: float | None
    includes: tuple[str, ...] = ()

    @property
    def sd(self) -> float | None:
        """Square root of the variance, 0 where the estimate is negative."""
        return None if self.variance is None else max(0.0, self.variance) ** 0.5


@dataclass(frozen=True)
class Components:
    """The sources by name, `components["training"].sd`, with the sizes behind them.

    `sums`, `freedoms` (n,) and `expected` (n, n) are the sums of squares, their degrees of freedom and the
    coefficients of the expected mean squares, in the order of `parts`; `pooled` needs them.
    """

    parts: tuple[Component, ...]
    tasks: int
    trainings: int
    evaluations: int
    tasks_left_out: int
    sums: tuple[float, ...]
    freedoms: tuple[float, ...]
    expected: tuple[tuple[float, ...], ...]

    def __getitem__(self, name: str) -> Component:
        return next(part for part in self.parts if part.name == name)

    @property
    def sd_between_evaluations(self) -> float | None:
        """The std between evaluations of one run, of a table of run means.

        Where runs share their seeds it is √(σ²_evaluation + σ²_training×evaluation): what a seed does to all
        runs, and what it does to this one alone.
        """
        crossed = any(part.name == "training×evaluation" for part in self.parts)
        common = self["evaluation"].variance
        own = self["training×evaluation"].variance if crossed else None
        return None if common is None else max(0.0, common + (own or 0.0)) ** 0.5


def components(runs: Runs) -> Components:
    """Components of one variant from runs → evaluations → tasks (or numbers: then see `run_components`).

    Runs may have unequal evaluations. With E_r evaluations of run r, N = ΣE_r, e₀ = (N − ΣE_r²/N)/(R − 1),
    e₁ = ΣE_r²/N and T tasks, the expected mean squares are (Searle, Casella & McCulloch 1992, chapter 4,
    written for this design)
        task           residual + e₁·task×training + N·task
        training       residual + e₀·task×training + T·evaluation + T·e₀·training
        task×training  residual + e₀·task×training
        evaluation     residual + T·evaluation
        residual       residual
    and are solved for the variances. Evaluations that are NaN for every task are padding; tasks with an
    unknown cell are left out and counted. Sources without degrees of freedom (one evaluation per run, one
    run, one task) are None, and whoever absorbs them says so in `includes`. Raises ValueError where nothing
    is known.
    """
    arrays = [np.asarray(run, dtype=np.float64) for run in runs]
    if arrays and all(run.ndim == 2 for run in arrays):
        return _components(arrays)
    return run_components(runs)


def run_components(runs: Runs) -> Components:
    """Evaluation and training variance from the table of run means: one-way analysis, unbalanced too.

    Each evaluation is one number (tasks averaged); evaluations with an unknown score are left out. The
    evaluation variance is the mean square within runs, the training variance (mean square between −
    within) / n₀ with n₀ = (N − Σn_r²/N)/(R − 1). For the same cells, evaluation here = evaluation +
    residual/T of `components`, and training = training + task×training/T.
    """
    return _components([run.mean(axis=1, keepdims=True) for run in cells_of(runs).runs])


def pooled(many: Iterable[Components]) -> Components:
    """Components common to several variants: sums of squares and degrees of freedom added.

    Variants differ in their means; only what varies within a variant enters. Exact for unequal sizes: the
    coefficients of the expected mean squares are averaged with the degrees of freedom as weights. Give
    one kind of table, not a mixture. Evaluations that are shared by all variants are the same draws in each
    of them, and keep the degrees of freedom of one.
    """
    every = list(many)
    if not every:
        raise ValueError("nothing to pool")
    sums = np.sum([one.sums for one in every], axis=0)
    freedoms = np.sum([one.freedoms for one in every], axis=0)
    weighted = np.sum([np.array(one.freedoms)[:, None] * np.array(one.expected) for one in every], axis=0)
    expected = np.divide(
        weighted, freedoms[:, None], out=np.zeros_like(weighted), where=freedoms[:, None] > 0
    )
    names = tuple(part.name for part in every[0].parts)
    if names == CROSSED_SOURCES:
        again = np.array([len(every) if name in SHARED_DRAWS else 1 for name in names])
        sums, freedoms = sums / again, freedoms / again
    sizes = (
        max(one.tasks for one in every),
        sum(one.trainings for one in every),
        sum(one.evaluations for one in every),
        max(one.tasks_left_out for one in every),
    )
    return solved(names, sums, freedoms, expected, sizes)


def variance_interval(variance: float, freedom: float, level: float = 0.95) -> tuple[float, float]:
    """Chi-square interval of a variance: (ν·s²/χ²_{(1+level)/2}, ν·s²/χ²_{(1−level)/2})."""
    quantiles = special.chdtri(freedom, np.array([1 - level, 1 + level]) / 2)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        low, high = freedom * variance / quantiles
    return float(low), float(high)


def _components(tables: Sequence[Floats]) -> Components:
    """From one (evaluations, tasks) table per training, NaN for unknown cells."""
    filled = [table[~np.isnan(table).all(axis=1)] for table in tables]
    filled = [table for table in filled if len(table)]
    if any(np.isinf(table).any() for table in filled):
        raise ValueError("a score is infinite")
    if not filled:
        raise ValueError("there are no known scores to decompose")
    sound = ~np.isnan(np.concatenate(filled)).any(axis=0)
    runs = [table[:, sound] for table in filled]
    counts = np.array([len(run) for run in runs], dtype=np.float64)
    sizes = (int(sound.sum()), len(runs), int(counts.sum()), int((~sound).sum()))
    if sizes[0] == 0:
        raise ValueError("every task has an unknown score; nothing is left to decompose")
    return solved(SOURCES, *_analysis(runs, counts), sizes)


def _analysis(runs: list[Floats], counts: Floats) -> tuple[Floats, Floats, Floats]:
    """Sums of squares, degrees of freedom and coefficients of the expected mean squares."""
    tasks, trainings, total = runs[0].shape[1], len(runs), counts.sum()
    every = np.concatenate(runs)
    every = every - every.flat[0]
    owner = np.repeat(np.arange(trainings), counts.astype(int))
    cell = np.add.reduceat(every, np.searchsorted(owner, np.arange(trainings)), axis=0) / counts[:, None]
    by_task, by_run, by_evaluation = every.mean(axis=0), cell.mean(axis=1), every.mean(axis=1)
    grand = every.mean()
    inside = by_evaluation - by_run[owner]
    rest = every - cell[owner] - inside[:, None]
    sums = np.array(
        [
            total * ((by_task - grand) ** 2).sum(),
            tasks * (counts * (by_run - grand) ** 2).sum(),
            (counts[:, None] * (cell - by_run[:, None] - by_task[None, :] + grand) ** 2).sum(),
            tasks * (inside**2).sum(),
            (rest**2).sum(),
        ]
    )
    sums[sums <= every.size * (ROUNDING * np.abs(np.concatenate(runs)).max()) ** 2] = 0.0
    t, r, e = tasks - 1.0, trainings - 1.0, total - trainings
    freedoms = np.array([t, r, t * r, e, e * t])
    largest = (counts**2).sum() / total
    typical = (total - largest) / r if r else 0.0
    expected = np.array(
        [
            [total, 0, largest, 0, 1],
            [0, tasks * typical, typical, tasks, 1],
            [0, 0, typical, 0, 1],
            [0, 0, 0, tasks, 1],
            [0, 0, 0, 0, 1],
        ]
    )
    return sums, freedoms, expected


def solved(
    names: Sequence[str], sums: Floats, freedoms: Floats, expected: Floats, sizes: Sizes
) -> Components:
    """Variances from mean squares: the linear system of those sources that have degrees of freedom.

    A source without any still moves the mean squares: an estimate that it moves includes it.
    """
    present = np.flatnonzero(freedoms > 0)
    weights = np.linalg.inv(expected[np.ix_(present, present)]) if present.size else np.zeros((0, 0))
    squares = sums[present] / freedoms[present]
    moved = weights @ expected[present]
    parts = []
    for place, name in enumerate(names):
        if place not in present:
            parts.append(Component(name, 0.0, None, None, None))
            continue
        row = int(np.searchsorted(present, place))
        included = tuple(
            other
            for guest, other in enumerate(names)
            if guest not in present and moved[row, guest] > ROUNDING
        )
        variance = float(weights[row] @ squares)
        square, freedom = float(squares[row]), float(freedoms[place])
        parts.append(Component(name, freedom, float(sums[place]), square, variance, included))
    table = tuple(tuple(float(value) for value in line) for line in expected)
    return Components(tuple(parts), *sizes, tuple(map(float, sums)), tuple(map(float, freedoms)), table)
