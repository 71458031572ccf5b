"""Judgements in the files that people have: exported flags, tables, lists of ids.

In come JSON lines, JSON (records, a list of ids, ids with values) or a table with commas, semicolons or tabs;
out come records with at least `task_id` and `value`. A list names the tasks that are judged "yes".
"""

import csv
from collections.abc import Iterator, Mapping
from typing import Any

from core.errors import UserError
from core.storage.untrusted_json import is_by_line, lines_of, parse_json

Record = dict[str, Any]

_WORDS = {
    "yes": ("yes", "y", "true", "t", "1", "ja", "reversible", "+"),
    "no": ("no", "n", "false", "f", "0", "nein", "not reversible", "-"),
    "unsure": ("unsure", "?", "maybe", "unknown"),
    "none": ("none",),
}
_VALUES = {word: value for value, words in _WORDS.items() for word in words}
_IDS = ("task_id", "task", "id", "name")
_VALUE_NAMES = ("value", "label", "judgement")
_TEXTS = ("source", "by", "note", "time", "flag")


def records_of(text: str, where: str, flag: str) -> Iterator[tuple[str, Record | None]]:
    """The records of a file, each with the place where it stands. Raises `UserError` naming the place of what
    is none. Cells without a value are left out; rows of tables without an id or a value are None."""
    begin = text.lstrip()[:1]
    if begin == "[" or (begin == "{" and not is_by_line(text)):
        yield from _of_json(parse_json(text, where), where, flag)
    elif begin == "{":
        for number, line in lines_of(text):
            place = f"{where}, line {number}"
            yield place, _record(_object(line, place), place, flag)
    else:
        yield from _of_table(text, where, flag)


def _object(line: str, place: str) -> Mapping[str, Any]:
    try:
        value = parse_json(line, "this")
    except UserError:
        value = None
    if not isinstance(value, dict):
        raise UserError(f"{place}: this is no JSON object. Correct the line.")
    return value


def _of_json(value: Any, where: str, flag: str) -> Iterator[tuple[str, Record]]:
    if isinstance(value, dict) and any(key in value for key in _IDS):
        value = [value]
    if isinstance(value, dict):
        value = [{"task_id": task_id, "value": given} for task_id, given in value.items()]
    if not isinstance(value, list):
        raise UserError(f"{where} holds no list of ids or flags. Correct the file.")
    for number, one in enumerate(value, 1):
        place = f"{where}, entry {number}"
        if isinstance(one, str):
            yield place, {"task_id": one.strip(), "value": "yes"}
        elif isinstance(one, dict):
            yield place, _record(one, place, flag)
        else:
            raise UserError(f"{place} is neither an id nor a flag. Correct the file.")


def _of_table(text: str, where: str, flag: str) -> Iterator[tuple[str, Record | None]]:
    """The rows of a table. A single column is a list of ids; without a line of names, the second is the
    value."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    numbers = [number for number, _ in lines_of(text)]
    lines = [line for _, line in lines_of(text)]
    sign = max(",;\t", key=lines[0].count) if lines else ","
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=sign, strict=True)]
    except csv.Error as problem:
        raise UserError(f"{where} is no table ({problem}). Save it as CSV.") from None
    if len(rows) != len(lines):
        raise UserError(f"{where} has a cell over several lines. Write each row in one line.")
    header, rows, numbers = _header(rows, numbers, where, flag)
    if "value" not in header and "" in header:
        raise UserError(f"{where} does not say which column is the judgement. Call it '{flag}' or 'value'.")
    for number, row in zip(numbers, rows, strict=True):
        place = f"{where}, line {number}"
        if len(row) > len(header):
            raise UserError(f"{place} has {len(row)} cells instead of {len(header)}. Correct the line.")
        cells = {name: cell for name, cell in zip(header, row, strict=False) if cell}
        is_whole = "task_id" in cells and ("value" in cells or "value" not in header)
        yield place, _record({"value": "yes", **cells}, place, flag) if is_whole else None


def _header(
    rows: list[list[str]], numbers: list[int], where: str, flag: str
) -> tuple[list[str], list[list[str]], list[int]]:
    """The names of the columns, and the rows below them. Without a line of names they are id and value."""
    names = [cell.lower().replace(" ", "_") for cell in rows[0]] if rows else []
    if not any(name in _IDS for name in names):
        return ["task_id", "value"][: max(map(len, rows), default=1)], rows, numbers
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice:
        raise UserError(f"{where} has the column '{twice}' twice. Remove one of them.")
    known = {name: name for name in _TEXTS}
    for what, others in (("task_id", _IDS), ("value", (*_VALUE_NAMES, flag))):
        first = next((name for name in others if name in names), None)
        known |= {name: what if name == first else f"another {what}" for name in others}
    header = [known.get(name, "") for name in names]
    if "value" not in header and header.count("") == 1:
        header[header.index("")] = "value"  # the one other column says what is judged, whatever it is called
    return header, rows[1:], numbers[1:]


def _record(given: Mapping[str, Any], place: str, flag: str) -> Record:
    """A record with the names and values that are used here."""
    found: Record = {name: given[name] for name in _TEXTS if given.get(name) is not None}
    found["task_id"] = next(
        (str(given[name]) for name in _IDS if isinstance(given.get(name), str | int)), None
    )
    value = next((given[name] for name in (*_VALUE_NAMES, flag) if given.get(name) is not None), None)
    known = _VALUES.get(str(value).strip().lower()) if isinstance(value, str | bool | int) else None
    if found["task_id"] is None or value is None:
        raise UserError(f"{place}: a flag needs a short text 'task_id' and a 'value'. Correct it.")
    if known is None:
        raise UserError(
            f"{place}: {str(value)[:80]!r} is no value of a flag. Use one of: {', '.join(_WORDS)}."
        )
    return {**found, "value": known}
