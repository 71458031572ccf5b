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
    if statements[0].type != duckdb.StatementType.SELECT:
        kind = statements[0].type.name.replace("_", " ")
        raise ValueError(f"Only one SELECT is answered here, and this is another statement ({kind})")
    return statements[0]


def read_rows(
    connection: duckdb.DuckDBPyConnection, statement: duckdb.Statement, most_rows: int, most_bytes: int
) -> tuple[pa.Table, str]:
    """At most so many rows and bytes, read as they come, so that an endless result costs no memory."""
    reader = connection.sql(statement).to_arrow_reader(BATCH_ROWS)
    batches: list[pa.RecordBatch] = []
    rows = size = 0
    cut = ""
    for batch in reader:
        batch = batch.slice(0, most_rows + 1 - rows)
        if size + batch.nbytes > most_bytes:
            cut = "bytes"
            break
        batches.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows > most_rows:
            cut = "rows"
            break
    return plain(pa.Table.from_batches(batches, reader.schema).slice(0, most_rows)), cut


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
    return text if text.endswith("?") else f"{text}."


if __name__ == "__main__":
    main()
