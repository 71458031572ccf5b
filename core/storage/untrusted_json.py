"""JSON from people and from other tools, read without trusting it.

A byte order mark is no part of a text, and lines end at `\\n` alone: `str.splitlines` would also cut at signs
that may stand inside a note. A key that stands twice loses no value without a word. What is too long to be
a number, or has more lists than fit into memory, is refused before it becomes objects.
"""

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from core.errors import UserError
from core.plain_files import decoded

MOST_LISTS = 1_000_000
"""Lists and objects of one JSON value. Each takes about 150 bytes; all of ARC-1 as one file has 100,000."""
MOST_VALUES = 32_000_000
"""Values of one JSON value, by its commas: the cells of so many rows of 30. Each takes 8 to 32 bytes."""
MOST_TEXTS = 4_000_000
"""Texts of one JSON value, keys included. Each takes about 60 bytes."""


class Repeated(dict[str, Any]):
    """A JSON object in which keys stand more than once: it maps each to its first value, and `later` holds
    the others in their order."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        """The pairs as they stand in the text."""
        super().__init__()
        self.later: list[tuple[str, Any]] = []
        for key, value in pairs:
            if key in self:
                self.later.append((key, value))
            else:
                self[key] = value


def lines_of(text: str) -> Iterator[tuple[int, str]]:
    """The lines that hold something, each with its number from 1; only `\\n` ends a line."""
    begin, number = 0, 0
    while begin < len(text):  # not `split`, which would hold all of a large file twice
        end = text.find("\n", begin)
        end = len(text) if end < 0 else end
        number += 1
        if line := text[begin:end].strip():
            yield number, line
        begin = end + 1


def is_by_line(text: str) -> bool:
    """Whether a text has several lines of which the first is a JSON object of its own."""
    first = [line for _, line in islice(lines_of(text), 2)]
    if len(first) < 2 or not (first[0].startswith("{") and first[0].endswith("}")):
        return False
    try:
        return isinstance(parse_json(first[0], "", repeated=True), Mapping)
    except UserError:
        return False


def parse_json(data: bytes | str, where: str, *, repeated: bool = False, most_lists: int = MOST_LISTS) -> Any:
    """The value of a JSON text. Raises `UserError` naming `where` for what is no JSON or too much of it, and
    for a key that stands twice; with `repeated` such an object becomes a `Repeated`."""
    text = data if isinstance(data, str) else decoded(data, where)
    if not text.strip():
        raise UserError(f"{where} is empty. Copy or download it again, or remove it.")
    for what, count, most in (
        ("lists", text.count("[") + text.count("{"), most_lists),
        ("values", text.count(","), MOST_VALUES),
        ("texts", text.count('"') // 2, MOST_TEXTS),
    ):
        if count > most:
            raise UserError(
                f"{where} holds about {count:,} {what}, more than the {most:,} that one JSON text may have."
                " Split it: one file for each task, or one line for each (.jsonl)."
            )

    def made(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        twice = Repeated(pairs)
        if not repeated:
            raise ValueError(f"the key {twice.later[0][0][:80]!r} stands there twice")
        return twice

    try:
        return json.loads(text, object_pairs_hook=made)
    except (ValueError, RecursionError) as problem:
        raise UserError(
            f"{where} is no valid JSON ({_reason(problem)}). Correct, restore or delete it."
        ) from None


def _reason(problem: Exception) -> str:
    if isinstance(problem, RecursionError):
        return "it is nested too deeply"
    text = str(problem)
    return "a number has thousands of digits" if "integer string conversion" in text else text
