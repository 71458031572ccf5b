"""Flags: a person's judgements of tasks, one line each in `data/flags.jsonl`, which only ever grows.

The latest judgement of a task holds: by its own time, then by line. The value "none" withdraws what the same
person said before, so that the latest of the others holds. Every line keeps its time and author, so flags of
several people can be exported, imported in any order, and compared.
"""

import functools
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from core.arc.tasks import Task
from core.curation.labels import records_of
from core.curation.stored import list_sources, load_stored, unknown_task
from core.errors import UserError
from core.number_words import amount
from core.plain_files import decoded
from core.storage.files import append_records, read_records, read_unfolded, write_text

VALUES = ("yes", "no", "unsure", "none")
REVERSIBLE = "reversible"
KIND = re.compile(r"[a-z0-9][a-z0-9 _-]{0,39}")
"""What a kind of flag may be called."""

_FIELDS = ("time", "task_id", "source", "flag", "value", "by", "note")
_MAX_TEXT = 2_000
_CLOCKS_DIFFER = timedelta(minutes=5)
_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)

Flag = dict[str, Any]
Stored = Callable[[str], Mapping[str, Task]]


def flags_path(root: Path) -> Path:
    """Where the flags lie."""
    return root / "data" / "flags.jsonl"


def add_flag(
    root: Path, task_id: str, source: str, value: str, by: str, note: str = "", flag: str = REVERSIBLE
) -> Flag:
    """Record one judgement and return its line. "none" withdraws what this person said.

    Raises `UserError` for a value, source or task that does not exist, with the nearest known id.
    """
    record = {"task_id": task_id, "source": source, "flag": flag, "value": value, "by": by, "note": note}
    return add_flags(root, [record])[0]


def add_flags(root: Path, records: Sequence[Mapping[str, Any]]) -> list[Flag]:
    """Record several judgements in one write, all or none. A `time` that is missing is now, or just after the
    judgement that holds where that is dated in the future: whoever judges now has seen it."""
    now = datetime.now(UTC)
    stored = functools.cache(functools.partial(load_stored, root))
    lines = [_checked(stored, {"time": "", "flag": REVERSIBLE, "note": "", **record}) for record in records]
    late = {
        (mark["source"], mark["task_id"], mark["flag"]): when
        for mark in all_flags(root)
        if (when := moment(mark["time"])) is not None and when >= now
    }
    for line in lines:
        if not line["time"]:
            held = late.get((line["source"], line["task_id"], line["flag"]), now)
            when = max(now, held + timedelta(milliseconds=1)) if held > now else now
            line["time"] = when.isoformat(timespec="milliseconds")
    if lines:
        append_records(flags_path(root), lines)
    return lines


def _checked(stored: Stored, record: Mapping[str, Any]) -> Flag:
    """The record with exactly the fields of a flag, or a `UserError`; `stored` gives a source's tasks."""
    for name in _FIELDS:
        if not isinstance(record.get(name), str) or len(record[name]) > _MAX_TEXT:
            raise UserError(f"A flag needs a short text '{name}', but got {str(record.get(name))[:80]!r}.")
    if record["value"] not in VALUES:
        raise UserError(f"'{record['value']}' is no value of a flag. Use one of: {', '.join(VALUES)}.")
    if not KIND.fullmatch(record["flag"]):
        raise UserError(
            f"'{record['flag'][:80]}' is no kind of flag. Use up to 40 small letters, digits and blanks."
        )
    tasks = stored(record["source"])
    if record["task_id"] not in tasks:
        raise unknown_task(record["task_id"], list(tasks), f"source '{record['source']}'")
    return {name: record[name] for name in _FIELDS}


def moment(time: str) -> datetime | None:
    """A time as written in a flag, read as UTC where it has no zone; None where it is no time."""
    try:
        when = datetime.fromisoformat(time)
        return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def all_flags(root: Path) -> list[Flag]:
    """Every judgement ever recorded, oldest first: by its own time, then by line. One without a readable time
    is the oldest; lines that are no flag are left out."""
    marks = [record for record in read_records(flags_path(root)) if _is_flag(record)]
    return sorted(marks, key=lambda mark: moment(mark["time"]) or _BEGINNING)


