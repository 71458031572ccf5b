"""Canonical forms of pairs: equal exactly where one pair turns into the other by one of the 8 symmetries
and a recolouring of all ten colours, applied to input and output alike.

Computing them for every pair would be slow, so pairs are first told apart by a *signature*, which such
a change leaves alone and which numpy computes for thousands of pairs at once.
"""

import math
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from core.arc.grids import COLOURS, Grid
from core.arc.tasks import Pair, Task
from core.arc.views import SYMMETRIES, apply_symmetry

_CHUNK = 4096  # pairs whose cells are counted at once: bounds the memory


def canonical_pair(source: Grid, target: Grid) -> bytes:
    """The canonical form of a pair of grids, from `source` to `target`.

    For each symmetry both grids are laid out as bytes and their colours numbered by first appearance;
    the smallest of the 8 results stands for all.
    """
    forms = []
    for symmetry in range(SYMMETRIES):
        a, b = apply_symmetry(symmetry, source), apply_symmetry(symmetry, target)
        forms.append(bytes((*a.shape, *b.shape)) + _numbered(a.tobytes() + b.tobytes()))
    return min(forms)


def _numbered(cells: bytes) -> bytes:
    """Cells with their colours numbered by first appearance."""
    numbers = bytearray(256)
    for number, colour in enumerate(dict.fromkeys(cells)):
        numbers[colour] = number
    return cells.translate(bytes(numbers))


def view_key(task: Task) -> Hashable:
    """Equal only for tasks whose pairs with an output, in some order, one view turns into each other.

    For each symmetry the pairs are sorted by their canonical form under recolouring, and the colours of the
    whole task are numbered by first appearance; the smallest of the 8 results stands for all. Pairs that are
    equal up to recolouring keep their order, so a few such twins have different keys.
    """
    forms = []
    for symmetry in range(SYMMETRIES):
        pairs = []
        for pair in task.pairs:
            if pair.output is not None:
                a, b = apply_symmetry(symmetry, pair.input), apply_symmetry(symmetry, pair.output)
                cells = a.tobytes() + b.tobytes()
                pairs.append(((*a.shape, *b.shape), _numbered(cells), cells))
        pairs.sort(key=lambda shown: shown[:2])
        forms.append(
            (tuple(shape for shape, _, _ in pairs), _numbered(b"".join(cells for *_, cells in pairs)))
        )
    return min(forms)


def view_sketch(task: Task) -> Hashable:
    """What no view changes, fast to compute: equal for tasks with an equal `view_key` and for few others."""
    pairs = [(pair.input, pair.output) for pair in task.pairs if pair.output is not None]
    sides = sorted(min((*a.shape, *b.shape), (*a.T.shape, *b.T.shape)) for a, b in pairs)
    columns = (b"".join(grid.tobytes() for grid in grids) for grids in zip(*pairs, strict=True))
    return tuple(sides), *(
        tuple(sorted(cells.count(colour) for colour in range(COLOURS))) for cells in columns
    )


def canonical_task(task: Task) -> list[bytes]:
    """The canonical forms of all its pairs with a known output, sorted."""
    return sorted(canonical_pair(p.input, p.output) for p in task.pairs if p.output is not None)


def is_own_reversal(task: Task) -> bool:
    """Whether asking the task backwards asks the same pairs up to symmetry and recolouring, as where
    every output is the transposed input. Reversed, such a task teaches nothing new."""
    return canonical_task(task) == canonical_task(task.reverse())


def colour_counts(grids: Sequence[Grid]) -> npt.NDArray[np.int32]:
    """Cells of each colour in each grid, shape (grids, 10)."""
    counts = np.zeros((len(grids), COLOURS), dtype=np.int32)
    for start in range(0, len(grids), _CHUNK):
        chunk = grids[start : start + _CHUNK]
        cells = np.concatenate([grid.ravel() for grid in chunk])
        owner = np.repeat(np.arange(len(chunk)), [grid.size for grid in chunk])
        found = np.bincount(owner * COLOURS + cells, minlength=len(chunk) * COLOURS)
        counts[start : start + len(chunk)] = found.reshape(-1, COLOURS)
    return counts


def signatures(
    pairs: Sequence[Pair], counts_in: npt.NDArray[np.int32], counts_out: npt.NDArray[np.int32]
) -> list[bytes]:
    """For each pair (all with outputs) what no symmetry or recolouring changes: its sizes up to a
    transposition, and how often each colour stands in input and output, sorted over the colours."""
    if not pairs:
        return []
    sizes = np.array(
        [(*p.input.shape, *p.output.shape) for p in pairs if p.output is not None], dtype=np.int32
    )
    turned = sizes[:, [1, 0, 3, 2]]
    weights = 32 ** np.arange(3, -1, -1)
    upright = (sizes @ weights <= turned @ weights)[:, None]
    per_colour = np.sort(counts_in * 1024 + counts_out, axis=1)  # a grid has at most 900 cells
    rows = np.concatenate([np.where(upright, sizes, turned), per_colour], axis=1).astype(np.int32)
    return [row.tobytes() for row in rows]


def bits(counts_in: npt.NDArray[np.int32], counts_out: npt.NDArray[np.int32]) -> float:
    """How unlikely it is to meet this pair by chance, in bits; 0 where it says nothing.

    It is the logarithm of the number of ways to arrange the cells of both grids when their colour
    counts are known (two multinomial coefficients), less what the choice of symmetry and colours
    gives away: log2 of 8 and of the factorial of the number of colours.
    """
    arranged = sum(
        math.lgamma(int(counts.sum()) + 1) - sum(math.lgamma(int(count) + 1) for count in counts)
        for counts in (counts_in, counts_out)
    )
    colours = int(((counts_in + counts_out) > 0).sum())
    return max(0.0, (arranged - math.lgamma(colours + 1)) / math.log(2) - math.log2(SYMMETRIES))
