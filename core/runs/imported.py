"""Rows of an experiment whose results were imported from elsewhere: `imported.parquet`."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import UserError
from core.runs.layout import IMPORTED_FILE

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
    path = folder / IMPORTED_FILE
    try:
        return pq.read_table(path, partitioning=None).select(IMPORTED_COLUMNS.names).cast(IMPORTED_COLUMNS)
    except (pa.ArrowException, OSError, KeyError) as problem:
        reason = str(problem).split("\n")[0]
        raise UserError(f"{path} can't be read ({reason}). Import the results again.") from None
