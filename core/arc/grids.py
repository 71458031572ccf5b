"""Grids: 1–30 × 1–30 cells of the colours 0–9, as `numpy.uint8` arrays of shape (height, width).

Whatever comes from outside passes `parse_grid`, which says which cell of which pair is wrong.
Everything behind it may rely on a valid grid.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from core.errors import UserError

Grid = npt.NDArray[np.uint8]

MAX_SIDE = 30
COLOURS = 10

ARC_COLOURS = (
    *("#000000", "#0074D9", "#FF4136", "#2ECC40", "#FFDC00"),
    *("#AAAAAA", "#F012BE", "#FF851B", "#7FDBFF", "#870C25"),
)
"""The colours 0 to 9 as ARC's own editor shows them."""


def parse_grid(rows: Any, where: str) -> Grid:
    """Check rows of whole numbers, which some tools write as 5.0, and return them as a grid of shape (height,
    width).

    `where` names the place for the reader of an error ("task 0d3d703e, train pair 2, input").
    Raises `UserError` for anything but 1–30 rows of equal length 1–30 with colours 0–9.
    """
    if isinstance(rows, np.ndarray):
        rows = rows.tolist()
    if not isinstance(rows, Sequence) or isinstance(rows, str | bytes):
        raise UserError(f"{where}: a grid is a list of rows, not {type(rows).__name__}. Correct the file.")
    if not 1 <= len(rows) <= MAX_SIDE:
        raise UserError(f"{where}: {len(rows)} rows, but a grid has 1 to {MAX_SIDE}. Correct the file.")
    width = len(rows[0]) if isinstance(rows[0], Sequence) and not isinstance(rows[0], str | bytes) else -1
    for y, row in enumerate(rows):
        if not isinstance(row, Sequence) or isinstance(row, str | bytes):
            raise UserError(f"{where}: row {y} is no list of colours. Correct the file.")
        if len(row) != width:
            raise UserError(
                f"{where}: row {y} has {len(row)} cells but row 0 has {width}. Make all rows equally long."
            )
        if not 1 <= len(row) <= MAX_SIDE:
            raise UserError(
                f"{where}: row {y} has {len(row)} cells, but a grid has 1 to {MAX_SIDE}. Correct the file."
            )
        for x, colour in enumerate(row):
            if type(colour) not in (int, float) or colour not in range(COLOURS):
                raise UserError(
                    f"{where}: cell ({y}, {x}) is {colour!r}, but a colour is a whole number from 0 to 9."
                    " Correct the file."
                )
    return np.array(rows, dtype=np.uint8)


def same_grid(a: Grid | None, b: Grid | None) -> bool:
    """Whether two grids are equal in size and in every cell; two missing grids are equal."""
    if a is None or b is None:
        return a is b
    return a.shape == b.shape and bool((a == b).all())
