"""DuckDB over parquet files: an in-memory database, a cursor for each query.

There is no database file, because a process that holds one read-write blocks every reader. Each query
gets a cursor of its own: one connection shared by threads returns wrong rows without an error.
"""

import atexit
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from core.errors import UserError

_SQL_TYPES = {
    pa.string(): "VARCHAR",
    pa.binary(): "BLOB",
    pa.uint8(): "UTINYINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
    pa.list_(pa.int32()): "INTEGER[]",
}


@functools.cache
def _database() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:")
    atexit.register(connection.close)
    return connection


def query(
    sql: str, parameters: Mapping[str, Any] | None = None, tables: Mapping[str, pa.Table] | None = None
) -> pa.Table:
    """The rows of one SQL statement; `$name` stands for a parameter, and `tables` can be named in it.

    Raises `UserError` where a parquet file is corrupt or missing.
    """
    cursor = _database().cursor()
    try:
        for name, table in (tables or {}).items():
            cursor.register(name, table)
        return cursor.sql(sql, params=dict(parameters) if parameters else None).to_arrow_table()
    except (duckdb.InvalidInputException, duckdb.IOException) as problem:
        reason = str(problem).split("\n")[0]
        raise UserError(
            f"A data file can't be read ({reason}). Delete the file that is named and run the stage again."
        ) from problem
    finally:
        cursor.close()


def rows(sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """The same, as a list of records."""
    records: list[dict[str, Any]] = query(sql, parameters).to_pylist()
    return records


def parquet(paths: Sequence[Path], schema: pa.Schema, *, names: bool = False) -> str:
    """SQL for the rows of many parquet files, to stand behind FROM; `names` adds the column `filename`.

    Columns are matched by name; no file at all is a typed, empty table (DuckDB would raise).
    """
    if not paths:
        fields = [("filename", "VARCHAR")] * names + [(one.name, _SQL_TYPES[one.type]) for one in schema]
        columns = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in fields)
        return f"(SELECT {columns} WHERE false)"
    files = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
    more = ", filename = true" if names else ""
    return f"read_parquet([{files}], union_by_name = true{more})"
