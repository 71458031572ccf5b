"""Sources as the rest of the workbench sees them: tasks by name, imported or derived.

An imported source is read from its files. `reversed:<source>` is no file: it is derived, each time, from
the flags and the tasks of `<source>`, so it changes as soon as a flag does.
"""

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from core.arc.tasks import Task
from core.curation.flags import flags_path, latest_flags
from core.curation.stored import (
    SourceInfo,
    Stamp,
    file_stamp,
    list_sources,
    load_stored,
    source_stamp,
    unknown_task,
)

__all__ = ["SourceInfo", "find_task", "list_sources", "load_tasks", "source_fingerprint", "sources_named"]

REVERSED = "reversed:"


def load_tasks(root: Path, source: str) -> dict[str, Task]:
    """The tasks of a source by id, ordered by id; `reversed:<source>` is derived from the flags.

    Raises `UserError` for a source that was not imported, naming the known ones, and for a damaged file.
    """
    if source.startswith(REVERSED):
        original = source.removeprefix(REVERSED)
        marks = file_stamp(flags_path(root))
        return dict(_load_reversed(root, original, source_stamp(root, original), marks))
    return load_stored(root, source)


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


def source_fingerprint(root: Path, source: str) -> str:
    """The sha256 (hex) of a source's tasks, whatever file they came from; also of a derived source."""
    digest = hashlib.sha256()
    for task in load_tasks(root, source).values():
        digest.update(f"{task.task_id}|{task.family}|{task.n_train}|{len(task.train)}|".encode())
        for pair in task.pairs:
            for grid in (pair.input, pair.output):
                digest.update(b"none" if grid is None else str(grid.shape).encode() + grid.tobytes())
    return digest.hexdigest()


@functools.lru_cache(maxsize=8)
def _load_reversed(
    root: Path, source: str, _stamps: tuple[Stamp, Stamp], _marks: Stamp
) -> Mapping[str, Task]:
    tasks = load_stored(root, source)
    wanted = [
        task
        for mark in latest_flags(root, source=source)
        if mark["value"] == "yes" and (task := tasks.get(mark["task_id"])) is not None
    ]
    known = [task for task in wanted if all(pair.output is not None for pair in task.pairs)]
    turned = [replace(task.reverse(), source=REVERSED + source) for task in known]
    return {task.task_id: task for task in sorted(turned, key=lambda task: task.task_id)}
