"""Tables of results that people have: a CSV or a parquet file, as records whose cells were checked.

In comes a file with one row per evaluation (variant, train_seed, eval_seed, and any metrics), or one per
variant as papers print them (variant, mean, std, n, and metric where there are several); out come metrics and
records. What can't be read is named by line and column.
"""

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import UserError
from core.plain_files import decoded
from core.settings import LARGEST_SEED
from core.storage.files import read_bytes

KEYS = ("variant", "train_seed", "eval_seed")
SUMMARY = ("variant", "mean", "std", "n")
MOST_BYTES = 50 * 2**20
MOST_CELLS = 2_000_000
MOST_RUNS = 100_000
LARGEST = 1e15
"""The largest number that is read: the squares of larger ones leave the range of floats in a variance."""

_METRIC = re.compile(r"[A-Za-z][A-Za-z0-9 ._@+/,:()%=-]{0,63}")
_LABEL = re.compile(r"[^\W_][^\x00-\x1f\x7f<>]{0,79}")
_DECIMAL = re.compile(r"\s*[-+]?\d*,\d+([eE][-+]?\d+)?\s*%?\s*")
_UNKNOWN = frozenset(("", "nan", "na", "n/a", "null", "none", "-"))
_PARQUET = b"PAR1"


@dataclass(frozen=True)
class ScoreTable:
    """What a file holds: one record per evaluation with a number (None: unknown) for each metric.

    `rows` counts lines of the file; `summaries` says that these were mean, std and n, so that the records
    are numbers with this mean and std, which stand for runs that nobody knows.
    """

    metrics: list[str]
    records: list[dict[str, Any]]
    rows: int
    summaries: bool

    @property
    def variants(self) -> list[str]:
        """In the order of the file."""
        return list(dict.fromkeys(record["variant"] for record in self.records))


def read_scores(file: Path, percent: bool = False) -> ScoreTable:
    """The table of a file as it stands there; `percent` allows cells with a percent sign.

    Raises `UserError` naming the file, and line and column of what can't be read.
    """
    lines = _lines(file)
    header = [name.strip() for name in lines[0]] if lines else []
    if set(SUMMARY) <= set(header):
        metrics, records, rows = _summaries(file, header, lines[1:])
        return ScoreTable(metrics, records, rows, True)
    metrics, records = _evaluations(file, header, lines[1:], percent)
    return ScoreTable(metrics, records, len(records), False)


def _summaries(
    file: Path, header: list[str], lines: Sequence[list[str]]
) -> tuple[list[str], list[dict[str, Any]], int]:
    """Rows of mean, std and n as runs with exactly this mean and sample std; nobody knows the real ones."""
    strange = [name for name in header if name not in (*SUMMARY, "metric")]
    if strange:
        raise UserError(
            f"{file} has the column '{strange[0]}'. Rows of mean, std and n have: variant, metric."
        )
    by_metric: dict[str, dict[tuple[str, int], float]] = {}
    rows = runs = 0
    for number, line in enumerate(lines, 2):
        if not any(cell.strip() for cell in line):
            continue
        if len(line) != len(header):
            raise UserError(f"{file}, line {number} has {len(line)} cells instead of {len(header)}. Mend it.")
        cells, where = dict(zip(header, line, strict=True)), f"{file}, line {number}"
        variant, metric = _variant(where, cells["variant"]), cells.get("metric", "score").strip() or "score"
        _check_metric(file, metric)
        mean, std = _number(where, "mean", cells["mean"], True), _number(where, "std", cells["std"], True)
        count = _count(cells["n"])
        if mean is None or not count or (std or 0.0) < 0:
            raise UserError(
                f"{where}: mean, std and n need a number, one from 0 on, and a count of runs from 1."
            )
        runs += count
        if runs > MOST_RUNS:
            raise UserError(f"{file} stands for more than {MOST_RUNS:,} runs. Import a part of it.")
        known = by_metric.setdefault(metric, {})
        if (variant, 0) in known:
            raise UserError(f"{where} repeats {variant}, {metric}. Give one row for each.")
        values = _standing_for(mean, std, count)
        known |= {(variant, seed): value for seed, value in enumerate(values)}
        rows += 1
    if not rows:
        raise UserError(f"{file} has no row below its first line. Give one row for each variant.")
    places = dict.fromkeys(place for known in by_metric.values() for place in known)
    records = [
        {"variant": variant, "train_seed": seed, "eval_seed": 0}
        | {metric: known.get((variant, seed)) for metric, known in by_metric.items()}
        for variant, seed in places
    ]
    return list(by_metric), records, rows


def _count(cell: str) -> int | None:
    """A count of runs; None for anything else, and for more than `MOST_RUNS`."""
    text = cell.strip()
    count = int(text) if text.isdecimal() and len(text) <= len(str(MOST_RUNS)) else 0
    return count if 0 < count <= MOST_RUNS else None


