"""Flags: a person's judgements of tasks, one line each in `data/flags.jsonl`, which only ever grows.

The latest line about a task wins; the value "none" withdraws what was said before. Every line keeps its
time and author, so flags of several people can be exported, imported and compared.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.curation.stored import load_stored, unknown_task
from core.errors import UserError
from core.storage.files import append_records, read_records, write_text

VALUES = ("yes", "no", "unsure", "none")
REVERSIBLE = "reversible"

_FIELDS = ("time", "task_id", "source", "flag", "value", "by", "note")
_MAX_TEXT = 2_000

Flag = dict[str, Any]


def flags_path(root: Path) -> Path:
    """Where the flags lie."""
    return root / "data" / "flags.jsonl"


def add_flag(
    root: Path, task_id: str, source: str, value: str, by: str, note: str = "", flag: str = REVERSIBLE
) -> Flag:
    """Record one judgement and return its line. "none" withdraws the flag.

    Raises `UserError` for a value, source or task that does not exist, with the nearest known id.
    """
    record = {"task_id": task_id, "source": source, "flag": flag, "value": value, "by": by, "note": note}
    return add_flags(root, [record])[0]


def add_flags(root: Path, records: Sequence[Mapping[str, Any]]) -> list[Flag]:
    """Record several judgements in one write, all or none; a `time` that is missing is now."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    lines = [_checked(root, {"time": now, "flag": REVERSIBLE, "note": "", **record}) for record in records]
    if lines:
        append_records(flags_path(root), lines)
    return lines


def _checked(root: Path, record: Mapping[str, Any]) -> Flag:
    """The record with exactly the fields of a flag, or a `UserError`."""
    for name in _FIELDS:
        if not isinstance(record.get(name), str) or len(record[name]) > _MAX_TEXT:
            raise UserError(f"A flag needs a short text '{name}', but got {str(record.get(name))[:80]!r}.")
    if record["value"] not in VALUES:
        raise UserError(f"'{record['value']}' is no value of a flag. Use one of: {', '.join(VALUES)}.")
    tasks = load_stored(root, record["source"])
    if record["task_id"] not in tasks:
        raise unknown_task(record["task_id"], list(tasks), f"source '{record['source']}'")
    return {name: record[name] for name in _FIELDS}


def all_flags(root: Path) -> list[Flag]:
    """Every line ever written, oldest first; lines that are no flag are left out."""
    return [record for record in read_records(flags_path(root)) if _is_flag(record)]


def _is_flag(record: Flag) -> bool:
    return all(isinstance(record.get(name), str) for name in _FIELDS) and record["value"] in VALUES


def latest_flags(root: Path, source: str | None = None, flag: str = REVERSIBLE) -> list[Flag]:
    """What holds now: the latest line per source and task, without the withdrawn, by source and task."""
    latest = {
        (record["source"], record["task_id"]): record
        for record in all_flags(root)
        if record["flag"] == flag and source in (None, record["source"])
    }
    return [latest[key] for key in sorted(latest) if latest[key]["value"] != "none"]


def disagreements(root: Path, flag: str = REVERSIBLE) -> list[list[Flag]]:
    """Per task on which people differ, the latest flag of each person, by source and task."""
    latest: dict[tuple[str, str], dict[str, Flag]] = {}
    for record in all_flags(root):
        if record["flag"] == flag:
            latest.setdefault((record["source"], record["task_id"]), {})[record["by"]] = record
    said = [[mark for mark in latest[key].values() if mark["value"] != "none"] for key in sorted(latest)]
    return [marks for marks in said if len({mark["value"] for mark in marks}) > 1]


def export_flags(root: Path, target: Path) -> int:
    """Write the flags that hold now to `target` as JSON lines; returns how many."""
    marks = [
        mark
        for flag in sorted({mark["flag"] for mark in all_flags(root)})
        for mark in latest_flags(root, flag=flag)
    ]
    write_text(target, "".join(json.dumps(mark, ensure_ascii=False) + "\n" for mark in marks))
    return len(marks)


def import_flags(root: Path, origin: Path) -> tuple[int, int]:
    """Append the flags of an exported file that are not here yet, all or none; a flag that was
    withdrawn since comes back.

    Returns how many were new, and how many of these overrule a different flag that held until now.
    Raises `UserError` naming the line that is no flag.
    """
    known = _since_withdrawn(all_flags(root))
    fresh: list[Flag] = []
    for number, line in enumerate(_lines_of(origin), 1):
        try:
            mark = _checked(root, _object(line))
        except UserError as problem:
            raise UserError(f"{origin}, line {number}: {problem} Nothing was imported.") from None
        if _identity(mark) not in known:
            known.add(_identity(mark))
            fresh.append(mark)
    held = {(mark["source"], mark["task_id"], mark["flag"]): mark["value"] for mark in _held(root, fresh)}
    overruled = sum(held.get((m["source"], m["task_id"], m["flag"]), m["value"]) != m["value"] for m in fresh)
    if fresh:
        append_records(flags_path(root), fresh)
    return len(fresh), overruled


def _since_withdrawn(marks: Sequence[Flag]) -> set[tuple[str, ...]]:
    """The identities of all lines, except those about a task that were withdrawn later."""
    known: dict[tuple[str, str, str], set[tuple[str, ...]]] = {}
    for mark in marks:
        about = known.setdefault((mark["source"], mark["task_id"], mark["flag"]), set())
        if mark["value"] == "none":
            about.clear()
        about.add(_identity(mark))
    return set().union(*known.values())


def _lines_of(origin: Path) -> list[str]:
    try:
        text = origin.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{origin} does not exist. Check the name.") from None
    except UnicodeDecodeError:
        raise UserError(f"{origin} is no text. Choose a file that `flags export` wrote.") from None
    return [line for line in text.splitlines() if line.strip()]


def _object(line: str) -> Flag:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise UserError("this is no JSON object.")
    return value


def _held(root: Path, fresh: Sequence[Flag]) -> list[Flag]:
    return [mark for flag in {mark["flag"] for mark in fresh} for mark in latest_flags(root, flag=flag)]


def _identity(mark: Flag) -> tuple[str, ...]:
    return tuple(mark[name] for name in _FIELDS)
