"""Statistics of a source, counted by hand."""

import numpy as np
import pytest

from core.arc.tasks import Pair, Task
from core.curation.source_stats import statistics


def grid(height: int, width: int, colour: int = 1) -> np.ndarray:
    return np.full((height, width), colour, dtype=np.uint8)


def test_a_small_source_by_hand() -> None:
    one = Task(
        "a",
        "toy",
        "a",
        (Pair(grid(2, 2), grid(2, 2, 0)), Pair(grid(1, 2), grid(1, 1))),
        (Pair(grid(1, 1), None),),
    )
    pool = Task("b", "toy", "a", tuple(Pair(grid(3, 1), grid(3, 1, 2)) for _ in range(5)), (), 1)
    found = statistics([one, pool])
    assert (found.tasks, found.families, found.pools, found.pairs, found.tests, found.hidden) == (
        2,
        1,
        1,
        8,
        1,
        1,
    )
    assert found.demonstrations == 1.5
    assert (found.cells, found.largest, found.side) == ((12 + 12) / 2, 12, 3)
    assert found.colours == 1
    assert found.same_size == pytest.approx(6 / 7)
    assert found.black == pytest.approx(4 / (4 + 4 + 2 + 1 + 1 + 30))


def test_nothing_is_unknown_and_not_zero() -> None:
    found = statistics([])
    assert (found.tasks, found.pairs) == (0, 0)
    assert found.demonstrations is found.cells is found.largest is found.colours is found.black is None
