"""Augmentations: how a training sample may differ from the task that it was drawn from.

*Views* (symmetries, colours, orders) show the same problem. *Composed* augmentations make another one:
they change all inputs of a task or all outputs in one way, say upscaled outputs, so that a model must
combine two steps. Every draw is made from the generator that is passed in.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
from pydantic import Field

from core.arc.grids import COLOURS, MAX_SIDE, Grid
from core.arc.tasks import Pair, Task
from core.arc.views import (
    IDENTITY_COLOURS,
    SYMMETRIES,
    ColourRule,
    View,
    apply_symmetry,
    draw_colours,
    draw_task_colours,
)
from core.settings import Settings

Composed = Literal["geometric", "padding", "upscaling", "mirroring", "recolouring"]
GridChange = Callable[[Grid], Grid]


class Augmentation(Settings):
    """How a sample may differ from the task that it was drawn from."""

    symmetries: bool = Field(default=True, description="Show the task under one of the 8 symmetries.")
    colours: ColourRule = Field(
        default="keep_black",
        description="Permute the colours: not at all, all but black, or all ten. keep_new: all but black and"
        " those that a demonstration's output shows and its input does not.",
    )
    pair_order: bool = Field(default=True, description="Draw the order of the demonstrations.")
    swap_train_test: bool = Field(
        default=True, description="Ask about any pair of the task, not only about its test pairs."
    )
    fewer_demonstrations: bool = Field(
        default=False, description="Show a drawn number of the demonstrations, from one to all."
    )
    composed: tuple[Composed, ...] = Field(
        default=(),
        description="Changes to all inputs or all outputs, which make a new problem: geometric (turned or"
        " flipped), padding (a frame), upscaling (cells enlarged), mirroring (the mirror image beside it),"
        " recolouring (colours but black exchanged).",
    )
    composed_share: float = Field(
        default=0.5, ge=0, le=1, description="Share of the samples that get one of the composed changes."
    )
    lesson_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of the samples that become a lesson: outputs are copies of the inputs, one side"
        " changed in one of the composed ways or not at all. What a model without skills learns first.",
    )


def draw_question(rng: np.random.Generator, task: Task, augmentation: Augmentation) -> Task:
    """The task with one test pair. A pool task draws `n_train` demonstrations and the test pair; another
    task keeps its number of demonstrations where it has enough other pairs.

    With `swap_train_test` every pair is equally likely to be the test, the original test pairs
    included; without, only those are. The test pair always has a known output.
    """
    tests = [pair for pair in task.test if pair.output is not None]
    wanted = len(task.train) if task.n_train is None else task.n_train
    others: list[Pair]
    if task.is_pool or augmentation.swap_train_test:
        others = [*task.train, *tests]
        test = others.pop(int(rng.integers(len(others))))
    else:
        others = list(task.train)
        test = tests[int(rng.integers(len(tests)))]
    if augmentation.fewer_demonstrations and min(wanted, len(others)) > 1:
        wanted = 1 + int(rng.integers(min(wanted, len(others))))
    # Some are left over where tests were added or a pool is large: which ones is drawn as well.
    chosen = rng.permutation(len(others))[:wanted]
    if not augmentation.pair_order:
        chosen = np.sort(chosen)
    return replace(task, train=tuple(others[index] for index in chosen), test=(test,), n_train=None)


def can_be_asked(task: Task, augmentation: Augmentation) -> bool:
    """Whether a question can be drawn: a pair with a known output, and another to demonstrate with (none
    is needed where the task shows none)."""
    known_tests = sum(pair.output is not None for pair in task.test)
    if task.is_pool or augmentation.swap_train_test:
        return len(task.train) + known_tests >= (1 if task.n_train == 0 else 2)
    return known_tests >= 1


def draw_view(rng: np.random.Generator, task: Task, augmentation: Augmentation) -> View:
    """A view of a task with the symmetries and colours that the augmentation allows."""
    symmetry = int(rng.integers(SYMMETRIES)) if augmentation.symmetries else 0
    return View(symmetry, draw_task_colours(rng, task, augmentation.colours) or IDENTITY_COLOURS)


def draw_problem(rng: np.random.Generator, task: Task, augmentation: Augmentation) -> Task:
    """The task itself, with a composed change, or made a lesson, as drawn."""
    if not augmentation.lesson_share or rng.random() >= augmentation.lesson_share:
        return draw_composed(rng, task, augmentation)
    copies = tuple(Pair(pair.input, pair.input) for pair in task.pairs)
    lesson = replace(task, train=copies[: len(task.train)], test=copies[len(task.train) :])
    number = int(rng.integers(len(augmentation.composed) + 1))
    return lesson if number == 0 else _changed(rng, lesson, augmentation.composed[number - 1])


def draw_composed(rng: np.random.Generator, task: Task, augmentation: Augmentation) -> Task:
    """The task with all its inputs or all its outputs changed in one drawn way, or unchanged.

    It stays unchanged for the share of samples that are not composed, and where the change would make
    a grid larger than 30 cells a side.
    """
    if not augmentation.composed or rng.random() >= augmentation.composed_share:
        return task
    return _changed(rng, task, augmentation.composed[int(rng.integers(len(augmentation.composed)))])


def _changed(rng: np.random.Generator, task: Task, name: Composed) -> Task:
    on_inputs = bool(rng.integers(2))
    change = _DRAWS[name](rng)
    changed = tuple(change_side(pair, change, on_inputs=on_inputs) for pair in task.pairs)
    grids = [grid for pair in changed for grid in (pair.input, pair.output) if grid is not None]
    if max(max(grid.shape) for grid in grids) > MAX_SIDE:
        return task
    return replace(task, train=changed[: len(task.train)], test=changed[len(task.train) :])


def change_side(pair: Pair, change: GridChange, *, on_inputs: bool) -> Pair:
    """The pair with `change` applied to its input, or else to its output (if it is known)."""
    if on_inputs:
        return Pair(change(pair.input), pair.output)
    return Pair(pair.input, None if pair.output is None else change(pair.output))


def pad(grid: Grid, width: int, colour: int) -> Grid:
    """The grid in a frame of `width` cells of one colour."""
    return np.pad(grid, width, constant_values=colour)


def upscale(grid: Grid, height: int, width: int) -> Grid:
    """Every cell enlarged to `height` × `width` cells."""
    return grid.repeat(height, axis=0).repeat(width, axis=1)


def mirror(grid: Grid, axis: int, *, image_first: bool) -> Grid:
    """The grid and its mirror image side by side (axis 1) or one above the other (axis 0)."""
    image = np.flip(grid, axis)
    return np.concatenate((image, grid) if image_first else (grid, image), axis=axis)


def _draw_geometric(rng: np.random.Generator) -> GridChange:
    symmetry = int(rng.integers(1, SYMMETRIES))
    return lambda grid: apply_symmetry(symmetry, grid)


def _draw_padding(rng: np.random.Generator) -> GridChange:
    width, colour = int(rng.integers(1, 4)), int(rng.integers(COLOURS))
    return lambda grid: pad(grid, width, colour)


def _draw_upscaling(rng: np.random.Generator) -> GridChange:
    height, width = ((2, 2), (3, 3), (1, 2), (2, 1))[int(rng.integers(4))]
    return lambda grid: upscale(grid, height, width)


def _draw_mirroring(rng: np.random.Generator) -> GridChange:
    axis, image_first = int(rng.integers(2)), bool(rng.integers(2))
    return lambda grid: mirror(grid, axis, image_first=image_first)


def _draw_recolouring(rng: np.random.Generator) -> GridChange:
    colours = draw_colours(rng, keep_black=True)
    return View(colours=colours).apply_to_grid


_DRAWS: dict[str, Callable[[np.random.Generator], GridChange]] = {
    "geometric": _draw_geometric,
    "padding": _draw_padding,
    "upscaling": _draw_upscaling,
    "mirroring": _draw_mirroring,
    "recolouring": _draw_recolouring,
}
