"""Which source gives away how many tasks of which other: the leaks of many sources as a matrix.

A leak has no direction: where a task of A gives away one of B, the one of B gives away that of A. A
source against itself shows its own duplicates.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.curation.flags import flags_path
from core.curation.leaks import Leak, leaks_between
from core.curation.sources import REVERSED
from core.curation.stored import Stamp, file_stamp, source_stamp


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
    stamps = tuple(source_stamp(root, source.removeprefix(REVERSED)) for source in sources)
    derived = any(source.startswith(REVERSED) for source in sources)
    flags = file_stamp(flags_path(root)) if derived else (0, 0)
    return _overlaps(root, tuple(sources), stamps, flags)


@functools.lru_cache(maxsize=4)
def _overlaps(
    root: Path, sources: tuple[str, ...], _stamps: tuple[tuple[Stamp, Stamp], ...], _flags: Stamp
) -> dict[tuple[str, str], Overlap]:
    found: dict[tuple[str, str], list[Leak]] = {(a, b): [] for a in sources for b in sources}
    for leak in leaks_between(root, sources, sources):
        found[leak.source_a, leak.source_b].append(leak)
        if leak.source_a != leak.source_b:
            found[leak.source_b, leak.source_a].append(_turned(leak))
    return {key: _overlap(*key, leaks) for key, leaks in found.items()}


def _turned(leak: Leak) -> Leak:
    return Leak(leak.source_b, leak.task_b, leak.source_a, leak.task_a, leak.kind, leak.pairs)


def _overlap(source_a: str, source_b: str, leaks: Sequence[Leak]) -> Overlap:
    given_away = {leak.task_b for leak in leaks}
    if source_a == source_b:
        given_away |= {leak.task_a for leak in leaks}
    ordered = sorted(leaks, key=lambda leak: (leak.task_b, leak.task_a))
    return Overlap(source_a, source_b, len(given_away), tuple(ordered))
