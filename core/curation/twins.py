"""Twins: tasks that one view (a symmetry and a recolouring of the whole task) turns into each other.

Small pairs coincide by chance, whole tasks do not: the recolouring must be the same for every pair.
"""

from collections.abc import Mapping, Sequence

from core.arc.tasks import Task
from core.arc.views import SYMMETRIES, apply_symmetry

Shape = tuple[int, ...]
Shown = tuple[Shape, bytes]
"""A pair as the sides of both grids and their cells, input first."""
Recolouring = Mapping[int, int]


def are_twins(one: Task, other: Task) -> bool:
    """Whether one view turns every pair of the smaller task into a pair of the larger one.

    Repeated pairs count once, pairs without an output not at all. A single pair is a twin of another
    single pair only: among the many of a pool it can be a coincidence.
    """
    small, large = sorted((one, other), key=lambda task: len(_shown(task, 0)))
    wanted = _shown(large, 0)
    for symmetry in range(SYMMETRIES):
        pairs = _shown(small, symmetry)
        if not pairs or len(pairs) == 1 < len(wanted):
            return False
        if {shape for shape, _ in pairs} <= {shape for shape, _ in wanted} and _fits(
            sorted(pairs, key=lambda pair: -len(set(pair[1]))), wanted, {}
        ):
            return True
    return False


def _shown(task: Task, symmetry: int) -> set[Shown]:
    """The distinct pairs of a task under a symmetry."""
    found = set()
    for pair in task.pairs:
        if pair.output is not None:
            a, b = apply_symmetry(symmetry, pair.input), apply_symmetry(symmetry, pair.output)
            found.add(((*a.shape, *b.shape), a.tobytes() + b.tobytes()))
    return found


def _fits(pairs: Sequence[Shown], wanted: set[Shown], colours: Recolouring) -> bool:
    """Whether a recolouring that extends `colours` turns all of `pairs` into wanted ones."""
    for place, (shape, cells) in enumerate(pairs):
        if colours.keys() >= set(cells):  # nothing is left to choose
            if (shape, bytes(colours[cell] for cell in cells)) not in wanted:
                return False
            continue
        extensions = (_extended(colours, cells, target) for form, target in wanted if form == shape)
        return any(found is not None and _fits(pairs[place + 1 :], wanted, found) for found in extensions)
    return True


def _extended(colours: Recolouring, cells: bytes, target: bytes) -> Recolouring | None:
    """The recolouring that also turns `cells` into `target`; None where there is none."""
    steps = {*zip(cells, target, strict=True), *colours.items()}
    extended = dict(steps)
    return extended if len(extended) == len(steps) == len(set(extended.values())) else None
