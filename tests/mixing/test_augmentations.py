"""Composed augmentations: each can be read back, and changes one side of all pairs in one way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.arc.grids import same_grid
from core.arc.tasks import Pair, Task
from core.mixing.augmentations import (
    Augmentation,
    Composed,
    change_side,
    draw_composed,
    draw_problem,
    mirror,
    pad,
    upscale,
)
from core.seeds import generator
from tests.arc.strategies import grids, pairs, tasks

NAMES: list[Composed] = ["geometric", "padding", "upscaling", "mirroring", "recolouring"]


@given(grids(), st.integers(1, 3), st.integers(0, 9))
def test_a_frame_surrounds_the_grid(grid: np.ndarray, width: int, colour: int) -> None:
    framed = pad(grid, width, colour)
    assert same_grid(framed[width:-width, width:-width], grid)
    assert framed.shape == (grid.shape[0] + 2 * width, grid.shape[1] + 2 * width)
    assert (framed == colour).sum() == framed.size - grid.size + (grid == colour).sum()


@given(grids(), st.integers(1, 3), st.integers(1, 3))
def test_an_enlarged_grid_holds_every_cell_often(grid: np.ndarray, height: int, width: int) -> None:
    large = upscale(grid, height, width)
    assert large.size == grid.size * height * width
    for y in range(height):
        for x in range(width):
            assert same_grid(large[y::height, x::width], grid)


@given(grids(), st.integers(0, 1), st.booleans())
def test_a_mirrored_grid_is_symmetric_and_holds_the_grid(
    grid: np.ndarray, axis: int, image_first: bool
) -> None:
    both = mirror(grid, axis, image_first=image_first)
    assert same_grid(np.flip(both, axis), both)
    first, second = np.split(both, 2, axis=axis)
    assert same_grid(second if image_first else first, grid)


@given(pairs())
def test_one_side_changes_and_the_other_stays(pair: Pair) -> None:
    def turn(grid: np.ndarray) -> np.ndarray:
        return np.rot90(grid)

    on_input, on_output = (change_side(pair, turn, on_inputs=side) for side in (True, False))
    assert same_grid(on_input.output, pair.output)
    assert same_grid(on_input.input, turn(pair.input))
    assert same_grid(on_output.input, pair.input)
    assert pair.output is not None
    assert same_grid(on_output.output, turn(pair.output))


@pytest.mark.parametrize("name", NAMES)
@given(task=tasks(), number=st.integers(0, 10_000))
def test_all_pairs_change_on_the_same_side(name: Composed, task: Task, number: int) -> None:
    always = Augmentation(composed=(name,), composed_share=1)
    changed = draw_composed(generator(1, number), task, always)
    inputs_stay = all(same_grid(a.input, b.input) for a, b in zip(task.pairs, changed.pairs, strict=True))
    outputs_stay = all(same_grid(a.output, b.output) for a, b in zip(task.pairs, changed.pairs, strict=True))
    assert inputs_stay or outputs_stay
    assert draw_composed(generator(1, number), task, always) == changed
    assert (changed.task_id, changed.family, len(changed.train)) == (
        task.task_id,
        task.family,
        len(task.train),
    )
    if name not in ("geometric", "recolouring"):  # a symmetric or black grid may look the same
        assert not (inputs_stay and outputs_stay)


@pytest.mark.parametrize("name", NAMES)
def test_both_sides_and_several_ways_are_drawn(name: Composed) -> None:
    grid = np.arange(6, dtype=np.uint8).reshape(2, 3)
    task = Task("a", "toy", "a", (Pair(grid, grid),), (Pair(grid, None),))
    always = Augmentation(composed=(name,), composed_share=1)
    drawn = [draw_composed(generator(2, number), task, always).train[0] for number in range(300)]
    changed_inputs = sum(not same_grid(pair.input, grid) for pair in drawn)
    assert 100 < changed_inputs < 200
    looks = {(pair.input.shape, pair.input.tobytes()) for pair in drawn}
    if name == "recolouring":  # 9! are too many to see all; black, in the first cell, stays
        assert len(looks) > 100 and all(cells[0] == 0 for _, cells in looks)
    else:
        assert len(looks) - 1 == {"geometric": 7, "padding": 30, "upscaling": 4, "mirroring": 4}[name]


def test_no_grid_grows_over_the_largest_size() -> None:
    grid = np.ones((30, 16), dtype=np.uint8)
    task = Task("a", "toy", "a", (Pair(grid, grid),), ())
    every = Augmentation(composed=tuple(NAMES), composed_share=1)
    drawn = [draw_composed(generator(3, number), task, every) for number in range(200)]
    sides = [side for one in drawn for g in (one.train[0].input, one.train[0].output) for side in g.shape]
    assert max(sides) == 30
    assert any(one == task for one in drawn)


def test_the_share_of_composed_samples_is_the_one_set() -> None:
    grid = np.arange(6, dtype=np.uint8).reshape(2, 3)
    task = Task("a", "toy", "a", (Pair(grid, grid),), ())
    for share in (0.0, 0.25, 1.0):
        some = Augmentation(composed=("padding",), composed_share=share)
        changed = sum(draw_composed(generator(4, number), task, some) != task for number in range(400))
        assert abs(changed / 400 - share) < 0.08
    assert draw_composed(generator(4, 0), task, Augmentation()) is task


def test_a_lesson_makes_one_change_and_nothing_else() -> None:
    inputs = [np.arange(start, start + 6, dtype=np.uint8).reshape(2, 3) for start in range(4)]
    pairs = tuple(Pair(grid, np.full((1, 1), 9, dtype=np.uint8)) for grid in inputs)
    task = Task("a", "toy", "a", pairs[:3], pairs[3:])
    taught = Augmentation(composed=("upscaling",), lesson_share=1)
    lessons = [draw_problem(generator(5, number), task, taught) for number in range(300)]
    copies = [lesson for lesson in lessons if same_grid(lesson.test[0].output, lesson.test[0].input)]
    assert 100 < len(copies) < 200, "one in two, as there is one kind of change"
    for lesson in lessons:
        assert len(lesson.train) == 3 and lesson.family == task.family
        sizes = [(pair.input.size, pair.output.size) for pair in lesson.pairs if pair.output is not None]
        assert len(set(sizes)) == 1 and 6 in sizes[0], "the same change in every pair"


def test_the_share_of_lessons_is_the_one_set_and_zero_draws_none() -> None:
    grid, answer = np.zeros((2, 2), dtype=np.uint8), np.ones((2, 2), dtype=np.uint8)
    task = Task("a", "toy", "a", (Pair(grid, answer),), (Pair(grid, answer),))
    some = Augmentation(lesson_share=0.25)
    changed = sum(draw_problem(generator(6, number), task, some) != task for number in range(400))
    assert abs(changed / 400 - 0.25) < 0.08
    rng = generator(6, 0)
    assert draw_problem(rng, task, Augmentation()) is task
    assert rng.random() == generator(6, 0).random(), "samples of older recipes stay what they were"
