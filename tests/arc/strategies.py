"""Random grids, pairs, tasks and views for property tests."""

import numpy as np
from hypothesis import strategies as st

from core.arc.grids import Grid
from core.arc.tasks import Pair, Task
from core.arc.views import View


@st.composite
def grids(draw: st.DrawFn, max_side: int = 6) -> Grid:
    height, width = draw(st.integers(1, max_side)), draw(st.integers(1, max_side))
    cells = draw(st.binary(min_size=height * width, max_size=height * width))
    return (np.frombuffer(cells, dtype=np.uint8) % 10).reshape(height, width)


def pairs() -> st.SearchStrategy[Pair]:
    return st.builds(Pair, grids(), grids())


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    train = draw(st.lists(pairs(), min_size=1, max_size=4))
    test = draw(st.lists(pairs(), min_size=1, max_size=2))
    return Task("0123abcd", "toy", "0123abcd", tuple(train), tuple(test))


@st.composite
def views(draw: st.DrawFn, demonstrations: int) -> View:
    order = draw(st.none() | st.permutations(range(demonstrations)).map(tuple))
    return View(draw(st.integers(0, 7)), tuple(draw(st.permutations(range(10)))), order)
