"""Sources as the rest of the workbench sees them: tasks by name, imported or derived.

An imported source is read from its files. `reversed:<source>` is no file: it is derived, each time, from
the flags and the tasks of `<source>`, so it changes as soon as a flag does. A task that is its own
reversal up to symmetry and recolouring is left out of it, for it would be the same task again.
`demos:<source>` holds the demonstrations of the source's tasks alone (see `demonstrations`), and
`reversed:demos:<source>` those of the flagged ones, turned around. `drawn:<source>` holds a task
drawn from each of the source's pools, to be evaluated.
"""

import functools
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from core.arc.tasks import Task
from core.curation.canonical import is_own_reversal
from core.curation.flag_rules import FlagRule, flagged
from core.curation.flags import flags_path, latest_flags
from core.curation.source_names import (
    REVERSED,
    demonstrations_of,
    drawn_from,
    is_demonstrations,
    is_drawn,
    stored_key,
    stored_name,
)
from core.curation.stored import (
    Dropped,
    SourceInfo,
    counted,
    list_sources,
    load_stored,
    parquet_path,
    source_info,
    source_stamp,
    unknown_task,
)
from core.plain_files import Stamp, file_stamp
from core.storage.files import fingerprint, sha256_of
from core.storage.schemas import PAIRS

__all__ = [
    "content_key",
    "derived_sources",
    "find_task",
    "list_sources",
    "load_tasks",
    "reversed_info",
    "source_fingerprint",
    "sources_named",
    "tasks_beginning",
    "tasks_fingerprint",
    "tasks_named",
]


def load_tasks(root: Path, source: str, rule: FlagRule = FlagRule()) -> dict[str, Task]:
    """The tasks of a source by id, ordered by id; `reversed:<source>` is derived from the flags, by `rule`.

    Raises `UserError` for a source that was not imported, naming the known ones, and for a damaged file.
    """
    if source.startswith(REVERSED):
        return dict(_reversed(root, source.removeprefix(REVERSED), rule)[0])
    stored = load_stored(root, stored_name(source))
    if is_demonstrations(source):
        return {
            task_id: demonstrations_of(task, source) for task_id, task in stored.items() if not task.is_pool
        }
    if is_drawn(source):
        return {task_id: drawn_from(task, source) for task_id, task in stored.items() if task.is_pool}
    return stored


def tasks_stamp(root: Path, sources: Iterable[str]) -> tuple[Stamp, ...]:
    """Changes when tasks of these sources may have: by their files and, for a derived one, by the flags. A
    source that is gone has a stamp too."""
    names = tuple(dict.fromkeys(sources))
    paths = [parquet_path(root, stored_name(name)) for name in names]
    paths += [flags_path(root)] if any(name.startswith(REVERSED) for name in names) else []
    return tuple(map(file_stamp, paths))


def sources_named(root: Path, name: str) -> list[str]:
    """The sources behind a name: itself, all below it (`arc1` stands for `arc1/…`), or `all` of them.

    Raises `UserError` where there is none.
    """
    known = [info.source for info in list_sources(root)]
    if name == "all" and known:
        return known
    below = [source for source in known if source.startswith(f"{name}/")]
    if name not in known and below:
        return below
    load_tasks(root, name)  # raises, with the nearest name, where there is none
    return [name]


def find_task(root: Path, task_id: str, source: str | None = None) -> Task:
    """The task of this id in `source`, or in the first source by name that has it.

    Raises `UserError` with the nearest known id.
    """
    names = [source] if source else [info.source for info in list_sources(root)]
    known: list[str] = []
    for name in names:
        tasks = load_tasks(root, name)
        if task_id in tasks:
            return tasks[task_id]
        known.extend(tasks)
    raise unknown_task(task_id, known, source or "any imported source")


def tasks_beginning(root: Path, text: str) -> list[tuple[str, str]]:
    """The imported sources with a task whose id begins with a text, each with the first such id, by name."""
    from core.storage.queries import parquet, query  # DuckDB, which few readers of sources need

    found = []
    for info in list_sources(root):
        table = parquet([parquet_path(root, info.source)], PAIRS)
        sql = f"SELECT min(task_id) AS first FROM {table} WHERE starts_with(task_id, $text)"
        first = query(sql, {"text": text}).to_pylist()[0]["first"]
        if first is not None:
            found.append((info.source, first))
    return found


