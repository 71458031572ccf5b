"""Grid pictures hold exactly the grid's colours, and a strip holds the whole task."""

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from PIL import Image

from core.arc.grids import ARC_COLOURS, Grid
from core.arc.tasks import Pair, Task
from dashboard.components.grids import (
    STRIP_HEIGHT,
    cell_size,
    grid_address,
    grid_html,
    grid_png,
    mask_address,
    task_html,
)
from tests.arc.strategies import grids


def colours_of(png: bytes) -> list[list[str]]:
    picture = Image.open(io.BytesIO(png))
    picture.load()
    pixels = np.asarray(picture.convert("RGB"))
    return [["#{:02X}{:02X}{:02X}".format(*pixel) for pixel in row] for row in pixels]


@given(grids())
def test_a_picture_has_one_pixel_of_the_right_colour_per_cell(grid: Grid) -> None:
    assert colours_of(grid_png(grid)) == [[ARC_COLOURS[colour] for colour in row] for row in grid.tolist()]


def test_an_address_holds_the_picture() -> None:
    grid = np.array([[1, 2, 3]], dtype=np.uint8)
    kind, data = grid_address(grid).split(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data) == grid_png(grid)


def test_a_mask_colours_what_differs_and_lets_the_rest_shine_through() -> None:
    _, data = mask_address(np.array([[True, False, True]])).split(",")
    picture = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA")
    off, same = [213, 94, 0, 255], [128, 128, 128, 36]
    assert np.asarray(picture).tolist() == [[off, same, off]]


def test_a_grid_states_its_size_as_width_times_height() -> None:
    html = grid_html(np.zeros((7, 12), dtype=np.uint8), 10)
    assert ">12×7<" in html
    assert "width:120px;height:70px" in html


def test_a_strip_shows_every_pair_and_marks_tests_and_hidden_outputs() -> None:
    small, large = np.ones((3, 3), dtype=np.uint8), np.ones((30, 30), dtype=np.uint8)
    task = Task("t", "s", "t", (Pair(small, large), Pair(small, small)), (Pair(large, None),))
    html = task_html(task).split("</style>")[1]
    assert html.count("<img") == 5
    assert html.count('class="arc-pair arc-test"') == 1
    assert html.count('class="arc-hidden"') == 1
    assert html.count("→") == 3
    assert "<svg" not in html


@pytest.mark.parametrize(("side", "cell"), [(1, 22), (10, 12), (30, 4)])
def test_all_grids_of_a_strip_share_a_cell_size_that_fits(side: int, cell: int) -> None:
    grid = np.ones((side, side), dtype=np.uint8)
    assert cell_size([Pair(np.ones((1, 1), dtype=np.uint8), grid)], STRIP_HEIGHT) == cell
