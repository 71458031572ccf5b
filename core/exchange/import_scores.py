"""Results from elsewhere: a table of numbers becomes an experiment that all tables and pages can show.

In comes what `read_scores` makes of a file, out come `imported.parquet` (variant, train_seed, eval_seed,
metric, value) and `imported.json` in a folder of `runs/`. Without values per task, scope "new_tasks" stays
out of reach.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pyarrow as pa

from core.errors import UserError
from core.exchange.read_scores import KEYS, ScoreTable, read_scores
from core.results.loading import SHARE
from core.runs.imported_rows import IMPORTED_COLUMNS
from core.runs.layout import IMPORTED, IMPORTED_FILE, LAUNCH_LOCK, experiment_folder, runs_folder
from core.storage.files import locked, sha256_of, write_json, writing
from core.storage.json_records import read_as
from core.storage.schemas import write_table

_UNITS = {
    "number": {"loss", "losses", "perplexity", "ppl", "nll", "bpb", "entropy", "mse", "rmse", "mae", "cost"},
    "s": {"seconds", "sec", "secs", "time", "latency", "duration"},
    "min": {"minutes"},
    "h": {"hours"},
}
"""Units of imported metrics, by a word in their name; all others are shares."""
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
    *,
    replace: bool = False,
) -> ScoreTable:
    """Import a table (CSV, Markdown or parquet) as an experiment, and return what was read.

    A metric is a share (0 to 1, or percent with `percent`) unless its name or `units` says otherwise;
    direction goes by its name unless named in `lower_is_better` or `higher_is_better`. An empty cell or NaN
    is unknown. The baseline is the first variant unless one is named. What was imported under the name
    before is kept unless `replace`. Raises `UserError` naming line and column of what can't be read, and
    where the name is taken.
    """
    folder = free_folder(root, experiment, replace=replace)
    table = read_scores(file, percent)
    _check_named(file, table.metrics, [*lower_is_better, *higher_is_better, *(units or {})])
    known_units = {name: (units or {}).get(name) or unit_of(name) for name in table.metrics}
    shares = [name for name in table.metrics if known_units[name] == SHARE]
    if percent:
        _divide(table.records, shares)
    (_check_summaries if table.summaries else _check_shares)(file, table.records, shares, percent)
    if baseline is not None and baseline not in table.variants:
        known = ", ".join(table.variants)
        raise UserError(f"There is no variant '{baseline}' in {file}. Known: {known}.")
    described = {
        "imported": True,
        "question": " ".join((f"Numbers from {file.name}{'.' if table.remarks else ''}", *table.remarks)),
        "origin": file.name,
        "sha256": sha256_of(file),
        "percent": percent,
        "baseline": baseline or table.variants[0],
        "metrics": table.metrics,
        "variants": table.variants,
        "lower_is_better": list(lower_is_better),
        "higher_is_better": list(higher_is_better),
        "units": known_units,
        "summaries": table.summaries,
    }
    with locked(runs_folder(root) / LAUNCH_LOCK):
        free_folder(root, experiment, replace=replace)  # somebody may have taken it meanwhile
        with writing(folder / IMPORTED) as record:  # on the disk first, so that no full disk parts the two
            write_json(record, described)
            write_table(folder / IMPORTED_FILE, _rows_of(table), IMPORTED_COLUMNS)
    return table


def is_import(root: Path, experiment: str) -> bool:
    """Whether an experiment of this name holds nothing but numbers that were imported before."""
    return bool(NAME_OF_EXPERIMENT.fullmatch(experiment)) and _is_import(experiment_folder(root, experiment))


def free_folder(root: Path, experiment: str, *, replace: bool = False) -> Path:
    """The folder of an experiment to import into. Raises `UserError` where the name can't be one or is
    taken; an earlier import gives way with `replace`.
    """
    if not NAME_OF_EXPERIMENT.fullmatch(experiment):
        raise UserError(
            f"'{experiment}' can't name an experiment. Use letters, digits, '.', '_' and '-', at most 64."
        )
    folder = experiment_folder(root, experiment)
    if folder.exists() and not _is_import(folder):
        raise UserError(f"runs/{experiment} is taken by another experiment. Choose another name.")
    if folder.exists() and not replace:
        raise UserError(
            f"'{experiment}' was imported before. Choose another name, or replace it (--replace)."
        )
    return folder


def _rows_of(table: ScoreTable) -> pa.Table:
    rows = [
        {**{key: record[key] for key in KEYS}, "metric": metric, "value": record[metric]}
        for record in table.records
        for metric in table.metrics
        if record[metric] is not None
    ]
    return pa.Table.from_pylist(rows, IMPORTED_COLUMNS)


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
            if value is not None and not _lies_in(value):
                raise _no_share(file, record["variant"], name, value, percent)


def _lies_in(share: float) -> bool:
    return -1e-9 <= share <= 1 + 1e-9


def _no_share(file: Path, variant: str, name: str, value: float, percent: bool) -> UserError:
    shown, most = (100 * value, "100 %") if percent else (value, "1")
    remedy = "" if percent else "Import it as percent (--percent), or "
    return UserError(
        f"{file}: {name} is {shown:g} for {variant}, and a share lies between 0 and {most}."
        f" {remedy}{'G' if percent else 'g'}ive its unit, as a plain number (--unit '{name}=number')."
    )


def _check_summaries(
    file: Path, records: Sequence[dict[str, Any]], shares: Sequence[str], percent: bool
) -> None:
    """Raise `UserError` where the mean of a share lies outside 0 to 1, or its std is larger than any runs
    between 0 and 1 can have: √(m·(1 − m)·n/(n − 1)). The runs that stand for both may lie outside."""
    for name in shares:
        of_variants: dict[str, list[float]] = {}
        for record in records:
            if record[name] is not None:
                of_variants.setdefault(record["variant"], []).append(record[name])
        for variant, values in of_variants.items():
            mean, n = fmean(values), len(values)
            if not _lies_in(mean):
                raise _no_share(file, variant, name, mean, percent)
            most = (max(0.0, mean * (1 - mean)) * n / max(1, n - 1)) ** 0.5
            if n > 1 and stdev(values) > most + 1e-6:
                scale, words = (100, " %") if percent else (1, "")
                raise UserError(
                    f"{file}: {n} runs of {variant} with a mean {name} of {scale * mean:g}{words} have a std"
                    f" of {scale * most:.3g}{words} at most, not {scale * stdev(values):g}{words}. Correct"
                    " the file."
                )


def _is_import(folder: Path) -> bool:
    """Whether a folder holds nothing but numbers that were imported before."""
    path = folder / IMPORTED
    return path.exists() and read_as(path, dict[str, Any]).get("imported") is True
