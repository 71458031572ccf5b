"""Rows of an experiment whose results were imported from elsewhere: `imported.parquet`."""

import math
from pathlib import Path

import pyarrow as pa

from core.runs.layout import IMPORTED_FILE
from core.storage.schemas import read_table
from core.storage.seals import damaged

FROM_ELSEWHERE = "imported"
"""The `finish_reason` of predictions that another tool made."""

IMPORTED_COLUMNS = pa.schema(
    [
        ("variant", pa.string()),
        ("train_seed", pa.int64()),
        ("eval_seed", pa.int64()),
        ("metric", pa.string()),
        ("value", pa.float64()),
    ]
)


def imported_table(folder: Path) -> pa.Table:
    """The rows of an imported experiment. Raises `UserError` naming the file where it can't be read, holds an
    infinite number, or a number twice."""
    path = folder / IMPORTED_FILE
    table = read_table(path, IMPORTED_COLUMNS)
    *keys, values = (column.to_pylist() for column in table.columns)
    if any(value is not None and math.isinf(value) for value in values):
        raise damaged(path, "a number is infinite")
    if len({*zip(*keys, strict=True)}) < len(table):
        raise damaged(path, "a number stands there twice")
    return table
