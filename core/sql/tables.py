"""The tables that a query can name, and how they come from a project's files.

`scores`, `predictions` and `pairs` are views of the parquet files, with grids decoded for people (`012/345`
is two rows of three cells); `runs`, `progress`, `flags` and `imported` are read from the records that runs
and people leave.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from core.curation.flags import all_flags
from core.curation.stored import list_sources, parquet_path
from core.experiments.experiment import list_experiments
from core.experiments.listing import list_runs
from core.results.loading import score_paths
from core.runs.imported_rows import imported_table
from core.runs.layout import IMPORTED_FILE, experiment_folder
from core.runs.progress import progress_of
from core.runs.recorded_leaks import leaked_tasks, seen_tasks
from core.runs.run_record import read_record
from core.runs.state import state_of
from core.storage.evaluation_files import PREDICTIONS_FILE
from core.storage.schemas import PAIRS, PREDICTIONS, SCORES

_TEXT, _WHOLE, _NUMBER = pa.string(), pa.int64(), pa.float64()
_RUN = [("experiment", _TEXT), ("variant", _TEXT), ("train_seed", _WHOLE)]

RUNS = pa.schema(
    [
        *_RUN,
        *[(name, _TEXT) for name in ("state", "stage")],
        *[(name, _WHOLE) for name in ("step", "total")],
        ("eta_seconds", _NUMBER),
        *[(name, _TEXT) for name in ("host", "error", "created", "base_model", "method", "engine")],
        ("leaked_tasks", _WHOLE),
        ("test_time_tasks", _WHOLE),
        ("settings", _TEXT),
    ]
)
PROGRESS = pa.schema(
    [
        *_RUN,
        ("eval_seed", _WHOLE),
        ("time", _NUMBER),
        ("stage", _TEXT),
        *[(name, _WHOLE) for name in ("step", "total")],
        *[(name, _NUMBER) for name in ("loss", "learning_rate", "tokens_per_second", "eta_seconds")],
    ]
)
FLAGS = pa.schema([(name, _TEXT) for name in ("time", "task_id", "source", "flag", "value", "by", "note")])
IMPORTED_VALUES = pa.schema([*_RUN, ("eval_seed", _WHOLE), ("metric", _TEXT), ("value", _NUMBER)])

PHRASES = {
    "scores": "one row per test output of an evaluation: counts over its attempts",
    "predictions": "one row per attempt: text, tokens, the grid that was answered",
    "pairs": "one row per pair of every source; role is train, test or pool",
    "runs": "one row per training: state, evaluated tasks that leaked into it (leaked_tasks) or whose"
    " demonstrations it saw (test_time_tasks), settings as JSON",
    "progress": "one row per report of a run: loss, speed",
    "flags": "every judgement of a task; the latest about a task holds",
    "imported": "one row per evaluation and metric of results from elsewhere, as shares",
}


def schema() -> dict[str, list[tuple[str, str]]]:
    """Tables and their columns with a word for the type, as a query sees them."""
    return {name: _shown(columns) for name, columns in _SCHEMAS.items()}


RESERVED = ("by", "distinct")
"""Columns whose names are words of SQL, which stand in quotes."""


def all_columns(table: str, experiment: str | None) -> str:
    """A query with every column of a table, of one experiment where it is given and the table knows it."""
    names = [f'"{name}"' if name in RESERVED else name for name, _ in schema()[table]]
    quoted = (experiment or "").replace("'", "''")
    of_one = f"WHERE experiment = '{quoted}'\n" if experiment and "experiment" in names else ""
    listed = ",\n  ".join(names)
    return f"SELECT\n  {listed}\nFROM {table}\n{of_one}LIMIT 100"


def _grid(name: str) -> str:
    """SQL for a grid as text: a digit per cell, rows parted by a slash."""
    digits = f"regexp_replace(hex({name}_cells), '0(.)', '\\1', 'g')"
    row = f"substr({digits}, (1 + line * {name}_w)::BIGINT, {name}_w::BIGINT)"
    return f"array_to_string(list_transform(range({name}_h::BIGINT), lambda line: {row}), '/') AS {name}_grid"


def _prediction_paths(root: Path) -> list[Path]:
    return [path for each in _score_paths(root) if (path := each.with_name(PREDICTIONS_FILE)).exists()]


def _score_paths(root: Path) -> list[Path]:
    return [path for name in list_experiments(root) for path in score_paths(experiment_folder(root, name))]


def _source_paths(root: Path) -> list[Path]:
    return [parquet_path(root, info.source) for info in list_sources(root)]


FROM_PARQUET: dict[str, tuple[Callable[[Path], list[Path]], pa.Schema, str]] = {
    "scores": (_score_paths, SCORES, "*"),
    "predictions": (
        _prediction_paths,
        PREDICTIONS,
        "* EXCLUDE (output_cells) REPLACE (regexp_replace(hex(colours), '0(.)', '\\1', 'g') AS colours,"
        f" hex(pair_order) AS pair_order), {_grid('output')}",
    ),
    "pairs": (
        _source_paths,
        PAIRS,
        f"* EXCLUDE (input_cells, output_cells), {_grid('input')}, {_grid('output')}",
    ),
}


def _runs(root: Path) -> pa.Table:
    rows = []
    for name in list_experiments(root):
        for run in list_runs(root, name):
            made = read_record(run)
            recipe = made.get("recipe") or {}
            rows.append(
                {
                    **made,
                    **asdict(state_of(run)),
                    "base_model": recipe.get("base_model"),
                    "method": (recipe.get("training") or {}).get("method"),
                    "engine": (made.get("evaluation") or {}).get("inference", {}).get("engine"),
                    "leaked_tasks": leaked_tasks(run.folder),
                    "test_time_tasks": seen_tasks(run.folder),
                    "settings": json.dumps(
                        {key: made.get(key) for key in ("recipe", "evaluation")}, ensure_ascii=False
                    ),
                }
            )
    return _table(rows, RUNS)


def _progress(root: Path) -> pa.Table:
    rows = [
        {"experiment": name, "variant": run.variant, "train_seed": run.train_seed, **record}
        for name in list_experiments(root)
        for run in list_runs(root, name)
        for record in progress_of(run)
    ]
    return _table(rows, PROGRESS)


def _flags(root: Path) -> pa.Table:
    return _table(all_flags(root), FLAGS)


def _imported(root: Path) -> pa.Table:
    rows = []
    for name in list_experiments(root):
        folder = experiment_folder(root, name)
        if (folder / IMPORTED_FILE).exists():
            rows += [{"experiment": name, **record} for record in imported_table(folder).to_pylist()]
    return _table(rows, IMPORTED_VALUES)


FROM_RECORDS: dict[str, Callable[[Path], pa.Table]] = {
    "runs": _runs,
    "progress": _progress,
    "flags": _flags,
    "imported": _imported,
}


def _table(rows: list[dict[str, Any]], columns: pa.Schema) -> pa.Table:
    """Records as a table of these columns; a value that a column can't hold is unknown."""
    values = {
        field.name: pa.array([_fitting(row.get(field.name), field.type) for row in rows], field.type)
        for field in columns
    }
    return pa.table(values, columns)


def _fitting(value: Any, kind: pa.DataType) -> Any:
    """The value as a column holds it: half a character as `?`, a number in 64 bits."""
    if kind == _TEXT:
        return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None
    if isinstance(value, bool) or not isinstance(value, int if kind == _WHOLE else int | float):
        return None
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return None
    return value if kind == _WHOLE else float(value)


def _shown(columns: pa.Schema) -> list[tuple[str, str]]:
    """Columns as a query sees them: grids as text, bytes as text."""
    names = {field.name: _word(field.type) for field in columns}
    grids = [name.removesuffix("_cells") for name in names if name.endswith("_cells")]
    plain = [(name, word) for name, word in names.items() if not name.endswith("_cells")]
    return [*plain, *((f"{name}_grid", "text") for name in grids)]


def _word(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return "list of numbers"
    return "whole number" if pa.types.is_integer(kind) else "number" if pa.types.is_floating(kind) else "text"


_SCHEMAS = {
    **{name: columns for name, (_, columns, _shown_as) in FROM_PARQUET.items()},
    "runs": RUNS,
    "progress": PROGRESS,
    "flags": FLAGS,
    "imported": IMPORTED_VALUES,
}