def tasks_named(root: Path, source: str, task_ids: Iterable[str]) -> list[Task]:
    """The tasks of these ids, in their order; of a reversed source whether or not they are flagged now.

    Raises `UnknownTaskError` where the source, or the one that it turns around, does not hold one of them.
    """
    name = stored_name(source)
    stored = load_stored(root, name)
    found = []
    for task_id in task_ids:
        _, original = stored_key(source, task_id)
        if original not in stored:
            raise unknown_task(original, list(stored), f"source '{name}'")
        task = stored[original]
        if is_demonstrations(source):
            task = demonstrations_of(task, source)
        if is_drawn(source):
            task = drawn_from(task, source)
        found.append(_turned(task, source) if source.startswith(REVERSED) else task)
    return found


def _turned(task: Task, source: str) -> Task:
    return replace(task.reverse(), source=source)


def source_fingerprint(root: Path, source: str) -> str:
    """The sha256 (hex) of a source's tasks, whatever file they came from; also of a derived source."""
    if source != stored_name(source):
        return tasks_fingerprint(load_tasks(root, source).values())
    return _stored_fingerprint(root, source, source_stamp(root, source))


@functools.lru_cache(maxsize=64)
def _stored_fingerprint(root: Path, source: str, _stamps: tuple[Stamp, Stamp]) -> str:
    return tasks_fingerprint(load_stored(root, source).values())


def content_key(root: Path, source: str) -> str:
    """Changes whenever the tasks of a source may have: the sha256 of its files, of a derived source also of
    the flags that it is made of. It names results that are kept on disk, and reads no task."""
    original = stored_name(source)
    parts = [source, _files_key(root, original, source_stamp(root, original))]
    if source.startswith(REVERSED):
        marks = latest_flags(root, source=original)
        parts += [mark["task_id"] for mark in marks if mark["value"] == "yes"]
    return fingerprint(parts)


@functools.lru_cache(maxsize=64)
def _files_key(root: Path, source: str, _stamps: tuple[Stamp, Stamp]) -> str:
    path = parquet_path(root, source)
    return sha256_of(path) + sha256_of(path.with_suffix(".json"))


def tasks_fingerprint(tasks: Iterable[Task]) -> str:
    """The sha256 (hex) of tasks in their order: ids, families and all cells."""
    digest = hashlib.sha256()
    for task in tasks:
        digest.update(f"{task.task_id}|{task.family}|{task.n_train}|{len(task.train)}|".encode())
        for pair in task.pairs:
            for grid in (pair.input, pair.output):
                digest.update(b"none" if grid is None else str(grid.shape).encode() + grid.tobytes())
    return digest.hexdigest()


def reversed_info(root: Path, source: str) -> SourceInfo:
    """The record of `reversed:<source>` as the flags stand, with the flagged tasks that it leaves out."""
    tasks, dropped = _reversed(root, source)
    original = source_info(root, stored_name(source))
    origin = f"{source}, turned around where flagged reversible"
    turned = replace(original, source=REVERSED + source, origin=origin, dropped=dropped)
    return counted(turned, list(tasks.values()))


def derived_sources(root: Path) -> list[SourceInfo]:
    """The records of the reversed sources of which at least one task is flagged."""
    flagged = {mark["source"] for mark in latest_flags(root) if mark["value"] == "yes"}
    return [reversed_info(root, info.source) for info in list_sources(root) if info.source in flagged]


def _reversed(
    root: Path, source: str, rule: FlagRule = FlagRule()
) -> tuple[Mapping[str, Task], tuple[Dropped, ...]]:
    stamps = source_stamp(root, stored_name(source)), file_stamp(flags_path(root))
    return _load_reversed(root, source, rule, *stamps)


@functools.lru_cache(maxsize=8)
def _load_reversed(
    root: Path, source: str, rule: FlagRule, _stamps: tuple[Stamp, Stamp], _marks: Stamp
) -> tuple[Mapping[str, Task], tuple[Dropped, ...]]:
    tasks = load_tasks(root, source)
    kept: dict[str, Task] = {}
    dropped: list[Dropped] = []
    for task_id in flagged(root, stored_name(source), rule):
        task = tasks.get(task_id)
        reason = _why_not_reversed(task)
        if task is None or reason:
            dropped.append(Dropped(task_id, reason))
        else:
            turned = _turned(task, REVERSED + source)
            kept[turned.task_id] = turned
    return dict(sorted(kept.items())), tuple(dropped)


def _why_not_reversed(task: Task | None) -> str:
    """Why a flagged task has no place in the reversed source; empty where it has one."""
    if task is None:
        return "The source no longer holds it."
    if any(pair.output is None for pair in task.pairs):
        return "Its test outputs are not known."
    if is_own_reversal(task):
        return "It is its own reversal up to symmetry and recolouring."
    return ""
