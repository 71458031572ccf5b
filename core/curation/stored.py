"""Stored sources: tasks as `data/sources/<source>.parquet` beside a JSON record.

The record says where the tasks came from, their licence, what was dropped and why. It is written last,
so a source exists when its record does. Tasks are values: what was read once is kept until its file
changes.
"""

import difflib
import functools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa

from core.arc.grids import COLOURS, MAX_SIDE
from core.arc.tasks import Pair, Task
from core.errors import UserError
from core.number_words import amount
from core.plain_files import Stamp, file_stamp
from core.storage.files import write_json, writing
from core.storage.json_records import read_as
from core.storage.schemas import PAIRS, grid_columns, grids_of, read_table, write_table
from core.storage.seals import damaged

DEFAULT_N_TRAIN = 3  # the median number of demonstrations in ARC-1, for a pool that does not say

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){0,3}")
_ROLES = ("train", "test", "pool")


@dataclass(frozen=True)
class Dropped:
    """A task that was not imported, and why. `kind`: it is "dropped", "doubled" (its id came before), one bad
    "pair" of a pool that is there without it, or a file or folder that was "skipped". The last of a kind may
    stand for several."""

    task_id: str
    reason: str
    kind: str = "dropped"
    count: int = 1


_FATES = ("dropped", "bad pairs left out", "doubled", "skipped")
_REASONS = 3
"""So many different reasons of each kind stand in a summary."""

SOURCE_COLUMNS = ("source", "tasks", "pairs", "dropped", "licence", "version")
"""What a list of sources shows of a `SourceInfo.record`."""


@dataclass(frozen=True)
class SourceInfo:
    """The record of a source. `sha256` is of the bytes it was imported from; `n_train` holds the
    number of demonstrations that is drawn from each pool task; `cells` is the median over its tasks of the
    cells of a sample, `side` the longest side of its grids in cells (None without tasks, and unknown)."""

    source: str
    origin: str
    version: str
    licence: str
    sha256: str
    tasks: int = 0
    families: int = 0
    pairs: int = 0
    dropped: tuple[Dropped, ...] = ()
    n_train: Mapping[str, int] = field(default_factory=dict)
    cells: float | None = None
    side: int | None = None

    @property
    def record(self) -> dict[str, Any]:
        """As a flat record."""
        names = ("source", "tasks", "pairs", "cells", "side", "licence", "version", "origin", "sha256")
        return {
            **{name: getattr(self, name) for name in names},
            "dropped": sum(one.count for one in self.dropped if one.kind != "skipped"),
        }

    @property
    def summary(self) -> str:
        """What became of an import, in one line: how much was read, dropped, doubled and skipped, and why."""
        words = dict(zip(("dropped", "pair", "doubled", "skipped"), _FATES, strict=True))
        parts = [f"{amount(self.tasks, 'tasks')} with {amount(self.pairs, 'pairs')} read"]
        for kind, word in words.items():
            reasons: Counter[str] = Counter()
            for one in self.dropped:
                reasons[one.reason.rstrip(".")] += one.count if one.kind == kind else 0
            reasons = +reasons
            shown = "; ".join(f"{count:,} × {reason}" for reason, count in reasons.most_common(_REASONS))
            more = f"; and {len(reasons) - _REASONS:,} other reasons" if len(reasons) > _REASONS else ""
            parts.append(f"{reasons.total():,} {word}" + (f" ({shown}{more})" if reasons else ""))
        return f"{self.source}: {', '.join(parts)}."


def parquet_path(root: Path, source: str) -> Path:
    """Where the pairs of a source lie. Raises `UserError` for a name that is no plain path."""
    if not _NAME.fullmatch(source) or ".." in source:
        raise UserError(
            f"'{source}' is no name for a source. Use letters, digits, '.', '_', '-', and '/' between parts."
        )
    return root / "data" / "sources" / f"{source}.parquet"


