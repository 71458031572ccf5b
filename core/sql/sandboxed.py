"""The process in which a person's SQL runs: it answers one SELECT, and can do nothing else.

A script of its own, started by `sandbox`: the question comes in on standard input (a line of JSON, then
tables as Arrow streams), an answer goes out on standard output. Before the person's text is even parsed,
files are closed but for those named, the configuration is locked and the kernel bounds memory, time and
written bytes: DuckDB's own memory limit alone can be exceeded several times over.
"""

import contextlib
import json
import os
import resource
import signal
import sys
from typing import Any

import duckdb
import pyarrow as pa

THREADS = 2
BATCH_ROWS = 1_000
LONGEST_SENTENCE = 300
BYTES_PER_VALUE = 64
SAME_IN_PYTHON = {"boolean", "tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger"}
SAME_IN_PYTHON |= {"ubigint", "hugeint", "decimal", "float", "double", "varchar", "blob", "null"}
_PERMISSION = "A query reads the project's own tables only, no other files and no network. Name one of"


def main() -> None:
    """Answer the question that stands on standard input."""
    answers = os.dup(1)
    os.dup2(2, 1)  # nothing that a library prints may mix with the answer
    try:
        question = json.loads(sys.stdin.buffer.readline())
        table, cut = _answer(question)
        data = _stream(table.replace_schema_metadata({"cut": cut}))
        kind = b"T"
    except Exception as problem:
        kind, data = b"E", sentence(problem, question).encode()
    with os.fdopen(answers, "wb") as out:
        out.write(kind + data)


def _answer(question: dict[str, Any]) -> tuple[pa.Table, str]:
    """The rows, and what cut them short: "rows", "bytes" or nothing."""
    tables = {name: pa.ipc.open_stream(sys.stdin.buffer).read_all() for name in question["tables"]}
    memory = question["memory"]
    connection = duckdb.connect(":memory:", config={"threads": THREADS, "memory_limit": f"{memory // 2} B"})
    furnish_and_lock(connection, question, tables)
    bound_process(memory, question["seconds"])
    return read_rows(
        connection, only_select(connection, question["sql"]), question["rows"], question["bytes"]
    )


