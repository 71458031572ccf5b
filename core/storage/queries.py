"""DuckDB over parquet files: an in-memory database, a cursor for each query.

There is no database file, because a process that holds one read-write blocks every reader. Each query
gets a cursor of its own: one connection shared by threads returns wrong rows without an error.

A path is data. DuckDB would read `*`, `?` and `[` in it as a pattern, and `name=value` as a column.
"""

import atexit
import functools
import hashlib
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from core.errors import UserError
from core.storage.parquet_files import open_parquet
from core.storage.seals import check_seal, damaged

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
_PATTERN = re.compile("[*?\\[\\]{}\\\\\ud800-\udfff]")
"""Signs of a pattern, and bytes that are no UTF-8."""
_FILE = re.compile(r"'((?:[^']|'')*\.parquet)'")


@functools.cache
def _database() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:")
    atexit.register(connection.close)
    return connection


def query(
    sql: str, parameters: Mapping[str, Any] | None = None, tables: Mapping[str, pa.Table] | None = None
) -> pa.Table:
    """The rows of one SQL statement; `$name` stands for a parameter, and `tables` can be named in it.

    Raises `UserError` naming the file where a parquet file is damaged, of another schema or missing.
    """
    cursor = _database().cursor()
    try:
        for name, table in (tables or {}).items():
            cursor.register(name, table)
        return cursor.sql(sql, params=dict(parameters) if parameters else None).to_arrow_table()
    except (duckdb.Error, pa.ArrowException, UnicodeDecodeError) as problem:
        raise _what_is_wrong(sql, problem) from problem
    finally:
        cursor.close()


def _what_is_wrong(sql: str, problem: Exception) -> UserError:
    """An error that names the file at fault where one of those in a query can't be read alone."""
    named = (Path(name.replace("''", "'")) for name in _FILE.findall(sql))
    for path in map(real_path, dict.fromkeys(named)):
        try:
            with open_parquet(path) as file:
                file.read()
        except (pa.ArrowException, OSError, ValueError) as damage:
            return damaged(path, damage)
    reason = (str(problem).strip() or type(problem).__name__).split("\n")[0]
    return UserError(
        f"A data file can't be read ({reason}). Delete the file that is named and run the stage again."
    )


def rows(sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """The same, as a list of records."""
    records: list[dict[str, Any]] = query(sql, parameters).to_pylist()
    return records


def parquet(paths: Sequence[Path], schema: pa.Schema, *, names: bool = False) -> str:
    """SQL for the rows of exactly these parquet files, to stand behind FROM; `names` adds the column
    `filename`, which says of each row the `exact_name` of its file.

    Columns are matched by name; no file at all is a typed, empty table (DuckDB would raise). Raises
    `UserError` where a file is not what its seal says.
    """
    if not paths:
        fields = [("filename", "VARCHAR")] * names + [(one.name, _SQL_TYPES[one.type]) for one in schema]
        columns = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in fields)
        return f"(SELECT {columns} WHERE false)"
    for path in paths:
        check_seal(path)
    files = ", ".join("'" + exact_name(path).replace("'", "''") + "'" for path in paths)
    more = ", filename = true" if names else ""
    return f"read_parquet([{files}], union_by_name = true, hive_partitioning = false{more})"


def exact_name(path: Path) -> str:
    """The name by which DuckDB reads this file and no other: its absolute path or, where that holds a sign of
    a pattern, a link to it."""
    whole = os.path.abspath(path)  # noqa: PTH100 (`absolute` keeps `..`, `resolve` follows links)
    if not _PATTERN.search(whole):
        return whole
    link = _links() / f"{hashlib.sha256(os.fsencode(whole)).hexdigest()[:32]}.parquet"
    if not link.is_symlink():
        fresh = link.with_suffix(f".{os.urandom(4).hex()}")
        fresh.symlink_to(whole)
        fresh.replace(link)
    return str(link)


@functools.cache
def _links() -> Path:
    """A folder for links, as long as this process lives."""
    place = tempfile.gettempdir()
    folder = tempfile.TemporaryDirectory(
        prefix="arc-workbench-", dir="/tmp" if _PATTERN.search(place) else place
    )
    atexit.register(folder.cleanup)
    return Path(folder.name)


def real_path(path: Path) -> Path:
    """The path behind an `exact_name`."""
    return path.readlink() if path.is_symlink() and path.parent == _links() else path