def list_sources(root: Path) -> list[SourceInfo]:
    """All imported sources whose JSON records can be read, by name, from these alone."""
    return [found for found in _records(root) if isinstance(found, SourceInfo)]


def source_problems(root: Path) -> list[str]:
    """Why records of sources can't be read, a sentence for each; such sources are in no list."""
    return [str(found) for found in _records(root) if isinstance(found, UserError)]


def _records(root: Path) -> Iterator[SourceInfo | UserError]:
    folder = root / "data" / "sources"
    for path in sorted(folder.rglob("*.json")):
        if path.is_file():
            try:
                yield _read_info(path, path.relative_to(folder).with_suffix("").as_posix())
            except UserError as problem:
                yield problem


def source_info(root: Path, source: str) -> SourceInfo:
    """The record of one source. Raises `UserError` naming the known sources where there is none."""
    path = parquet_path(root, source).with_suffix(".json")
    if not path.is_file():
        raise _unknown(root, source)
    return _read_info(path, source)


def _read_info(path: Path, source: str) -> SourceInfo:
    remedy = "Delete it and import the source again."
    found = read_as(path, SourceInfo, remedy)
    if found.source != source:
        raise UserError(f"{path} is damaged (it is the record of {found.source[:80]!r}). {remedy}")
    return found


def store_source(root: Path, info: SourceInfo, tasks: Iterable[Task]) -> SourceInfo:
    """Write tasks and record of a source whole. The record gets the counts and takes its place last; it is on
    the disk before, so that no full disk parts the two."""
    path = parquet_path(root, info.source)
    ordered = sorted(tasks, key=lambda task: task.task_id)
    rows = [row for task in ordered for row in _rows(task)]
    stored = counted(info, ordered)
    with writing(path.with_suffix(".json")) as record:
        write_json(record, asdict(stored))
        write_table(path, _table(info.source, rows), PAIRS)
    return stored


def counted(info: SourceInfo, tasks: Sequence[Task]) -> SourceInfo:
    """The record with the counts and sizes of these tasks."""
    sides = [max(pair.input.shape) for task in tasks for pair in task.pairs]
    sides += [max(pair.output.shape) for task in tasks for pair in task.pairs if pair.output is not None]
    return replace(
        info,
        tasks=len(tasks),
        families=len({task.family for task in tasks}),
        pairs=sum(len(task.pairs) for task in tasks),
        cells=median([task.cells for task in tasks]) if tasks else None,
        side=max(sides, default=None),
        n_train={task.task_id: task.n_train for task in tasks if task.n_train is not None},
    )


def _rows(task: Task) -> list[tuple[Task, str, int, Pair]]:
    train_role = "pool" if task.is_pool else "train"
    return [(task, train_role, index, pair) for index, pair in enumerate(task.train)] + [
        (task, "test", index, pair) for index, pair in enumerate(task.test)
    ]


def _table(source: str, rows: Sequence[tuple[Task, str, int, Pair]]) -> pa.Table:
    columns = {
        "source": [source] * len(rows),
        "task_id": [task.task_id for task, *_ in rows],
        "family": [task.family for task, *_ in rows],
        "role": [role for _, role, _, _ in rows],
        "pair_index": [index for _, _, index, _ in rows],
        **grid_columns("input", (pair.input for *_, pair in rows)),
        **grid_columns("output", (pair.output for *_, pair in rows)),
    }
    return pa.table(columns, schema=PAIRS)


def load_stored(root: Path, source: str) -> dict[str, Task]:
    """The tasks of an imported source by id, ordered by id.

    Raises `UserError` for a source that was not imported, naming the known ones, and for a damaged file.
    """
    return dict(_load_stored(root, source, source_stamp(root, source)))


class UnknownTaskError(UserError):
    """A source does not hold the requested task."""


