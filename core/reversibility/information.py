"""How much information pairs hold and keep: compression, colours cell by cell, objects, edges."""

import zlib
from collections import Counter
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from core.arc.grids import COLOURS, Grid
from core.arc.views import SYMMETRIES, apply_symmetry

_EMPTY = len(zlib.compress(b"", 9))

Object = tuple[int, frozenset[tuple[int, int]]]
"""A region of one colour: the colour and the (row, column) of its cells."""


class Pairs(tuple[tuple[Grid, Grid], ...]):
    """Inputs and outputs of one task, with what several features need of them."""

    @cached_property
    def colours(self) -> npt.NDArray[np.int64]:
        """Counts of (input colour, output colour) over all cells, shape (10, 10), under the symmetry of the
        outputs that leaves least open about the inputs, so that a task that only turns or flips its
        grids counts as one that keeps them. Pairs of different size are passed over."""
        tables = [_counted(self, symmetry) for symmetry in range(SYMMETRIES)]
        most = max(table.sum() for table in tables)
        return min((table for table in tables if table.sum() == most), key=conditional_entropy)

    @cached_property
    def objects(self) -> list[tuple[list[Object], list[Object]]]:
        """The objects of each input and output."""
        return [(objects(a), objects(b)) for a, b in self]

    def reversed(self) -> "Pairs":
        """Outputs as inputs."""
        return Pairs((b, a) for a, b in self)


def _counted(pairs: Pairs, symmetry: int) -> npt.NDArray[np.int64]:
    """Counts of (input colour, output colour) over all cells where the turned output has the input's
    size, shape (10, 10)."""
    counts = np.zeros(COLOURS * COLOURS, dtype=np.int64)
    for a, b in pairs:
        turned = apply_symmetry(symmetry, b)
        if a.shape == turned.shape:
            joint = a.ravel().astype(np.int64) * COLOURS + turned.ravel()
            counts += np.bincount(joint, minlength=COLOURS * COLOURS)
    return counts.reshape(COLOURS, COLOURS)


def conditional_entropy(counts: npt.NDArray[np.int64]) -> float:
    """H(row | column) in bits of a table of joint counts; 0 for an empty table."""
    total = counts.sum()
    if not total:
        return 0.0
    columns = np.broadcast_to(counts.sum(axis=0, keepdims=True), counts.shape)
    filled = counts > 0
    return float(-(counts[filled] * np.log2(counts[filled] / columns[filled])).sum() / total)


def compressed(grids: Sequence[Grid]) -> int:
    """Bytes that the grids add to an empty message, compressed by rows or by columns, whichever is less."""
    rows = b"".join(b"".join(bytes(row) + b"\n" for row in grid) + b"\n" for grid in grids)
    columns = b"".join(b"".join(bytes(row) + b"\n" for row in grid.T) + b"\n" for grid in grids)
    return min(len(zlib.compress(rows, 9)), len(zlib.compress(columns, 9))) - _EMPTY


def contains(large: Grid, small: Grid) -> bool:
    """Whether the small grid is a part of the large one, as it is."""
    if large.shape[0] < small.shape[0] or large.shape[1] < small.shape[1]:
        return False
    windows = np.lib.stride_tricks.sliding_window_view(large, small.shape)
    return bool((windows == small).all(axis=(2, 3)).any())


def objects(grid: Grid) -> list[Object]:
    """The regions of one colour, cells joined by their sides, without the commonest colour."""
    ground = int(np.bincount(grid.ravel(), minlength=COLOURS).argmax())
    rows = grid.tolist()
    cells = {(y, x): c for y, row in enumerate(rows) for x, c in enumerate(row) if c != ground}
    found = []
    while cells:
        place, colour = cells.popitem()
        region, edge = {place}, [place]
        while edge:
            y, x = edge.pop()
            for near in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                if cells.get(near) == colour:
                    del cells[near]
                    region.add(near)
                    edge.append(near)
        found.append((colour, frozenset(region)))
    return found


def shape_of(places: frozenset[tuple[int, int]]) -> frozenset[tuple[int, int]]:
    """The places counted from the upper left corner."""
    top, left = min(y for y, _ in places), min(x for _, x in places)
    return frozenset((y - top, x - left) for y, x in places)


def edges(grid: Grid) -> int:
    """The number of neighbouring cells that differ in colour."""
    return int((grid[1:] != grid[:-1]).sum() + (grid[:, 1:] != grid[:, :-1]).sum())


def neighbourhoods(grid: Grid) -> npt.NDArray[np.int64]:
    """For each cell, row by row, a number that stands for the colours of its 3 × 3 neighbourhood."""
    around = np.pad(grid.astype(np.int64), 1, constant_values=COLOURS)  # beyond the border
    windows = np.lib.stride_tricks.sliding_window_view(around, (3, 3)).reshape(grid.size, 9)
    return np.asarray(windows @ (COLOURS + 1) ** np.arange(9))


def told_by_neighbours(pairs: Pairs) -> float:
    """Share of the changed cells whose old colour is the usual one, in the other pairs, under the same
    3 × 3 neighbourhood of the output; 0 where nothing changes. Pairs of different size are passed over."""
    cells = [
        list(zip(neighbourhoods(b).tolist(), a.ravel().tolist(), (a != b).ravel().tolist(), strict=True))
        for a, b in pairs
        if a.shape == b.shape
    ]
    seen = [Counter((place, colour) for place, colour, _ in one) for one in cells]
    total = sum(seen, Counter[tuple[int, int]]())
    predicted = changed = 0
    for one, own in zip(cells, seen, strict=True):
        for place, colour, differs in one:
            if differs:
                votes = [total[place, c] - own[place, c] for c in range(COLOURS)]
                changed += 1
                predicted += max(votes) > 0 and votes[colour] == max(votes)
    return predicted / changed if changed else 0.0
