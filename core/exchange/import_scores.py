"""Results from elsewhere: a CSV of numbers becomes an experiment that all tables and pages can show.

In comes one row per evaluation (variant, train_seed, eval_seed, and any metrics), or one per variant as
papers print them (variant, mean, std, n, and metric where there are several); out come `imported.parquet`
(variant, train_seed, eval_seed, metric, value) and `imported.json` in a folder of `runs/`. Without values per
task, scope "new_tasks" stays out of reach.
"""

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from core.errors import UserError
from core.plain_files import decoded
from core.results.loading import SHARE
from core.runs.imported import IMPORTED_COLUMNS
from core.runs.layout import IMPORTED, IMPORTED_FILE, experiment_folder
from core.settings import LARGEST_SEED
from core.storage.files import read_bytes, sha256_of, write_json
from core.storage.records import read_as
from core.storage.schemas import write_table

KEYS = ("variant", "train_seed", "eval_seed")
MOST_BYTES = 50 * 2**20

SUMMARY = ("variant", "mean", "std", "n")
MOST_RUNS = 100_000

_METRIC = re.compile(r"[A-Za-z][A-Za-z0-9 ._@+/,:()%=-]{0,63}")
_LABEL = re.compile(r"[^\W_][^\x00-\x1f\x7f<>]{0,79}")
_DECIMAL = re.compile(r"\s*[-+]?\d*,\d+([eE][-+]?\d+)?\s*%?\s*")
_UNITS = {
    "number": {"loss", "losses", "perplexity", "ppl", "nll", "bpb", "entropy", "mse", "rmse", "mae", "cost"},
    "s": {"seconds", "sec", "secs", "time", "latency", "duration"},
    "min": {"minutes"},
    "h": {"hours"},
}
"""Units of imported metrics, by a word in their name; all others are shares."""
_UNKNOWN = frozenset(("", "nan", "na", "n/a", "null", "none", "-"))
NAME_OF_EXPERIMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def import_results(
    root: Path,
    file: Path,
    experiment: str,
    percent: bool = False,
    baseline: str | None = None,
    lower_is_better: Sequence[str] = (),
    higher_is_better: Sequence[str] = (),
    units: Mapping[str, str] | None = None,
) -> int:
    """Import a CSV as an experiment; the number of evaluations (or rows of mean, std and n) in it.

    A metric is a share (0 to 1, or percent with `percent`) unless its name or `units` says otherwise;
    direction goes by its name unless named in `lower_is_better` or `higher_is_better`. An empty cell or NaN
    is unknown. The baseline is the first variant unless one is named. Importing the same name again replaces
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
    metrics, records, rows_read, summaries = _read(file, percent)
    _check_named(file, metrics, [*lower_is_better, *higher_is_better, *(units or {})])
    known_units = {name: (units or {}).get(name) or unit_of(name) for name in metrics}
    if percent:
        _divide(records, [name for name in metrics if known_units[name] == SHARE])
    _check_shares(file, records, [name for name in metrics if known_units[name] == SHARE], percent)
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
            "lower_is_better": list(lower_is_better),
            "higher_is_better": list(higher_is_better),
            "units": known_units,
            "summaries": summaries,
        },
    )
    return rows_read


def unit_of(metric: str) -> str:
    """The unit of an imported metric by its name: "share" unless a word in it says otherwise."""
    words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", metric)}  # also of `valLoss`
    return next((unit for unit, known in _UNITS.items() if words & known), SHARE)


def _check_named(file: Path, metrics: Sequence[str], named: Sequence[str]) -> None:
    for name in named:
        if name not in metrics:
            raise UserError(f"{file} has no metric '{name}'. It has: {', '.join(metrics)}.")


def _divide(records: Sequence[dict[str, Any]], shares: Sequence[str]) -> None:
    for record in records:
        for name in shares:
            record[name] = None if record[name] is None else record[name] / 100


def _check_shares(
    file: Path, records: Sequence[dict[str, Any]], shares: Sequence[str], percent: bool
) -> None:
    """Raise `UserError` where a share lies outside 0 to 1: it is in percent, or no share."""
    for record in records:
        for name in shares:
            value = record[name]
            if value is None or -1e-9 <= value <= 1 + 1e-9:
                continue
            shown, most = (100 * value, "100 %") if percent else (value, "1")
            remedy = "" if percent else "Import with --percent, or "
            raise UserError(
                f"{file}: {name} is {shown:g} for {record['variant']}, and a share lies between 0 and {most}."
                f" {remedy}{'G' if percent else 'g'}ive its unit: --unit '{name}=number'."
            )


def _read(file: Path, percent: bool) -> tuple[list[str], list[dict[str, Any]], int, bool]:
    """Metrics, records, rows of the file, and whether these were mean, std and n."""
    lines = _lines(file)
    header = [name.strip() for name in lines[0]] if lines else []
    if set(SUMMARY) <= set(header):
        metrics, records, rows = _summaries(file, header, lines[1:])
        return metrics, records, rows, True
    metrics, records = read_results(file, percent)
    return metrics, records, len(records), False


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
    rows = 0
    for number, line in enumerate(lines, 2):
        if not any(cell.strip() for cell in line):
            continue
        if len(line) != len(header):
            raise UserError(f"{file}, line {number} has {len(line)} cells instead of {len(header)}. Mend it.")
        cells, where = dict(zip(header, line, strict=True)), f"{file}, line {number}"
        variant, metric = _variant(where, cells["variant"]), cells.get("metric", "score").strip() or "score"
        _check_metric(file, metric)
        mean, std = _number(where, "mean", cells["mean"], True), _number(where, "std", cells["std"], True)
        count = cells["n"].strip()
        if mean is None or not count.isdecimal() or not 0 < int(count) <= MOST_RUNS or (std or 0.0) < 0:
            raise UserError(
                f"{where}: mean, std and n need a number, one from 0 on, and a count of runs from 1."
            )
        known = by_metric.setdefault(metric, {})
        if (variant, 0) in known:
            raise UserError(f"{where} repeats {variant}, {metric}. Give one row for each.")
        values = _standing_for(mean, std, int(count))
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


def _is_import(folder: Path) -> bool:
    """Whether a folder holds nothing but numbers that were imported before."""
    path = folder / IMPORTED
    return path.exists() and read_as(path, dict[str, Any]).get("imported") is True


def read_results(file: Path, percent: bool = False) -> tuple[list[str], list[dict[str, Any]]]:
    """The metrics and the records of a CSV of results, one record per evaluation, as they stand in the file;
    unknown is None. `percent` allows cells with a percent sign."""
    lines = _lines(file)
    header = [name.strip() for name in lines[0]] if lines else []
    metrics = [name for name in header if name not in KEYS]
    lacking = [name for name in KEYS if name not in header]
    if lacking or not metrics or len(set(header)) != len(header):
        problem = f"lacks the column {lacking[0]}" if lacking else "has no metric, or a column twice"
        raise UserError(f"{file} {problem}. Its first line needs: {', '.join(KEYS)}, and metrics.")
    for name in metrics:
        _check_metric(file, name)
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
    if sign == ",":
        return rows
    return [[cell.replace(",", ".") if _DECIMAL.fullmatch(cell) else cell for cell in row] for row in rows]


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
        value = float(text.removesuffix("%"))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{where}: {name} '{text}' is no number. Leave the cell empty where it is unknown.")
    if text.endswith("%") and not percent:
        raise UserError(f"{where}: {name} '{text}' is in percent. Import with --percent.")
    return value