def furnish_and_lock(
    connection: duckdb.DuckDBPyConnection, question: dict[str, Any], tables: dict[str, pa.Table]
) -> None:
    """Give an in-memory database the question's views and tables, then lock it for good."""
    for name, table in tables.items():
        connection.register("given", table)
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM given")
        connection.unregister("given")
    for statement in question["views"]:
        connection.execute(statement)
    files = ", ".join("'" + path.replace("'", "''") + "'" for path in question["files"])
    for setting in (
        f"allowed_paths = [{files}]",
        "temp_directory = ''",
        "max_temp_directory_size = '0B'",
        "python_enable_replacements = false",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "allow_community_extensions = false",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")
    connection.execute("BEGIN TRANSACTION READ ONLY")  # a SELECT may hold an INSERT in its WITH


def bound_process(memory: int, seconds: float) -> None:
    """No more than `memory` bytes on top of what is loaded, no file written, an end even without a parent."""
    with open("/proc/self/statm") as file:  # noqa: PTH123 (no pathlib: the start of this process is waited for)
        loaded = int(file.read().split()[0]) * resource.getpagesize()
    processor = int(THREADS * seconds) + 1
    for what, most in (
        (resource.RLIMIT_AS, loaded + memory),
        (resource.RLIMIT_CPU, processor),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    signal.alarm(int(seconds) + 5)


def only_select(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.Statement:
    """The one SELECT that a text holds. Raises `ValueError` for anything else."""
    statements = connection.extract_statements(sql)
    if not statements:
        raise ValueError("The query is empty. Write one SELECT")
    if len(statements) > 1:
        raise ValueError(f"These are {len(statements)} statements. Ask one SELECT at a time")
    kind = _kind_of(statements[0])
    if kind != duckdb.StatementType.SELECT.name:
        raise ValueError(f"Only one SELECT is answered here, and this is another statement ({kind})")
    return statements[0]


def _kind_of(statement: duckdb.Statement) -> str:
    """The name of a statement's type, as DuckDB knows more of them than its Python package does."""
    try:
        return str(statement.type.name).replace("_", " ")
    except ValueError:
        return "no query"


def read_rows(
    connection: duckdb.DuckDBPyConnection, statement: duckdb.Statement, most_rows: int, most_bytes: int
) -> tuple[pa.Table, str]:
    """At most so many rows and bytes, read as they come, so that an endless result costs no memory."""
    reader = _as_text_where_needed(connection.sql(statement)).to_arrow_reader(BATCH_ROWS)
    batches: list[pa.RecordBatch] = []
    rows = size = 0
    cut = ""
    for batch in reader:
        batch = batch.slice(0, most_rows + 1 - rows)
        heavy = weight(batch.to_struct_array())
        if size + heavy > most_bytes:
            cut = "bytes"
            batches.append(batch.slice(0, int(batch.num_rows * (most_bytes - size) / heavy)))
            break
        batches.append(batch)
        rows, size = rows + batch.num_rows, size + heavy
        if rows > most_rows:
            cut = "rows"
            break
    return plain(pa.Table.from_batches(batches, reader.schema).slice(0, most_rows)), cut


def _as_text_where_needed(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """The same rows, with text in place of what Python or Arrow can't hold: an infinite date, 2¹²⁸ − 1."""
    kinds = relation.types
    if all(_has_python_form(kind) for kind in kinds):
        return relation
    names = ['"' + name.replace('"', '""') + '"' for name in relation.columns]
    shown = [
        f"#{place}{'' if _has_python_form(kind) else '::VARCHAR'} AS {name}"
        for place, (kind, name) in enumerate(zip(kinds, names, strict=True), 1)
    ]
    return relation.project(", ".join(shown))


def _has_python_form(kind: Any) -> bool:
    if kind.id in ("list", "array", "struct"):
        parts = [part for name, part in kind.children if (kind.id, name) != ("array", "size")]
        return all(_has_python_form(part) for part in parts)
    return kind.id in SAME_IN_PYTHON


def weight(values: pa.Array) -> int:
    """Bytes that values take as Python objects, about: a null is no byte in Arrow but a place in a list."""
    own = BYTES_PER_VALUE * len(values)
    if pa.types.is_struct(values.type):
        return own + sum(weight(part) for part in values.flatten())
    if pa.types.is_list(values.type) or pa.types.is_fixed_size_list(values.type):
        return own + weight(values.flatten())
    return own + int(values.nbytes)


def plain(table: pa.Table) -> pa.Table:
    """Exact decimals (DuckDB's sums of integers) as ordinary numbers, and no two columns of one name."""
    names: list[str] = []
    for number, field in enumerate(table.schema):
        names.append(_unused(field.name, names))
        if pa.types.is_decimal(field.type):
            table = table.set_column(number, field.name, _ordinary(table.column(number)))
    return table.rename_columns(names)


def _unused(name: str, names: list[str]) -> str:
    number, free = 2, name
    while free in names:
        number, free = number + 1, f"{name}_{number}"
    return free


def _ordinary(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if column.type.scale == 0:
        with contextlib.suppress(pa.ArrowInvalid):
            return column.cast(pa.int64())
    return column.cast(pa.float64())


def _stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def sentence(problem: Exception, question: dict[str, Any]) -> str:
    """What went wrong, for the person who wrote the query."""
    if isinstance(problem, duckdb.OutOfMemoryException | MemoryError):
        return (
            f"The query needs more than {question['memory'] // 2**20} MB of memory."
            " Ask for fewer rows or columns, or sum up earlier."
        )
    if isinstance(problem, duckdb.PermissionException):
        return f"{_PERMISSION} {', '.join(question['known'])}."
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()] or [type(problem).__name__]
    if lines[0].startswith("Catalog Error: Table with name"):
        lines[1:] = [f"Known tables: {', '.join(question['known'])}"]
    hints = [
        line for line in lines[1:] if line.startswith(("Did you mean", "Candidate bindings", "Known tables"))
    ]
    text = " ".join([lines[0].split(" Error: ", 1)[-1], *hints[:1]])[:LONGEST_SENTENCE].rstrip(". ")
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return text if text.endswith("?") else f"{text}."


if __name__ == "__main__":
    main()
