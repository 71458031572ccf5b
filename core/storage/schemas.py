"""The columns of every parquet file, and how grids enter and leave them.

A grid is three columns: `<name>_cells` (row-major uint8 bytes), `<name>_h` and `<name>_w`; NULL in all
three where there is no grid. Bytes beat nested lists by 30× in votes and 46× in writing.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from core.arc.grids import Grid
from core.errors import UserError
from core.storage.files import writing
from core.storage.parquet_files import open_parquet, write_parquet
from core.storage.seals import check_seal, damaged, seal_path, write_seal


def _grid(name: str) -> list[tuple[str, pa.DataType]]:
    return [(f"{name}_cells", pa.binary()), (f"{name}_h", pa.uint8()), (f"{name}_w", pa.uint8())]


_EVALUATION: list[tuple[str, pa.DataType]] = [
    ("experiment", pa.string()),
    ("variant", pa.string()),
    ("train_seed", pa.int64()),
    ("eval_seed", pa.int64()),
    ("source", pa.string()),
    ("task_id", pa.string()),
    ("test_index", pa.int32()),
]

PAIRS = pa.schema(
    [
        ("source", pa.string()),
        ("task_id", pa.string()),
        ("family", pa.string()),
        ("role", pa.string()),
        ("pair_index", pa.int32()),
        *_grid("input"),
        *_grid("output"),
    ]
)

PREDICTIONS = pa.schema(
    [
        *_EVALUATION,
        ("attempt", pa.int32()),
        ("symmetry", pa.uint8()),
        ("colours", pa.binary()),
        ("pair_order", pa.binary()),
        ("prompt_tokens", pa.int32()),
        ("output_tokens", pa.int32()),
        ("finish_reason", pa.string()),
        ("logprob", pa.float64()),
        ("text", pa.string()),
        *_grid("output"),
    ]
)

CANDIDATES = pa.schema(
    [
        *_EVALUATION,
        ("place", pa.int32()),
        ("vote_place", pa.int32()),
        ("votes", pa.int32()),
        ("first_attempt", pa.int32()),
        ("views", pa.int32()),
        ("logprob", pa.float64()),
        ("correct", pa.bool_()),
        *_grid("output"),
    ]
)
"""Distinct answers, by `place` in the order of `logprob`, the mean over `views` of that of writing them."""

SCORES = pa.schema(
    [
        *_EVALUATION,
        ("attempts", pa.int32()),
        ("correct", pa.int32()),
        ("right_size", pa.int32()),
        ("pixels_sum", pa.float64()),
        ("pixels_max", pa.float64()),
        ("unanswered", pa.int32()),
        ("distinct", pa.int32()),
        ("votes_above", pa.int32()),
        ("votes_tied", pa.int32()),
        ("vote_rank", pa.int32()),
        ("votes", pa.list_(pa.int32())),
    ]
)


_DICTIONARY_BYTES = 2**24
"""Up to so many bytes of different values a column is stored as numbers of them: all grids of an evaluation,
so that reading hands out equal grids as the same number."""


def grid_columns(name: str, grids: Iterable[Grid | None]) -> dict[str, list[Any]]:
    """The three columns of a list of grids (None becomes NULL)."""
    listed = list(grids)
    return {
        f"{name}_cells": [None if grid is None else grid.tobytes() for grid in listed],
        f"{name}_h": [None if grid is None else grid.shape[0] for grid in listed],
        f"{name}_w": [None if grid is None else grid.shape[1] for grid in listed],
    }


def grid_of(cells: bytes | None, height: int | None, width: int | None) -> Grid | None:
    """The grid behind three column values, or None. Raises `UserError` where the cells don't fit its size."""
    if cells is None or height is None or width is None:
        return None
    if len(cells) != height * width:
        raise UserError(
            f"A data file holds a grid of {height} × {width} with {len(cells)} cells. Delete the predictions"
            " or the source that it belongs to, and make them again."
        )
    return np.frombuffer(cells, dtype=np.uint8).reshape(int(height), int(width))


def grids_of(table: pa.Table, name: str) -> Iterator[Grid | None]:
    """The grids of a table, row by row."""
    columns = (table.column(f"{name}_{part}").to_pylist() for part in ("cells", "h", "w"))
    for cells, height, width in zip(*columns, strict=True):
        yield grid_of(cells, height, width)


def read_table(path: Path, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
    """A parquet file, or some of its columns, in this schema. Nothing is read out of its path.

    Raises `UserError` where it is absent, damaged or of another schema.
    """
    check_seal(path)
    names = list(columns or schema.names)
    try:
        with open_parquet(path) as file:
            return file.read(names).select(names).cast(pa.schema([schema.field(name) for name in names]))
    except (pa.ArrowException, OSError, ValueError, KeyError) as problem:
        raise damaged(path, problem) from problem


def read_tables(paths: Iterable[Path], schema: pa.Schema) -> pa.Table:
    """Parquet files of this schema as one table, without a row where there is no file. Raises like
    `read_table`."""
    return pa.concat_tables([schema.empty_table(), *(read_table(path, schema) for path in paths)])


def write_table(path: Path, table: pa.Table, schema: pa.Schema) -> None:
    """Write a parquet file whole, in exactly this schema, with its seal."""
    try:
        with writing(path) as temporary:
            write_parquet(table.select(schema.names).cast(schema), temporary, _DICTIONARY_BYTES)
            write_seal(path, temporary)
    finally:
        if not path.exists():  # the disk got full between the two
            seal_path(path).unlink(missing_ok=True)