def unknown_task(task_id: str, known: Sequence[str], where: str) -> UnknownTaskError:
    """The error for a task that does not exist, with the nearest known id."""
    near = difflib.get_close_matches(task_id, known, n=1)
    hint = f"Did you mean '{near[0]}'?" if near else "Run: python -m core data list"
    return UnknownTaskError(f"No task '{task_id}' in {where}. {hint}")


def source_stamp(root: Path, source: str) -> tuple[Stamp, Stamp]:
    """What changes when the files of a source change: the stamps of its pairs and of its record."""
    path = parquet_path(root, source)
    record = path.with_suffix(".json")
    if not record.is_file():
        raise _unknown(root, source)
    if not path.is_file():
        raise UserError(f"{path} is gone. Run: python -m core data import {source.split('/')[0]}")
    return file_stamp(path), file_stamp(record)


def _unknown(root: Path, source: str) -> UserError:
    known = [info.source for info in list_sources(root)]
    listed = f"Known sources: {', '.join(known)}." if known else "No source is imported yet."
    near = difflib.get_close_matches(source, known, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    collection = source.split("/")[0]
    return UserError(
        f"There is no source '{source}'. {listed}{hint} Run: python -m core data import {collection}"
    )


@functools.lru_cache(maxsize=16)
def _load_stored(root: Path, source: str, _stamps: tuple[Stamp, Stamp]) -> Mapping[str, Task]:
    path = parquet_path(root, source)
    info = source_info(root, source)
    try:
        table = read_table(path, PAIRS)
        return {task.task_id: task for task in _tasks_of(table, info)}
    except ValueError as problem:
        raise damaged(path, problem) from problem


def _tasks_of(table: pa.Table, info: SourceInfo) -> Iterable[Task]:
    _check_grids(table)
    pairs = map(Pair, grids_of(table, "input"), grids_of(table, "output"))  # type: ignore[arg-type]
    keys = [table.column(name).to_pylist() for name in ("task_id", "family", "role", "pair_index")]
    if set(keys[2]) - {*_ROLES}:
        raise ValueError(f"a role is none of {', '.join(_ROLES)}")
    rows = sorted(zip(*keys, pairs, strict=True), key=lambda row: (row[0], _ROLES.index(row[2]), row[3]))
    for (task_id, family), group in groupby(rows, key=lambda row: (row[0], row[1])):
        members = list(group)
        test = tuple(pair for _, _, role, _, pair in members if role == "test")
        train = tuple(pair for _, _, role, _, pair in members if role != "test")
        is_pool = members[0][2] == "pool"
        n_train = info.n_train.get(task_id, DEFAULT_N_TRAIN) if is_pool else None
        yield Task(task_id, info.source, family, train, test, n_train)


def _check_grids(table: pa.Table) -> None:
    """Raise ValueError unless every grid has 1–30 × 1–30 cells of colours 0–9 (only outputs may lack)."""
    for name, missing_allowed in (("input", False), ("output", True)):
        cells, heights, widths = (table.column(f"{name}_{part}") for part in ("cells", "h", "w"))
        if cells.null_count and not missing_allowed:
            raise ValueError("an input grid is missing")
        # Not `np.asarray`, for which pyarrow loads pandas.
        sides = (np.from_dlpack(side.drop_null().combine_chunks()) for side in (heights, widths))
        h, w = (side.astype(np.int64) for side in sides)
        data = cells.drop_null().to_pylist()
        lengths = np.array([len(blob) for blob in data], dtype=np.int64)
        if not len(h) == len(w) == len(lengths) or (h * w != lengths).any():
            raise ValueError("a grid does not have the cells that its size says")
        if len(h) and (min(h.min(), w.min()) < 1 or max(h.max(), w.max()) > MAX_SIDE):
            raise ValueError("a grid is not between 1 × 1 and 30 × 30")
        if len(h) and np.frombuffer(b"".join(data), dtype=np.uint8).max() >= COLOURS:
            raise ValueError("a colour is above 9")