def _is_flag(record: Flag) -> bool:
    return all(isinstance(record.get(name), str) for name in _FIELDS) and record["value"] in VALUES


def latest_flags(root: Path, source: str | None = None, flag: str = REVERSIBLE) -> list[Flag]:
    """What holds now: the latest judgement per source and task, by source and task."""
    return [marks[-1] for marks in latest_by_person(root, source, flag)]


def latest_by_person(root: Path, source: str | None = None, flag: str = REVERSIBLE) -> list[list[Flag]]:
    """Per judged task the latest judgement of each person, oldest first, without what a person withdrew;
    by source and task."""
    latest: dict[tuple[str, str], dict[str, Flag]] = {}
    for record in all_flags(root):
        if record["flag"] == flag and source in (None, record["source"]):
            of_task = latest.setdefault((record["source"], record["task_id"]), {})
            of_task.pop(record["by"], None)  # a dict keeps the order of insertion: the latest comes last
            if record["value"] != "none":
                of_task[record["by"]] = record
    return [list(latest[key].values()) for key in sorted(latest) if latest[key]]


def disagreements(root: Path, flag: str = REVERSIBLE) -> list[list[Flag]]:
    """Per task on which people differ, the latest flag of each person, oldest first, by source and task."""
    return list(filter(is_disputed, latest_by_person(root, flag=flag)))


def is_disputed(marks: Sequence[Flag]) -> bool:
    """Whether the judgements of a task differ."""
    return len({mark["value"] for mark in marks}) > 1


def export_flags(root: Path, target: Path) -> int:
    """Write the flags that hold now to `target` as JSON lines; returns how many."""
    text = held_flags(root)
    write_text(target, text)
    return text.count("\n")


def held_flags(root: Path) -> str:
    """The flags that hold now as JSON lines."""
    kinds = sorted({mark["flag"] for mark in all_flags(root)})
    marks = [mark for flag in kinds for mark in latest_flags(root, flag=flag)]
    return "".join(json.dumps(mark, ensure_ascii=False) + "\n" for mark in marks)


@dataclass(frozen=True)
class ImportedFlags:
    """What an import of flags did: judgements `read`, of which `added` are new and `known` were here, and
    `overruled` flags that changed. `future` and `zoneless` count times that come or have no time zone;
    `empty` rows of a table that lack an id or a judgement; `chosen` says of ids that stand in several sources
    which one was taken."""

    read: int
    added: int
    known: int
    overruled: int
    future: int
    zoneless: int
    empty: int
    chosen: Mapping[str, int]

    @property
    def summary(self) -> str:
        """One line for people."""
        parts = [
            f"{amount(self.read, 'judgements')} read, {self.added} added, {self.known} were here already,"
            f" {amount(self.overruled, 'flags')} changed."
        ]
        if self.future:
            parts.append(f"Dated in the future: {self.future}, which hold against all that is earlier.")
        if self.zoneless:
            parts.append(f"With a time without a zone, read as UTC: {self.zoneless}.")
        if self.empty:
            parts.append(f"Left out: {amount(self.empty, 'rows')} without an id or a judgement.")
        parts += [
            f"Taken for {source}: {amount(count, 'ids')} of several sources; name a source to change it."
            for source, count in self.chosen.items()
        ]
        return " ".join(parts)


