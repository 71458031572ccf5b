"""Rows of an experiment whose results were imported from elsewhere: `imported.parquet`."""

from pathlib import Path

import pyarrow as pa

from core.runs.layout import IMPORTED_FILE
from core.storage.schemas import read_table

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
    """The rows of an imported experiment. Raises `UserError` naming the file where it can't be read."""
    return read_table(folder / IMPORTED_FILE, IMPORTED_COLUMNS)
