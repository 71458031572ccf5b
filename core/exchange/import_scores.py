"""Results from elsewhere: a CSV of numbers becomes an experiment that all tables and pages can show.

In comes one row per evaluation (variant, train_seed, eval_seed, and any metrics); out come
`imported.parquet` (variant, train_seed, eval_seed, metric, value) and `imported.json` in a folder of
`runs/`. Without values per task, scope "new_tasks" stays out of reach.
"""

import csv
import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from core.errors import UserError
from core.runs.imported import IMPORTED_COLUMNS
from core.runs.layout import IMPORTED, IMPORTED_FILE, experiment_folder
from core.settings import LARGEST_SEED
from core.storage.files import read_bytes, read_json, sha256_of, write_json
from core.storage.plain_json import decoded
from core.storage.schemas import write_table

KEYS = ("variant", "train_seed", "eval_seed")
MOST_BYTES = 50 * 2**20

_METRIC = re.compile(r"[A-Za-z][A-Za-z0-9 ._@+/-]{0,63}")
_UNKNOWN = frozenset(("", "nan", "na", "n/a", "null", "none", "-"))
NAME_OF_EXPERIMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def import_results(
    root: Path, file: Path, experiment: str, percent: bool = False, baseline: str | None = None
) -> int:
    """Import a CSV as an experiment; the number of evaluations in it.

    With `percent` the numbers are divided by 100, as everything here is a fraction. An empty cell or NaN is
    unknown. The baseline is the first variant unless one is named. Importing the same name again replaces
    what was imported before. Raises `UserError` naming line and column of what can't be read, and
    where a launched experiment has the name.
    """
    if not NAME_OF_EXPERIMENT.fullmatch(experiment):
        raise UserError(
            f"'{experiment}' can't name an experiment. Use letters, digits, '.', '_' and '-', at most 64."
        )
    folder = experiment_folder(root, experiment)
    if folder.exists() and not _is_import(folder):
        raise UserError(f"runs/{experiment} is taken by another experiment. Choose another --experiment.")
    metrics, records = read_results(file, percent)
    variants = list(dict.fromkeys(record["variant"] for record in records))
    if baseline is not None and baseline not in variants:
        raise UserError(f"There is no variant '{baseline}' in {file}. Known: {', '.join(variants)}.")
    rows = [
        {**{key: record[key] for key in KEYS}, "metric": metric, "value": record[metric]}
        for record in records
        for metric in metrics
        if record[metric] is not None
    ]
    write_table(folder / IMPORTED_FILE, pa.Table.from_pylist(rows, IMPORTED_COLUMNS), IMPORTED_COLUMNS)
    write_json(
        folder / IMPORTED,
        {
            "imported": True,
            "question": f"Numbers from {file.name}",
            "origin": file.name,
            "sha256": sha256_of(file),
            "percent": percent,
            "baseline": baseline or variants[0],
            "metrics": metrics,
            "variants": variants,
        },
    )
    return len(records)


def _is_import(folder: Path) -> bool:
    """Whether a folder holds nothing but numbers that were imported before."""
    path = folder / IMPORTED
    return path.exists() and read_json(path).get("imported") is True


def read_results(file: Path, percent: bool = False) -> tuple[list[str], list[dict[str, Any]]]:
    """The metrics and the records of a CSV of results, one record per evaluation; unknown is None."""
    lines = _lines(file)
    header = [name.strip() for name in lines[0]] if lines else []
    metrics = [name for name in header if name not in KEYS]
    lacking = [name for name in KEYS if name not in header]
    if lacking or not metrics or len(set(header)) != len(header):
        problem = f"lacks the column {lacking[0]}" if lacking else "has no metric, or a column twice"
        raise UserError(f"{file} {problem}. Its first line needs: {', '.join(KEYS)}, and metrics.")
    for name in metrics:
        if not _METRIC.fullmatch(name):
            raise UserError(
                f"{file}: '{name}' can't name a metric. Use letters, digits, spaces and . _ @ + / -"
            )
    records: dict[tuple[Any, ...], dict[str, Any]] = {}
    for number, line in enumerate(lines[1:], 2):
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
    text = decoded(read_bytes(file), str(file))
    sign = max(",;\t", key=text.split("\n", 1)[0].count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=sign))
    except csv.Error as problem:
        raise UserError(f"{file} is no CSV ({problem}). Save it as one.") from None
    # Where commas don't part cells, they are those of decimal numbers.
    return rows if sign == "," else [[cell.replace(",", ".") for cell in row] for row in rows]


def _record(file: Path, number: int, cells: dict[str, str], percent: bool) -> dict[str, Any]:
    where = f"{file}, line {number}"
    variant = cells["variant"].strip()
    if not NAME_OF_EXPERIMENT.fullmatch(variant):
        raise UserError(
            f"{where}: '{variant}' can't name a variant. Use letters, digits, '.', '_' and '-', at most 64."
        )
    record: dict[str, Any] = {"variant": variant}
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
        value = float(text.removesuffix("%"))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{where}: {name} '{text}' is no number. Leave the cell empty where it is unknown.")
    if text.endswith("%") and not percent:
        raise UserError(f"{where}: {name} '{text}' is in percent. Import with --percent.")
    return value / 100 if percent else value