def import_flags(
    root: Path,
    origin: Path,
    *,
    by: str = "",
    source: str | None = None,
    flag: str = REVERSIBLE,
    others: str | None = None,
    only_by: str | None = None,
) -> ImportedFlags:
    """Append the judgements of a file that are not here yet, all or none. What holds is the latest judgement
    by its own time, in whatever order files are imported.

    Where the file does not say so, the judgement is by `by`, now, of `flag`, about a task of `source` or of
    the first source that has its id; `others` is the judgement of all tasks of the sources that the file does
    not name. Raises `UserError` naming the place of what is no flag, and of a new judgement of somebody else
    where only those of `only_by` may come in.
    """
    now = datetime.now(UTC)
    stated = {"time": now.isoformat(timespec="milliseconds"), "flag": flag, "note": "", "by": by}
    finder = _Finder(root, source)
    here = {_identity(mark) for mark in all_flags(root)}
    stored = functools.cache(functools.partial(load_stored, root))  # each call would look at the disk
    marks: list[Flag] = []
    said: dict[tuple[str, ...], str] = {}
    empty = 0
    for place, given in _read(origin, flag):
        if given is None:
            empty += 1
            continue
        try:
            record = {**stated, **given}
            mark = _checked(stored, {**record, "source": record.get("source") or finder.source_of(record)})
            if moment(mark["time"]) is None:
                raise UserError(f"'{mark['time'][:80]}' is no time. Write it like {stated['time']}.")
            if only_by not in (None, mark["by"]) and _identity(mark) not in here:
                raise UserError(f"{mark['by'][:80]!r} signed this; bring in only what you judged.")
            about = (mark["source"], mark["task_id"], mark["flag"], mark["by"])
            if "time" not in given and said.setdefault(about, mark["value"]) != mark["value"]:
                raise UserError(f"{mark['task_id']!r} is judged twice, and no time says what came later.")
        except UserError as problem:
            raise UserError(f"{place}: {problem} Nothing was imported.") from None
        marks.append(mark)
    if others is not None:
        marks += _about_others(stored, marks, {**stated, "value": others})
    return _append(root, marks, now, empty, finder.chosen, here)


def _about_others(stored: Stored, marks: Sequence[Flag], stated: Flag) -> list[Flag]:
    """A judgement of every task that no mark names, of the sources that the marks are about."""
    named = {(mark["source"], mark["task_id"]) for mark in marks}
    return [
        _checked(stored, {**stated, "source": source, "task_id": task_id})
        for source in sorted({source for source, _ in named})
        for task_id in stored(source)
        if (source, task_id) not in named
    ]


def _append(
    root: Path,
    marks: Sequence[Flag],
    now: datetime,
    empty: int,
    chosen: Mapping[str, int],
    known: Collection[tuple[str, ...]],
) -> ImportedFlags:
    fresh = list({_identity(mark): mark for mark in marks if _identity(mark) not in known}.values())
    kinds = {mark["flag"] for mark in fresh}
    before = _values(root, kinds)
    if fresh:
        append_records(flags_path(root), fresh)
    after = _values(root, kinds)
    late = now + _CLOCKS_DIFFER
    return ImportedFlags(
        len(marks),
        len(fresh),
        len(marks) - len(fresh),
        sum(after.get(key) != value for key, value in before.items()),
        sum((moment(mark["time"]) or now) > late for mark in fresh),
        sum(datetime.fromisoformat(mark["time"]).tzinfo is None for mark in fresh),
        empty,
        chosen,
    )


def _values(root: Path, flags: Iterable[str]) -> dict[tuple[str, str, str], str]:
    return {
        (mark["source"], mark["task_id"], flag): mark["value"]
        for flag in flags
        for mark in latest_flags(root, flag=flag)
    }


class _Finder:
    """Says which source a task belongs to that is named by its id alone."""

    def __init__(self, root: Path, source: str | None) -> None:
        self._tasks = {
            name: load_stored(root, name)
            for name in ([source] if source else [info.source for info in list_sources(root)])
        }
        self.chosen: dict[str, int] = {}

    def source_of(self, record: Flag) -> str:
        """The first source by name that has the task. Raises `UserError` with the nearest known id."""
        task_id = str(record["task_id"])
        found = [name for name, tasks in self._tasks.items() if task_id in tasks]
        if not found:
            known = [one for tasks in self._tasks.values() for one in tasks]
            raise unknown_task(
                task_id, known, " or ".join(self._tasks) if len(self._tasks) == 1 else "any source"
            )
        if len(found) > 1:
            self.chosen[found[0]] = self.chosen.get(found[0], 0) + 1
        return found[0]


def _read(origin: Path, flag: str) -> Iterator[tuple[str, Flag | None]]:
    text = decoded(read_unfolded(origin), str(origin))
    try:
        yield from records_of(text, str(origin), flag)
    except UserError as problem:
        raise UserError(f"{problem} Nothing was imported.") from None


def _identity(mark: Flag) -> tuple[str, ...]:
    return tuple(mark[name] for name in _FIELDS)
