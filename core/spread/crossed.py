"""Where the spread comes from when all runs answer the same evaluations: tasks × trainings × evaluation
seeds.

A view depends on the evaluation seed, the task, the output and the attempt alone, so runs with equal seeds
see equal views, and a hard draw of views lowers all of them together. That part says nothing of the noise
between trainings, cancels in every difference of variants, and does not shrink with more runs. In come runs →
evaluations (→ tasks) of equal sizes, out come the sources of `components.CROSSED_SOURCES`.
"""

from typing import Any

import numpy as np

from core.scoring.metrics import Floats
from core.spread.components import CROSSED_SOURCES, Components, solved
from core.spread.intervals import ROUNDING
from core.spread.scopes import Runs, cells_of, whole_runs


def shared_components(runs: Runs) -> Components:
    """Components of one variant from runs → evaluations → tasks, all crossed.

    y = mean + task + training + evaluation + task×training + task×evaluation + training×evaluation +
    residual, all random, by moments (Searle, Casella & McCulloch 1992, chapter 4, balanced). With R
    trainings, E evaluations and T tasks the expected mean squares are
        task                 residual + E·task×training + R·task×evaluation + R·E·task
        training             residual + E·task×training + T·training×evaluation + E·T·training
        evaluation           residual + R·task×evaluation + T·training×evaluation + R·T·evaluation
        task×training        residual + E·task×training, and so on.
    Runs that lack evaluations which others have are left out. Sources without degrees of freedom are None.
    Raises ValueError where an evaluation is unknown, and where nothing is known.
    """
    return _crossed(_table(runs))


def shared_run_components(runs: Runs) -> Components:
    """The same from the table of evaluation means: training, evaluation, and training×evaluation, which takes
    in the residual. For the same cells, training here = training + task×training / T of
    `shared_components`."""
    return _crossed(_table(runs).mean(axis=2, keepdims=True))


def _table(runs: Runs) -> Floats:
    cells = cells_of(runs)
    if not cells.runs:
        raise ValueError("there are no known scores to decompose")
    if cells.unknown:
        raise ValueError("an evaluation is unknown, so they are not crossed with the runs")
    return np.array(whole_runs(cells))


def _crossed(table: Floats) -> Components:
    """From runs × evaluations × tasks."""
    runs, evaluations, tasks = table.shape
    shifted = table - table.flat[0]
    effects: dict[str, Any] = {}
    for name, kept in _AXES.items():
        effect = shifted.mean(axis=tuple({0, 1, 2} - kept), keepdims=True)
        for lower, axes in _AXES.items():
            if axes < kept:
                effect = effect - effects[lower]
        effects[name] = effect - (shifted.mean() if kept else 0.0)
    least = table.size * (ROUNDING * np.abs(table).max()) ** 2
    sizes = {0: runs, 1: evaluations, 2: tasks}
    sums, freedoms = [], []
    for name in CROSSED_SOURCES:
        own = _AXES[name]
        total = float((effects[name] ** 2).sum()) * np.prod([sizes[axis] for axis in {0, 1, 2} - own])
        sums.append(0.0 if total <= least else total)
        freedoms.append(float(np.prod([sizes[axis] - 1 for axis in own])))
    expected = [
        [
            float(np.prod([sizes[axis] for axis in {0, 1, 2} - _AXES[source]]))
            if own <= _AXES[source]
            else 0.0
            for source in CROSSED_SOURCES
        ]
        for own in (_AXES[name] for name in CROSSED_SOURCES)
    ]
    counts = (tasks, runs, runs * evaluations, 0)
    return solved(CROSSED_SOURCES, np.array(sums), np.array(freedoms), np.array(expected), counts)


_AXES = {
    "training": frozenset({0}),
    "evaluation": frozenset({1}),
    "task": frozenset({2}),
    "task×training": frozenset({0, 2}),
    "task×evaluation": frozenset({1, 2}),
    "training×evaluation": frozenset({0, 1}),
    "residual": frozenset({0, 1, 2}),
}
"""The axes of runs × evaluations × tasks over which each source varies, main effects first."""
