"""Laws of views: each can be undone, and the symmetries form a group."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.arc.tasks import Pair, Task
from core.arc.views import (
    SYMMETRIES,
    View,
    apply_symmetry,
    compose_symmetries,
    draw_colours,
    draw_pair_order,
    inverse_symmetry,
)
from core.seeds import generator

from .strategies import grids, tasks, views

# A grid that looks different under each of the 8 symmetries.
LOPSIDED = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8)


@given(st.data())
def test_a_view_and_its_inverse_give_the_task_back(data: st.DataObject) -> None:
    task = data.draw(tasks())
    view = data.draw(views(len(task.train)))
    assert view.inverse().apply(view.apply(task)) == task
    assert view.inverse().inverse() == view


@given(st.data(), grids())
def test_an_answer_is_turned_back(data: st.DataObject, grid: np.ndarray) -> None:
    view = data.draw(views(3))
    assert (view.undo(view.apply_to_grid(grid)) == grid).all()
    assert (view.apply_to_grid(view.undo(grid)) == grid).all()


@given(st.data())
def test_a_view_shows_inputs_and_outputs_alike(data: st.DataObject) -> None:
    """An identity task stays one: what happens to the inputs happens to the outputs."""
    shown = data.draw(grids())
    task = Task("a", "toy", "a", (Pair(shown, shown.copy()),), (Pair(shown, None),))
    seen = data.draw(views(1)).apply(task)
    assert (seen.train[0].input == seen.train[0].output).all()
    assert (seen.test[0].input == seen.train[0].input).all()
    assert seen.test[0].output is None


def test_the_symmetries_form_a_group() -> None:
    images = [apply_symmetry(number, LOPSIDED) for number in range(SYMMETRIES)]
    assert len({(image.shape, image.tobytes()) for image in images}) == SYMMETRIES
    checked = 0
    for first in range(SYMMETRIES):
        for then in range(SYMMETRIES):
            both = apply_symmetry(then, apply_symmetry(first, LOPSIDED))
            assert 0 <= compose_symmetries(first, then) < SYMMETRIES
            assert np.array_equal(both, images[compose_symmetries(first, then)])
            checked += 1
        assert compose_symmetries(first, inverse_symmetry(first)) == 0
        assert compose_symmetries(inverse_symmetry(first), first) == 0
        assert sorted(compose_symmetries(first, then) for then in range(SYMMETRIES)) == list(range(8))
    assert checked == 64


@given(st.integers(0, 7), st.integers(0, 7), st.integers(0, 7))
def test_composition_is_associative(a: int, b: int, c: int) -> None:
    left = compose_symmetries(compose_symmetries(a, b), c)
    assert left == compose_symmetries(a, compose_symmetries(b, c))


def test_draws_are_permutations_and_follow_the_generator() -> None:
    for number in range(50):
        rng = generator(1, "test", number)
        colours = draw_colours(rng, keep_black=True)
        assert colours[0] == 0
        assert sorted(colours) == list(range(10))
        assert sorted(draw_colours(rng, keep_black=False)) == list(range(10))
        assert sorted(draw_pair_order(rng, 5)) == list(range(5))
    assert draw_colours(generator(1, "x"), keep_black=False) == draw_colours(
        generator(1, "x"), keep_black=False
    )


@pytest.mark.parametrize(
    "wrong",
    [{"symmetry": 8}, {"symmetry": -1}, {"colours": (0,) * 10}, {"colours": (0, 1)}, {"pair_order": (0, 2)}],
)
def test_impossible_views_cannot_be_made(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"(is|are) no"):
        View(**wrong)  # type: ignore[arg-type]


def test_an_order_must_fit_the_task() -> None:
    task = Task("a", "toy", "a", (Pair(LOPSIDED, LOPSIDED),), ())
    with pytest.raises(ValueError, match="an order of 2 pairs for 1"):
        View(pair_order=(1, 0)).apply(task)
