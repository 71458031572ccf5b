"""Tables of results that people have, as records whose cells were checked.

In comes a file with one row per evaluation (variant, any metrics, and the seeds of training and evaluation
where there are several), or one per variant as papers print them (variant, mean, std, n, and metric where
there are several; or n beside metrics in cells of "21.4 ± 1.2"); out come metrics and records. What can't be
read is named by line and column.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from core.errors import UserError
from core.exchange.table_file import table_lines
from core.settings import LARGEST_SEED

KEYS = ("variant", "train_seed", "eval_seed")
MOST_RUNS = 100_000
LARGEST = 1e15
"""The largest number that is read: the squares of larger ones leave the range of floats in a variance."""

_METRIC = re.compile(r"[A-Za-z][A-Za-z0-9 ._@+/,:()%=-]{0,63}")
_LABEL = re.compile(r"[^\W_][^\x00-\x1f\x7f<>]{0,79}")
_SPREAD = re.compile(r"\s*(?:±|\+/?-|\\pm)\s*")
_UNKNOWN = frozenset(("", "nan", "na", "n/a", "null", "none", "-"))
_SUMS = {"mean": {"mean", "avg", "average"}, "std": {"std", "sd", "stdev"}}
_NO_LABELS = {*KEYS, "seed", "metric", "mean", "std", "n"}


class _Line(NamedTuple):
    """A line of the file: what names it in an error, and its cells by the names of the header."""

    where: str
    cells: dict[str, str]


class _Printed(NamedTuple):
    """A mean and the sample std over n trainings, as they are printed."""

    where: str
    variant: str
    metric: str
    mean: str
    std: str
    n: str


@dataclass(frozen=True)
class ScoreTable:
    """What a file holds: one record per evaluation with a number (None: unknown) for each metric.

    `rows` counts what was read; `summaries` says that these were mean, std and n, so that the records are
    numbers with this mean and std, which stand for runs that nobody knows. `remarks` are sentences on what
    was understood without being written there.
    """

    metrics: list[str]
    records: list[dict[str, Any]]
    rows: int
    summaries: bool
    remarks: tuple[str, ...] = ()

    @property
    def variants(self) -> list[str]:
        """In the order of the file."""
        return list(dict.fromkeys(record["variant"] for record in self.records))


def read_scores(file: Path, percent: bool = False) -> ScoreTable:
    """The table of a file as it stands there; `percent` allows cells with a percent sign.

    Raises `UserError` naming the file, and line and column of what can't be read.
    """
    remarks: list[str] = []
    header, lines = _lines(file, remarks)
    if "n" in header and "train_seed" not in header:
        printed = list(_printed(file, header, lines))
        return ScoreTable(*_summaries(file, printed, remarks), len(printed), True, tuple(remarks))
    metrics = [name for name in header if name not in KEYS]
    for where, cells in lines:
        if any(_SPREAD.search(cells[name]) for name in metrics):
            raise UserError(f"{where} has means with a spread. Add a column n: of how many trainings.")
    lines = _seeded(file, header, _without_sums(lines, remarks), remarks)
    records = _evaluations(file, metrics, lines, percent)
    return ScoreTable(metrics, records, len(records), False, tuple(remarks))


def _lines(file: Path, remarks: list[str]) -> tuple[list[str], list[_Line]]:
    """Header and lines, with the names that are used here for what names variant and training."""
    table = table_lines(file)
    header = [name.strip() for name in table[0]] if table else []
    twice = next((name for name, times in Counter(header).items() if times > 1), None)
    if twice is not None:
        raise UserError(f"{file} has the column '{twice}' twice. Name each column once.")
    lines = []
    for number, line in enumerate(table[1:], 2):
        if any(cell.strip() for cell in line):
            if len(line) != len(header):
                raise UserError(
                    f"{file}, line {number} has {len(line)} cells instead of {len(header)}. Mend it."
                )
            lines.append((f"{file}, line {number}", line))
    if "variant" not in header:
        if not header or header[0] in _NO_LABELS or any(_is_number(line[0]) for _, line in lines):
            raise UserError(
                f"{file} lacks the column variant, the recipe of each row. Add it to the first line."
            )
        remarks.append(f"The column '{header[0]}' names the variants.")
        header = ["variant", *header[1:]]
    if "train_seed" not in header:
        header = ["train_seed" if name == "seed" else name for name in header]
    return header, [_Line(where, dict(zip(header, cells, strict=True))) for where, cells in lines]


def _is_number(cell: str) -> bool:
    try:
        float(cell.strip().removesuffix("%"))
    except ValueError:
        return False
    return True


def _printed(file: Path, header: Sequence[str], lines: Iterable[_Line]) -> Iterator[_Printed]:
    """Each mean of a table of summaries: a column of means with one of stds, or cells of "mean ± std"."""
    of_rows = [name for name in header if name not in ("variant", "metric", "std", "n")]
    in_columns = "std" in header or "mean" in header
    if not of_rows or (in_columns and len(of_rows) > 1) or (not in_columns and "metric" in header):
        raise UserError(
            f"{file} has a column n, but not the others of means and stds. Such rows have variant, mean, std,"
            " n (and metric), or variant, n and metrics in cells such as 21.4 ± 1.2."
        )
    for where, cells in lines:
        for name in of_rows:
            mean, *spread = _SPREAD.split(cells[name].strip(" $"), maxsplit=1)
            std = spread[0] if spread else cells.get("std", "")
            metric = cells.get("metric", "score" if name == "mean" else name).strip() or "score"
            if mean or in_columns:
                yield _Printed(where, cells["variant"], metric, mean, std, cells["n"])


def _summaries(
    file: Path, rows: Sequence[_Printed], remarks: list[str]
) -> tuple[list[str], list[dict[str, Any]]]:
    """Means, stds and n as runs with exactly this mean and sample std; nobody knows the real ones."""
    by_metric: dict[str, dict[tuple[str, int], float]] = {}
    runs = 0
    for row in rows:
        where, variant = row.where, _variant(row.where, row.variant)
        _check_metric(file, row.metric)
        mean, std = _number(where, "mean", row.mean, True), _number(where, "std", row.std, True)
        count = _count(row.n)
        if mean is None or not count or (std or 0.0) < 0:
            raise UserError(
                f"{where}: mean, std and n need a number, one from 0 on, and a count of runs from 1."
            )
        runs += count
        if runs > MOST_RUNS:
            raise UserError(f"{file} stands for more than {MOST_RUNS:,} runs. Import a part of it.")
        known = by_metric.setdefault(row.metric, {})
        if (variant, 0) in known:
            raise UserError(f"{where} repeats {variant}, {row.metric}. Give one row for each.")
        values = _standing_for(mean, std, count)
        if len(values) < count:
            remarks.append(f"{variant} has no std of {row.metric}, so its {count} runs count as one.")
        known |= {(variant, seed): value for seed, value in enumerate(values)}
    if not rows:
        raise UserError(f"{file} has no row below its first line. Give one row for each variant.")
    places = dict.fromkeys(place for known in by_metric.values() for place in known)
    records = [
        {"variant": variant, "train_seed": seed, "eval_seed": 0}
        | {metric: known.get((variant, seed)) for metric, known in by_metric.items()}
        for variant, seed in places
    ]
    return list(by_metric), records


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
            " and 80 characters are enough."
        )
    return label


def _without_sums(lines: list[_Line], remarks: list[str]) -> list[_Line]:
    """The lines without those of mean and std below a table, which are none of its evaluations."""
    names = {line.cells["variant"].strip().lower() for line in lines}
    if not all(names & words for words in _SUMS.values()):
        return lines
    remarks.append("The rows of mean and std are left out: both are computed here.")
    sums = set().union(*_SUMS.values())
    return [line for line in lines if line.cells["variant"].strip().lower() not in sums]


def _seeded(file: Path, header: Sequence[str], lines: Sequence[_Line], remarks: list[str]) -> list[_Line]:
    """The lines with both seeds: without any, each row is a training of its own, evaluated once."""
    if "eval_seed" in header and "train_seed" not in header:
        raise UserError(
            f"{file} lacks the column train_seed, which says what training was evaluated. Add it."
        )
    if "train_seed" not in header and lines:
        remarks.append("There are no seeds: each row counts as a training of its own, evaluated once.")
    rows = Counter[str]()
    seeded = []
    for where, cells in lines:
        variant = cells["variant"].strip()
        seeds = {"train_seed": str(rows[variant]), "eval_seed": "0"}
        rows[variant] += 1
        seeded.append(_Line(where, seeds | cells))
    return seeded


def _evaluations(
    file: Path, metrics: Sequence[str], lines: Sequence[_Line], percent: bool
) -> list[dict[str, Any]]:
    """One record per evaluation."""
    if not metrics:
        raise UserError(f"{file} has no metric. Its first line needs: {', '.join(KEYS)}, and metrics.")
    for name in metrics:
        _check_metric(file, name)
    records: dict[tuple[Any, ...], dict[str, Any]] = {}
    for where, cells in lines:
        record = _record(where, cells, percent)
        key = tuple(record[name] for name in KEYS)
        if key in records:
            raise UserError(f"{where} repeats {', '.join(map(str, key))}. Give one row for each.")
        records[key] = record
    if not records:
        raise UserError(f"{file} has no row below its first line. Give one row for each evaluation.")
    return list(records.values())


def _record(where: str, cells: dict[str, str], percent: bool) -> dict[str, Any]:
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
