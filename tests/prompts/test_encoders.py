"""Grids as text: reading undoes writing, and nothing else counts as a grid."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.arc.grids import Grid, same_grid
from core.errors import UserError
from core.prompts.encoders import GridEncoding, grid_to_text, text_to_grid
from core.settings import validated
from tests.arc.strategies import grids

ENCODINGS = [
    GridEncoding(shape_header=header, row_numbers=numbers, cell_separator=separator)
    for header, numbers, separator in product([False, True], [False, True], ["none", "space"])
]
PLAIN = GridEncoding()
HEADER = GridEncoding(shape_header=True)
NUMBERED = GridEncoding(row_numbers=True)
SPACED = GridEncoding(cell_separator="space")


def test_every_combination_of_options_is_tried() -> None:
    assert len(set(ENCODINGS)) == 8


@given(grids(max_side=30), st.sampled_from(ENCODINGS))
def test_reading_undoes_writing(grid: Grid, encoding: GridEncoding) -> None:
    assert same_grid(text_to_grid(grid_to_text(grid, encoding), encoding), grid)


@given(st.text(alphabet="0123456789\n x:²٣", max_size=60), st.sampled_from(ENCODINGS))
def test_what_is_read_is_written_the_same(text: str, encoding: GridEncoding) -> None:
    """So a text that is no exact encoding of a grid is no grid."""
    grid = text_to_grid(text, encoding)
    if grid is not None:
        assert grid_to_text(grid, encoding) == text.strip()


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        (PLAIN, "12\n30"),
        (HEADER, "2x2\n12\n30"),
        (NUMBERED, "1 12\n2 30"),
        (SPACED, "1 2\n3 0"),
        (GridEncoding(shape_header=True, row_numbers=True, cell_separator="space"), "2x2\n1 1 2\n2 3 0"),
    ],
)
def test_a_grid_is_written_as_documented(encoding: GridEncoding, text: str) -> None:
    assert grid_to_text(np.array([[1, 2], [3, 0]], dtype=np.uint8), encoding) == text
    assert same_grid(text_to_grid(f" \n{text}\n ", encoding), np.array([[1, 2], [3, 0]], dtype=np.uint8))


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        (PLAIN, ""),
        (PLAIN, " \n "),
        (PLAIN, "12\n3"),
        (PLAIN, "12\n\n30"),
        (PLAIN, "1²"),
        (PLAIN, "1٣"),
        (PLAIN, "1𝟙"),
        (PLAIN, "１２"),
        (PLAIN, "12\r\n30"),
        (PLAIN, "1a"),
        (PLAIN, "-1"),
        (PLAIN, "1 2"),
        (PLAIN, "I12"),
        (PLAIN, "0" * 31),
        (PLAIN, "\n".join(["0"] * 31)),
        (HEADER, "12\n30"),
        (HEADER, "2x3\n12\n30"),
        (HEADER, "3x2\n12\n30"),
        (HEADER, "02x2\n12\n30"),
        (HEADER, "٢x2\n12\n30"),
        (HEADER, "2x2"),
        (HEADER, "0x0\n"),
        (HEADER, "1x0\nab"),
        (NUMBERED, "12\n30"),
        (NUMBERED, "1 12\n3 30"),
        (NUMBERED, "2 12\n1 30"),
        (NUMBERED, "1 12\n2"),
        (NUMBERED, "1  12"),
        (SPACED, "12\n30"),
        (SPACED, "1  2"),
        (SPACED, "1\t2"),
        (SPACED, "1 2\n3 10"),
        (SPACED, "1 2 \n3 0"),
    ],
)
def test_anything_else_is_no_grid(encoding: GridEncoding, text: str) -> None:
    assert text_to_grid(text, encoding) is None


def test_a_misspelt_option_is_named() -> None:
    with pytest.raises(UserError, match=r"trial: unknown key 'row_number'. Did you mean 'row_numbers'\?"):
        validated(GridEncoding, {"row_number": True}, "trial")
