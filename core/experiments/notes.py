"""The lab note of an experiment, `runs/<experiment>/notes.md`: what a person concludes from it.

The file is Markdown that anybody may edit elsewhere; tags and the pin stand above it as YAML between two
lines of dashes. Whatever a broken head holds is kept as text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.experiments.experiment import known_folder
from core.plain_files import read_text
from core.runs.layout import NOTES
from core.storage.files import write_text
from core.yaml_text import parse_yaml

MOST_TAGS, LONGEST_TAG, LONGEST_NOTE = 20, 40, 200_000
_FENCE = "---\n"


@dataclass(frozen=True)
class Notes:
    """Tags, whether the experiment is pinned, the note as Markdown, and what its references showed when
    it was written."""

    tags: tuple[str, ...] = ()
    pinned: bool = False
    text: str = ""
    numbers: Mapping[str, str] = field(default_factory=dict)


def read_notes(root: Path, experiment: str) -> Notes:
    """The note of an experiment; an empty one where there is none.

    Raises `UserError` for an unknown experiment or a file that is no text.
    """
    path = known_folder(root, experiment) / NOTES
    if not path.exists():
        return Notes()
    text = read_text(path)
    head, below = _split(text)
    numbers = head.get("numbers")
    shown = {str(name): str(value) for name, value in numbers.items()} if isinstance(numbers, dict) else {}
    return Notes(_tags(head.get("tags")), head.get("pinned") is True, below, shown)


def write_notes(root: Path, experiment: str, notes: Notes) -> Path:
    """Write the note whole; its file. Raises `UserError` where a tag or the note is too long, or
    tags are too many."""
    path = known_folder(root, experiment) / NOTES
    if len(notes.text) > LONGEST_NOTE:
        raise UserError(f"The note is longer than {LONGEST_NOTE:,} characters. Shorten it.")
    if len(notes.tags) > MOST_TAGS:
        raise UserError(f"These are {len(notes.tags)} tags. Keep at most {MOST_TAGS}.")
    for tag in notes.tags:
        if len(tag) > LONGEST_TAG or "\n" in tag or "," in tag:
            raise UserError(
                f"'{tag[:LONGEST_TAG]}' is no tag. Write up to {LONGEST_TAG} characters without a comma."
            )
    write_text(path, _head(notes) + notes.text)
    return path


def pin(root: Path, experiment: str, *, pinned: bool) -> None:
    """Pin an experiment to the top of lists, or let it go."""
    write_notes(root, experiment, replace(read_notes(root, experiment), pinned=pinned))


def _head(notes: Notes) -> str:
    lines = [f"tags: [{', '.join(map(_quoted, notes.tags))}]\n"] if notes.tags else []
    lines += ["pinned: true\n"] if notes.pinned else []
    numbers = [f"  {_quoted(name)}: {_quoted(value)}\n" for name, value in notes.numbers.items()]
    lines += ["numbers:\n", *numbers] if numbers else []
    needed = bool(lines) or notes.text.startswith(_FENCE)
    return f"{_FENCE}{''.join(lines)}{_FENCE}" if needed else ""


def _quoted(tag: str) -> str:
    return "'" + tag.replace("'", "''") + "'"


def _split(text: str) -> tuple[dict[str, Any], str]:
    """The head as plain data, and the text below it."""
    if not text.startswith(_FENCE):
        return {}, text
    head, fence, below = text[len(_FENCE) - 1 :].partition(f"\n{_FENCE}")
    if not fence:
        return {}, text
    try:
        value = parse_yaml(head, NOTES)
    except UserError:
        return {}, text
    return (value, below) if isinstance(value, dict) else ({}, below if value is None else text)


def _tags(value: Any) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value] if isinstance(value, str) else []
    return tuple(dict.fromkeys(str(one)[:LONGEST_TAG] for one in listed[:MOST_TAGS]))
