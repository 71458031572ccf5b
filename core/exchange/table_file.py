"""A file that holds one table, as lines of cells: CSV (commas, semicolons, tabs), Markdown or parquet.

In comes a path, out comes the header with the lines below it, all cells as the texts of a CSV.
"""

import csv
import io
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import UserError
from core.plain_files import decoded
from core.storage.files import read_unfolded

MOST_BYTES = 50 * 2**20
MOST_CELLS = 2_000_000

_COMMA = re.compile(r"(?<=\d),(?=\d)|(?<![\w.,]),(?=\d)")
_NUMBERS = re.compile(r"[\d\s.,eE%±+/-]*")
_PARQUET = b"PAR1"
_RULE = re.compile(r":?-+:?")


def table_lines(file: Path) -> list[list[str]]:
    """The lines of cells of a file, its header first; empty lines are kept, so that places are line numbers.

    Raises `UserError` where the file is missing, too large or no table.
    """
    try:
        if file.stat().st_size > MOST_BYTES:
            raise UserError(f"{file} is larger than {MOST_BYTES // 2**20} MB. Import a part of it.")
    except FileNotFoundError:
        raise UserError(f"{file} does not exist. Check the name.") from None
    data = read_unfolded(file, MOST_BYTES)
    if data.startswith(_PARQUET):
        return _of_parquet(file, data)
    text = decoded(data, str(file))
    first = text.split("\n", 1)[0].strip()
    sign = "|" if first.startswith("|") else max(",;\t", key=first.count)
    if text.count(sign) > MOST_CELLS:
        raise UserError(f"{file} holds more than {MOST_CELLS:,} cells. Import a part of it.")
    if sign == "|":
        return _of_markdown(text)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=sign, strict=True))
    except csv.Error as problem:
        raise UserError(f"{file} is no CSV ({problem}). Save it as one.") from None
    # Where commas don't part cells, they are those of decimal numbers.
    if sign == ",":
        return rows
    return [[_COMMA.sub(".", cell) if _NUMBERS.fullmatch(cell) else cell for cell in row] for row in rows]


def _of_markdown(text: str) -> list[list[str]]:
    """The cells of a table in Markdown, without what makes them bold; its rule is an empty line."""
    lines = [[cell.strip(" *`\t") for cell in _parts(line)] for line in text.splitlines()]
    return [[] if line and all(_RULE.fullmatch(cell) for cell in line) else line for line in lines]


def _parts(line: str) -> list[str]:
    """The texts between the bars of a line, of which an escaped one (\\|) is a text."""
    inner = line.strip().removeprefix("|")
    if not inner:
        return []
    inner = inner[:-1] if inner.endswith("|") and not inner.endswith("\\|") else inner
    return [part.replace("\\|", "|") for part in re.split(r"(?<!\\)\|", inner)]


def _of_parquet(file: Path, data: bytes) -> list[list[str]]:
    """The cells of a parquet file as a CSV would hold them; NULL is an empty cell."""
    try:
        with pq.ParquetFile(io.BytesIO(data)) as source:
            about = source.metadata
            cells = about.num_rows * about.num_columns
            unpacked = sum(about.row_group(place).total_byte_size for place in range(about.num_row_groups))
            if cells > MOST_CELLS or unpacked > MOST_BYTES:
                raise UserError(f"{file} holds {cells:,} cells in {unpacked:,} bytes. Import a part of it.")
            table = source.read()
    except (pa.ArrowException, OSError, ValueError) as problem:
        raise UserError(f"{file} is no parquet file that can be read ({problem}). Save it again.") from None
    columns = [
        [_cell(cell) for cell in column]
        for column in (table.column(place).to_pylist() for place in range(table.num_columns))
    ]
    return [list(table.column_names), *map(list, zip(*columns, strict=True))]


def _cell(value: Any) -> str:
    """A value as a CSV would hold it."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else repr(value) if isinstance(value, float) else str(value)
