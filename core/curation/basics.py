"""Basics: small tasks of simple rules, made anew from every seed, on which an experiment takes a minute.

A dozen rules can be turned around, each another rule when it is; two more lose something on the way. The
training tasks show rules forwards alone. The evaluation asks new tasks of the same rules forwards *and*
backwards, so that flagging what is reversible, and training on it turned around, teaches what it asks.
Grids have 3 to 6 cells a side. No two pairs of a seed are equal up to symmetry, recolouring and reversal, so
none is a leak.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from core.arc.grids import COLOURS, Grid
from core.arc.tasks import Pair, Task
from core.curation.canonical import canonical_pair
from core.seeds import generator

TRAINING, EVALUATION = "basics/training", "basics/evaluation"
DEMONSTRATIONS = 3
TRAINING_TASKS, EVALUATION_TASKS = 8, 2
"""Tasks of each rule in the training, and of each rule and direction in the evaluation."""

Colours = tuple[int, ...]
"""Three different colours but black, drawn for a task: what a rule paints with, and what it is given."""
Rule = Callable[[np.random.Generator, Colours], Pair]


def _size(rng: np.random.Generator, low: int, high: int) -> tuple[int, int]:
    """Height and width, each from `low` to `high`."""
    height, width = rng.integers(low, high + 1, 2)
    return int(height), int(width)


def _cells(rng: np.random.Generator, height: int, width: int, colours: Colours) -> Grid:
    """A grid of cells in black and the second and third colour, with a cell of each of these."""
    while True:
        grid = rng.choice([0, *colours[1:]], (height, width)).astype(np.uint8)
        if all((grid == colour).any() for colour in colours[1:]):
            return grid


def _scattered(rng: np.random.Generator, colours: Colours, share: float = 0.2) -> Grid:
    """A black grid of 4 to 6 cells a side with some cells of the third colour."""
    height, width = _size(rng, 4, 6)
    return np.where(rng.random((height, width)) < share, colours[2], 0).astype(np.uint8)


def _painted(grid: Grid, where: npt.NDArray[np.bool_], colour: int) -> Grid:
    """The grid with its black cells painted where they are marked."""
    return np.where(where & (grid == 0), colour, grid).astype(np.uint8)


def _framed(rng: np.random.Generator, colours: Colours) -> Pair:
    grid = _cells(rng, *_size(rng, 3, 4), colours)
    return Pair(grid, np.pad(grid, 1, constant_values=colours[0]))


def _doubled(rng: np.random.Generator, colours: Colours) -> Pair:
    grid = _cells(rng, 3, 3, colours)
    return Pair(grid, grid.repeat(2, axis=0).repeat(2, axis=1))


def _stretched(rng: np.random.Generator, colours: Colours) -> Pair:
    grid = _cells(rng, int(rng.integers(3, 6)), 3, colours)
    return Pair(grid, grid.repeat(2, axis=1))


def _repeated(rng: np.random.Generator, colours: Colours) -> Pair:
    grid = _cells(rng, int(rng.integers(3, 6)), 3, colours)
    return Pair(grid, np.tile(grid, (1, 2)))


def _mirrored(rng: np.random.Generator, colours: Colours) -> Pair:
    grid = _cells(rng, int(rng.integers(3, 6)), 3, colours)
    return Pair(grid, np.concatenate([grid, grid[:, ::-1]], axis=1))


def _underlined(rng: np.random.Generator, colours: Colours) -> Pair:
    grid = _cells(rng, *_size(rng, 3, 5), colours)
    return Pair(grid, np.pad(grid, ((0, 1), (0, 0)), constant_values=colours[0]))


def _spaced(rng: np.random.Generator, colours: Colours) -> Pair:
    grid = _cells(rng, 3, 3, colours)
    apart = np.full((5, 5), colours[0], dtype=np.uint8)
    apart[::2, ::2] = grid
    return Pair(grid, apart)


def _rayed(rng: np.random.Generator, colours: Colours) -> Pair:
    height, width = _size(rng, 4, 6)
    ends = _cells(rng, height, 1, colours)
    grid = np.pad(ends, ((0, 0), (0, width - 1)))
    return Pair(grid, ends.repeat(width, axis=1))


def _crossed(rng: np.random.Generator, colours: Colours) -> Pair:
    grid = _scattered(rng, colours)
    row, column = (int(rng.integers(side)) for side in grid.shape)
    grid[row, column] = colours[1]
    lines = np.zeros(grid.shape, dtype=bool)
    lines[row], lines[:, column] = True, True
    return Pair(grid, _painted(grid, lines, colours[0]))


def _ringed(rng: np.random.Generator, colours: Colours) -> Pair:
    grid = _scattered(rng, colours)
    row, column = (int(rng.integers(1, side - 1)) for side in grid.shape)
    grid[row, column] = colours[1]
    ring = np.zeros(grid.shape, dtype=bool)
    ring[row - 1 : row + 2, column - 1 : column + 2] = True
    return Pair(grid, _painted(grid, ring, colours[0]))


def _filled(rng: np.random.Generator, colours: Colours) -> Pair:
    grid = _scattered(rng, colours)
    tall, wide = (int(rng.integers(3, side + 1)) for side in grid.shape)
    top, left = int(rng.integers(grid.shape[0] - tall + 1)), int(rng.integers(grid.shape[1] - wide + 1))
    grid[top : top + tall, left : left + wide] = colours[1]
    inside = np.zeros(grid.shape, dtype=bool)
    inside[top + 1 : top + tall - 1, left + 1 : left + wide - 1] = True
    empty = np.where(inside, 0, grid).astype(np.uint8)
    return Pair(empty, _painted(empty, inside, colours[0]))


def _shadowed(rng: np.random.Generator, colours: Colours) -> Pair:
    grid = _scattered(rng, colours, share=0.3)
    below = np.zeros(grid.shape, dtype=bool)
    below[1:] = grid[:-1] > 0
    return Pair(grid, _painted(grid, below, colours[0]))


def _erased(rng: np.random.Generator, colours: Colours) -> Pair:
    grid = _cells(rng, *_size(rng, 3, 6), colours)
    return Pair(grid, np.where(grid == colours[1], 0, grid).astype(np.uint8))


def _halved(rng: np.random.Generator, colours: Colours) -> Pair:
    grid = _cells(rng, int(rng.integers(3, 6)), 6, colours)
    return Pair(grid, grid[:, :3].copy())


REVERSIBLE: dict[str, Rule] = {
    "framed": _framed,
    "doubled": _doubled,
    "stretched": _stretched,
    "repeated": _repeated,
    "mirrored": _mirrored,
    "underlined": _underlined,
    "spaced": _spaced,
    "rayed": _rayed,
    "crossed": _crossed,
    "ringed": _ringed,
    "filled": _filled,
    "shadowed": _shadowed,
}
"""Rules whose input follows from the output."""
LOSSY: dict[str, Rule] = {"erased": _erased, "halved": _halved}
"""Rules that lose what they are given, so that their reversal has no answer."""


def make_basics(seed: int) -> dict[str, list[Task]]:
    """The tasks of a seed, by source: `basics/training` and `basics/evaluation`.

    The ids tell rule, direction, seed and number. Every task depends on seed and id, and on the tasks before
    it only so far as it repeats none of their pairs.
    """
    taken: set[bytes] = set()
    rules = {**REVERSIBLE, **LOSSY}
    training = [
        _task(rule, TRAINING, f"{name}-{seed}-{number}", seed, taken)
        for name, rule in rules.items()
        for number in range(TRAINING_TASKS)
    ]
    evaluation = []
    for name, rule in REVERSIBLE.items():
        for number in range(EVALUATION_TASKS):
            place = TRAINING_TASKS + number
            evaluation.append(_task(rule, EVALUATION, f"{name}-{seed}-{place}", seed, taken))
            forwards = _task(rule, EVALUATION, f"{name}-back-{seed}-{number}", seed, taken)
            evaluation.append(replace(forwards.reverse(), task_id=forwards.task_id))
    return {TRAINING: training, EVALUATION: evaluation}


def _task(rule: Rule, source: str, task_id: str, seed: int, taken: set[bytes]) -> Task:
    """A task of new pairs, which are added to those taken."""
    rng = generator(seed, "basics", task_id)
    colours = tuple(int(colour) for colour in 1 + rng.permutation(COLOURS - 1)[:3])
    pairs: list[Pair] = []
    while len(pairs) <= DEMONSTRATIONS:
        pair = rule(rng, colours)
        assert pair.output is not None
        form = min(canonical_pair(pair.input, pair.output), canonical_pair(pair.output, pair.input))
        if form not in taken and (pair.input.shape != pair.output.shape or (pair.input != pair.output).any()):
            taken.add(form)
            pairs.append(pair)
    return Task(task_id, source, task_id, tuple(pairs[:-1]), (pairs[-1],))
