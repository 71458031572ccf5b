"""Grids as text and text as grids.

A grid is its rows of digits, one row a line. Options add a header with the size, the number of each
row, or a separator between cells; they compose, and reading undoes exactly what writing did.
"""

from typing import Literal

import numpy as np
from pydantic import Field

from core.arc.grids import COLOURS, MAX_SIDE, Grid
from core.settings import Settings

_SEPARATORS = {"none": "", "space": " "}


class GridEncoding(Settings):
    """How a grid is written."""

    shape_header: bool = Field(False, description="Begin each grid with a line such as 3x4 (rows x columns).")
    row_numbers: bool = Field(False, description="Begin each row with its number, counted from 1.")
    cell_separator: Literal["none", "space"] = Field("none", description="What stands between two cells.")


def grid_to_text(grid: Grid, encoding: GridEncoding) -> str:
    """The grid as lines of digits, without a newline at the end."""
    separator = _SEPARATORS[encoding.cell_separator]
    digits, width = (grid + ord("0")).tobytes().decode("ascii"), grid.shape[1]
    lines = [digits[start : start + width] for start in range(0, len(digits), width)]
    if separator:
        lines = [separator.join(line) for line in lines]
    if encoding.row_numbers:
        lines = [f"{number} {line}" for number, line in enumerate(lines, 1)]
    if encoding.shape_header:
        lines.insert(0, f"{grid.shape[0]}x{grid.shape[1]}")
    return "\n".join(lines)


def text_to_grid(text: str, encoding: GridEncoding) -> Grid | None:
    """The grid that the text writes, or None where it writes none.

    Strict: a wrong header, row number or separator, rows of unequal length and sizes outside 1–30
    are no grid. White space around the whole text is ignored.
    """
    lines = text.strip().split("\n")
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
