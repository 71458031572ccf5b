"""Which source gives away how many tasks of which other: the leaks of many sources as a matrix.

A leak has no direction: where a task of A gives away one of B, the one of B gives away that of A. A
source against itself shows its own duplicates. Comparing fifty thousand pairs takes seconds, so the leaks
are kept on disk, under a name that changes with the sources, the flags and the rules.
"""

import contextlib
import functools
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from core.arc.tasks import Task
from core.curation.leaks import EVIDENCE, Leak, leaks_between, shared_pairs
from core.curation.sources import content_key, find_task, list_sources
from core.errors import UserError
from core.plain_files import file_stamp
from core.storage.files import fingerprint, keep_json, read_json

RULES = (2, EVIDENCE)  # a change of what counts as a leak raises the first number
MOST_KEPT = 8  # files; each flag makes another matrix where a reversed source is in it


@dataclass(frozen=True)
class Overlap:
    """The leaks of two sources. `tasks` counts the tasks of b that a gives away (of a source against itself,
    those with a duplicate). In every leak, task a is of source a and task b of source b."""

    source_a: str
    source_b: str
    tasks: int
    leaks: tuple[Leak, ...]


def overlaps(root: Path, sources: Sequence[str]) -> dict[tuple[str, str], Overlap]:
    """The overlap of every ordered pair of sources; kept until a source or a flag changes.

    Raises `UserError` for a source that does not exist.
    """
    return _overlaps(root, tuple(sources), _name(root, sources))


def is_known(root: Path, sources: Sequence[str]) -> bool:
    """Whether the overlaps of these sources are kept, so that asking for them takes no time."""
    return _path(root, _name(root, sources)).is_file()


def _name(root: Path, sources: Sequence[str]) -> str:
    """Changes with whatever the leaks depend on. Families are related by all imported sources."""
    imported = [content_key(root, info.source) for info in list_sources(root)]
    return fingerprint([RULES, imported, sorted(content_key(root, source) for source in sources)])


def _path(root: Path, name: str) -> Path:
    return root / "data" / ".cache" / "leaks" / f"{name}.json"


@functools.lru_cache(maxsize=4)
def _overlaps(root: Path, sources: tuple[str, ...], name: str) -> dict[tuple[str, str], Overlap]:
    path = _path(root, name)
    leaks = _kept(path)
    if leaks is None or not {one for leak in leaks for one in (leak.source_a, leak.source_b)} <= {*sources}:
        leaks = leaks_between(root, sources, sources)
        keep_json(path, [astuple(leak) for leak in leaks])
        _forget_old(path.parent)
    found: dict[tuple[str, str], list[Leak]] = {(a, b): [] for a in sources for b in sources}
    for leak in leaks:
        found[leak.source_a, leak.source_b].append(leak)
        if leak.source_a != leak.source_b:
            found[leak.source_b, leak.source_a].append(_turned(leak))
    return {key: _overlap(*key, members) for key, members in found.items()}


def _kept(path: Path) -> list[Leak] | None:
    """The leaks of a kept file; None where it is absent or damaged."""
    try:
        return [
            Leak(str(source_a), str(task_a), str(source_b), str(task_b), str(kind), int(pairs))
            for source_a, task_a, source_b, task_b, kind, pairs in read_json(path)
        ]
    except (UserError, OSError, TypeError, ValueError):
        return None


def _forget_old(folder: Path) -> None:
    """Keep the latest files only."""
    latest = sorted(folder.glob("*.json"), key=lambda path: -file_stamp(path)[0])
    for path in latest[MOST_KEPT:]:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _turned(leak: Leak) -> Leak:
    return Leak(leak.source_b, leak.task_b, leak.source_a, leak.task_a, leak.kind, leak.pairs)


def _overlap(source_a: str, source_b: str, leaks: Sequence[Leak]) -> Overlap:
    given_away = {leak.task_b for leak in leaks}
    if source_a == source_b:
        given_away |= {leak.task_a for leak in leaks}
    ordered = sorted(leaks, key=lambda leak: (leak.task_b, leak.task_a))
    return Overlap(source_a, source_b, len(given_away), tuple(ordered))


def side_by_side(root: Path, leak: Leak, most: int = 4) -> tuple[Task, Task]:
    """The two tasks of a leak to be looked at. Of pools, and of what stands beside one, only pairs that they
    have in common, opposite each other, or else the first ones; at most `most` of each."""
    one = find_task(root, leak.task_a, leak.source_a)
    other = find_task(root, leak.task_b, leak.source_b)
    if not one.is_pool and not other.is_pool:
        return one, other
    common = shared_pairs(one, other)[:most]
    first = range(most)
    return (
        _only(one, [a for a, _ in common] or [*first]),
        _only(other, [b for _, b in common] or [*first]),
    )


def _only(task: Task, places: Sequence[int]) -> Task:
    """The task with these of its pairs, all as demonstrations."""
    pairs = tuple(task.pairs[place] for place in places if place < len(task.pairs))
    return replace(task, train=pairs, test=(), n_train=None)