def _standing_for(mean: float, std: float | None, count: int) -> list[float]:
    """So many numbers with exactly this mean and sample std; a single one where the std is unknown."""
    if count == 1 or std is None:
        return [mean]
    line = [2 * place - (count - 1) for place in range(count)]
    spread = math.sqrt(sum(place**2 for place in line) / (count - 1))
    return [mean + std * place / spread for place in line]


def _check_metric(file: Path, name: str) -> None:
    if not _METRIC.fullmatch(name):
        raise UserError(
            f"{file}: '{name}' can't name a metric. Begin with a letter, then use letters, digits, spaces and"
            " . _ @ + / , : ( ) % = -"
        )


def _variant(where: str, cell: str) -> str:
    label = cell.strip()
    if not _LABEL.fullmatch(label):
        raise UserError(
            f"{where}: '{label}' can't name a variant. Begin with a letter or digit; < and > are left out,"
            f" and"
            " 80 characters are enough."
        )
    return label


def _evaluations(
    file: Path, header: list[str], lines: Sequence[list[str]], percent: bool
) -> tuple[list[str], list[dict[str, Any]]]:
    """Metrics and records of a table with one row per evaluation."""
    metrics = [name for name in header if name not in KEYS]
    lacking = [name for name in KEYS if name not in header]
    if lacking or not metrics or len(set(header)) != len(header):
        problem = f"lacks the column {lacking[0]}" if lacking else "has no metric, or a column twice"
        raise UserError(f"{file} {problem}. Its first line needs: {', '.join(KEYS)}, and metrics.")
    for name in metrics:
        _check_metric(file, name)
    records: dict[tuple[Any, ...], dict[str, Any]] = {}
    for number, line in enumerate(lines, 2):
        if not any(cell.strip() for cell in line):
            continue
        if len(line) != len(header):
            raise UserError(f"{file}, line {number} has {len(line)} cells instead of {len(header)}. Mend it.")
        record = _record(file, number, dict(zip(header, line, strict=True)), percent)
        key = tuple(record[name] for name in KEYS)
        if key in records:
            raise UserError(
                f"{file}, line {number} repeats {', '.join(map(str, key))}. Give one row for each."
            )
        records[key] = record
    if not records:
        raise UserError(f"{file} has no row below its first line. Give one row for each evaluation.")
    return metrics, list(records.values())


def _lines(file: Path) -> Sequence[list[str]]:
    try:
        if file.stat().st_size > MOST_BYTES:
            raise UserError(f"{file} is larger than {MOST_BYTES // 2**20} MB. Import a part of it.")
    except FileNotFoundError:
        raise UserError(f"{file} does not exist. Check the name.") from None
    data = read_bytes(file)
    if data.startswith(_PARQUET):
        return _lines_of_parquet(file, data)
    text = decoded(data, str(file))
    sign = max(",;\t", key=text.split("\n", 1)[0].count)
    if text.count(sign) > MOST_CELLS:
        raise UserError(f"{file} holds more than {MOST_CELLS:,} cells. Import a part of it.")
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=sign, strict=True))
    except csv.Error as problem:
        raise UserError(f"{file} is no CSV ({problem}). Save it as one.") from None
    # Where commas don't part cells, they are those of decimal numbers.
    if sign == ",":
        return rows
    return [[cell.replace(",", ".") if _DECIMAL.fullmatch(cell) else cell for cell in row] for row in rows]


def _lines_of_parquet(file: Path, data: bytes) -> list[list[str]]:
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


def _record(file: Path, number: int, cells: dict[str, str], percent: bool) -> dict[str, Any]:
    where = f"{file}, line {number}"
    record: dict[str, Any] = {"variant": _variant(where, cells["variant"])}
    for name in ("train_seed", "eval_seed"):
        text = cells[name].strip()
        if not text.isdecimal() or len(text) > 19 or int(text) > LARGEST_SEED:
            raise UserError(f"{where}: {name} '{text[:40]}' is no whole number from 0 to 2^63 - 1. Mend it.")
        record[name] = int(text)
    for name in cells.keys() - set(KEYS):
        record[name] = _number(where, name, cells[name], percent)
    return record


def _number(where: str, name: str, cell: str, percent: bool) -> float | None:
    text = cell.strip()
    if text.lower() in _UNKNOWN:
        return None
    try:
        value = math.nan if "_" in text else float(text.removesuffix("%"))  # Python reads 0_5 as 5
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{where}: {name} '{text}' is no number. Leave the cell empty where it is unknown.")
    if abs(value) > LARGEST:
        raise UserError(f"{where}: {name} '{text[:40]}' is beyond {LARGEST:g}. Import it in another unit.")
    if text.endswith("%") and not percent:
        raise UserError(f"{where}: {name} '{text}' is in percent. Import it as percent (--percent).")
    return value
