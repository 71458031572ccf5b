"""Views: invertible transformations of a whole task.

A view is one of 8 symmetries × a permutation of the colours × an order of the demonstration pairs.
A model is prompted with the view; its answer is turned back with `undo`. The value is transformed,
never the rendering, so inputs and outputs can't come apart.

Symmetries are numbered 0–7: `number % 4` counter-clockwise quarter turns, after a transposition
where `number >= 4`. They form the dihedral group of the square.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, Self

import numpy as np

from core.arc.grids import COLOURS, Grid
from core.arc.tasks import Pair, Task

SYMMETRIES = 8
ColourRule = Literal["none", "keep_black", "keep_new", "all"]
"""Which colours a view permutes: none; all but 0; all but 0 and those that an output shows and its input does
not; all ten."""
IDENTITY_COLOURS = tuple(range(COLOURS))


def apply_symmetry(symmetry: int, grid: Grid) -> Grid:
    """The grid under symmetry 0–7: transposed first where the number is 4 or more, then turned."""
    if symmetry >= 4:
        grid = grid.T
    return np.ascontiguousarray(np.rot90(grid, symmetry % 4))


def inverse_symmetry(symmetry: int) -> int:
    """The symmetry that undoes `symmetry`: turns are undone by turns, the four mirrors by themselves."""
    return symmetry if symmetry >= 4 else (4 - symmetry) % 4


def compose_symmetries(first: int, then: int) -> int:
    """The one symmetry that equals `first` followed by `then`.

    With r a quarter turn and t the transposition, t·r = r⁻¹·t, so a transposition turns the turns
    that came before it the other way round.
    """
    turns = (first % 4 if then < 4 else -(first % 4)) + then % 4
    return turns % 4 + (4 if (first >= 4) != (then >= 4) else 0)


@dataclass(frozen=True)
class View:
    """One way to look at a task. `colours[c]` is the colour that c becomes; `pair_order[i]` is the
    demonstration that comes i-th (None keeps the order, whatever the number of demonstrations)."""

    symmetry: int = 0
    colours: tuple[int, ...] = IDENTITY_COLOURS
    pair_order: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.symmetry < SYMMETRIES:
            raise ValueError(f"symmetry {self.symmetry} is not 0 to 7")
        if sorted(self.colours) != list(range(COLOURS)):
            raise ValueError(f"colours {self.colours} are no permutation of 0 to 9")
        if self.pair_order is not None and sorted(self.pair_order) != list(range(len(self.pair_order))):
            raise ValueError(f"pair order {self.pair_order} is no permutation")

    @cached_property
    def _table(self) -> Grid:
        return np.array(self.colours, dtype=np.uint8)

    def apply_to_grid(self, grid: Grid) -> Grid:
        """The grid as this view shows it."""
        return self._table[apply_symmetry(self.symmetry, grid)]

    def undo(self, grid: Grid) -> Grid:
        """The grid that this view shows as `grid`: `undo(apply_to_grid(g)) == g`."""
        return self.inverse().apply_to_grid(grid)

    def apply(self, task: Task) -> Task:
        """The task as this view shows it; same id, source and family."""
        train = tuple(self._pair(pair) for pair in task.train)
        if self.pair_order is not None:
            if len(self.pair_order) != len(train):
                raise ValueError(f"an order of {len(self.pair_order)} pairs for {len(train)} demonstrations")
            train = tuple(train[index] for index in self.pair_order)
        test = tuple(self._pair(pair) for pair in task.test)
        symmetry = compose_symmetries(task.symmetry, self.symmetry)
        return replace(task, train=train, test=test, symmetry=symmetry)

    def inverse(self) -> Self:
        """The view that undoes this one: `v.inverse().apply(v.apply(task)) == task`."""
        return replace(
            self,
            symmetry=inverse_symmetry(self.symmetry),
            colours=_invert(self.colours),
            pair_order=None if self.pair_order is None else _invert(self.pair_order),
        )

    def _pair(self, pair: Pair) -> Pair:
        output = None if pair.output is None else self.apply_to_grid(pair.output)
        return Pair(self.apply_to_grid(pair.input), output)


def _invert(permutation: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(index) for index in np.argsort(permutation))


def draw_colours(
    rng: np.random.Generator, *, keep_black: bool, kept: Collection[int] = ()
) -> tuple[int, ...]:
    """A random permutation of the ten colours; those `kept`, and 0 where `keep_black`, stay themselves."""
    stay = {*kept, 0} if keep_black else set(kept)
    free = [colour for colour in IDENTITY_COLOURS if colour not in stay]
    drawn = dict(zip(free, (free[place] for place in rng.permutation(len(free))), strict=True))
    return tuple(int(drawn.get(colour, colour)) for colour in IDENTITY_COLOURS)


def draw_task_colours(rng: np.random.Generator, task: Task, rule: ColourRule) -> tuple[int, ...] | None:
    """The permutation of a task's colours that a rule draws; None where it permutes none. Under `keep_new`
    all that the rule reads are the demonstrations, so training and inference draw alike."""
    if rule == "none":
        return None
    kept = task.brought_in if rule == "keep_new" else ()
    return draw_colours(rng, keep_black=rule != "all", kept=kept)


def draw_pair_order(rng: np.random.Generator, pairs: int) -> tuple[int, ...]:
    """A random order of `pairs` demonstrations."""
    return tuple(int(index) for index in rng.permutation(pairs))
