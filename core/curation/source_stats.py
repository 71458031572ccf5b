"""What a source holds, in numbers: tasks, pairs, sizes and colours."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from core.arc.tasks import Task


@dataclass(frozen=True)
class Statistics:
    """Counts and sizes of a set of tasks; None where there is nothing to count.

    `demonstrations` and `cells` are medians over tasks (a pool counts with the pairs it draws),
    `largest` is the most cells that a task has; `side` is the longest side of any grid; `colours` the mean
    number per grid; `same_size` the share of pairs with an output as large as the input; `black` the
    share of black cells; `hidden` the number of test pairs without a known output.
    """

    tasks: int
    families: int
    pools: int
    pairs: int
    tests: int
    hidden: int
    demonstrations: float | None
    cells: float | None
    largest: int | None
    side: int | None
    colours: float | None
    same_size: float | None
    black: float | None


def statistics(tasks: Iterable[Task]) -> Statistics:
    """The statistics of tasks, such as those of a source or of a partition's list."""
    members = list(tasks)
    pairs = [pair for task in members for pair in task.pairs]
    known = [pair for pair in pairs if pair.output is not None]
    grids = [grid for pair in pairs for grid in (pair.input, pair.output) if grid is not None]
    shown = [len(task.train) if task.n_train is None else task.n_train for task in members]
    total = sum(grid.size for grid in grids)
    return Statistics(
        tasks=len(members),
        families=len({task.family for task in members}),
        pools=sum(task.is_pool for task in members),
        pairs=len(pairs),
        tests=sum(len(task.test) for task in members),
        hidden=len(pairs) - len(known),
        demonstrations=float(np.median(shown)) if members else None,
        cells=float(np.median([task.cells for task in members])) if members else None,
        largest=max((task.cells for task in members), default=None),
        side=max((max(grid.shape) for grid in grids), default=None),
        colours=float(np.mean([np.count_nonzero(np.bincount(g.ravel())) for g in grids])) if grids else None,
        same_size=_share(pair.input.shape == pair.output.shape for pair in known if pair.output is not None),
        black=sum(int((grid == 0).sum()) for grid in grids) / total if total else None,
    )


def _share(facts: Iterable[bool]) -> float | None:
    values = list(facts)
    return sum(values) / len(values) if values else None
