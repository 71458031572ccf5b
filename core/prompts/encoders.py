"""Grids as text and text as grids.

A grid is its rows of digits, one row a line. Options add a header with the size, the number of each
row, or a separator between cells; they compose, and reading undoes exactly what writing did. On a canvas
every row takes the same number of characters, so that the place of a character tells its row and column.
"""

from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from core.arc.grids import COLOURS, MAX_SIDE, Grid
from core.settings import Settings

_SEPARATORS = {"none": "", "space": " "}


class GridEncoding(Settings):
    """How a grid is written."""

    shape_header: bool = Field(False, description="Begin each grid with a line such as 3x4 (rows x columns).")
    row_numbers: bool = Field(False, description="Begin each row with its number, counted from 1.")
    cell_separator: Literal["none", "space"] = Field("none", description="What stands between two cells.")
    canvas: int | None = Field(
        None,
        ge=1,
        le=MAX_SIDE,
        description="Write on a square of so many rows and columns: each row is filled up with line ends. For"
        " models with positions on the grid and template pair; larger grids are left out.",
    )

    @model_validator(mode="after")
    def _canvas_stands_alone(self) -> Self:
        if self.canvas is not None and (
            self.shape_header or self.row_numbers or self.cell_separator != "none"
        ):
            raise ValueError(
                "a canvas holds cells alone; leave out shape_header, row_numbers, cell_separator"
            )
        return self

    def holds(self, grid: Grid) -> bool:
        """Whether this encoding can write the grid: any grid, unless the canvas is smaller."""
        return self.canvas is None or max(grid.shape) <= self.canvas


def grid_to_text(grid: Grid, encoding: GridEncoding) -> str:
    """The grid as lines of digits, without a newline at the end. A canvas must hold it (`holds`)."""
    separator = _SEPARATORS[encoding.cell_separator]
    digits, width = (grid + ord("0")).tobytes().decode("ascii"), grid.shape[1]
    lines = [digits[start : start + width] for start in range(0, len(digits), width)]
    if separator:
        lines = [separator.join(line) for line in lines]
    if encoding.row_numbers:
        lines = [f"{number} {line}" for number, line in enumerate(lines, 1)]
    if encoding.shape_header:
        lines.insert(0, f"{grid.shape[0]}x{grid.shape[1]}")
    fill = 1 if encoding.canvas is None else encoding.canvas + 1 - width
    return ("\n" * fill).join(lines)


def whole_canvas(grid: Grid, canvas: int) -> str:
    """The grid on its canvas, empty rows included: canvas × (canvas + 1) characters."""
    return grid_to_text(grid, GridEncoding(canvas=canvas)).ljust(canvas * (canvas + 1), "\n")


def text_to_grid(text: str, encoding: GridEncoding) -> Grid | None:
    """The grid that the text writes, or None where it writes none.

    Strict: a wrong header, row number or separator, rows of unequal length and sizes outside 1–30
    are no grid. White space around the whole text is ignored.
    """
    lines = text.strip().split("\n") if encoding.canvas is None else _canvas_rows(text, encoding.canvas)
    if encoding.shape_header:
        header, *lines = lines
        if not lines or header != f"{len(lines)}x{_width(lines[0], encoding)}":
            return None
    rows = [_read_row(line, number, encoding) for number, line in enumerate(lines, 1)]
    if not 1 <= len(rows) <= MAX_SIDE or not all(rows) or not 1 <= len(rows[0]) <= MAX_SIDE:
        return None
    if any(len(row) != len(rows[0]) for row in rows):
        return None
    return np.array(rows, dtype=np.uint8)


def _canvas_rows(text: str, canvas: int) -> list[str]:
    """The rows of a text on a canvas; one that is no row where a line is longer or there are too many."""
    stride, written = canvas + 1, text.rstrip()
    rows = [written[start : start + stride].rstrip("\n") for start in range(0, len(written), stride)]
    return rows if 1 <= len(rows) <= canvas and max(map(len, rows)) <= canvas else [""]


def _width(line: str, encoding: GridEncoding) -> int:
    return len(_read_row(line, 1, encoding))


def _read_row(line: str, number: int, encoding: GridEncoding) -> list[int]:
    """The colours of a row; empty where the line is no row."""
    if encoding.row_numbers:
        prefix = f"{number} "
        if not line.startswith(prefix):
            return []
        line = line.removeprefix(prefix)
    separator = _SEPARATORS[encoding.cell_separator]
    cells = line.split(separator) if separator else list(line)
    if not all(len(cell) == 1 and cell in "0123456789"[:COLOURS] for cell in cells):
        return []
    return [int(cell) for cell in cells]
