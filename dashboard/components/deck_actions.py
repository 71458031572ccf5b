"""Numbered actions of the curation deck become flags, each exactly once.

Every load of the page numbers its actions under a nonce, and the number goes into the flag's note
("deck NONCE:NUMBER"). An action that arrives twice is written once, even when this server was killed
between writing and answering: a nonce that is new to the process is looked up in the flags on disk.
"""

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from core.curation.agreement import SECOND_PASS
from core.curation.flags import KIND, REVERSIBLE, VALUES, add_flags, all_flags
from core.curation.sources import load_tasks
from core.errors import UserError, disk_sentence

ACTIONS = ("flag", "undo")
MOST_ACTIONS = 2_000

_NOTE = re.compile(rf"(?:{SECOND_PASS} )?deck ([0-9a-zA-Z]{{1,40}}):(\d+) ?")


class Action(NamedTuple):
    """One thing a person decided, as the browser sends it."""

    number: int
    action: str
    source: str
    task_id: str
    value: str
    flag: str = REVERSIBLE
    note: str = ""
    """What the person wrote beside it."""
    second: bool = False
    """Whether the earlier judgements were hidden."""


def person_note(note: str) -> str:
    """What a person wrote, out of the note of a flag."""
    return _NOTE.sub("", note, count=1)


@dataclass(frozen=True)
class Receipt:
    """The highest number on disk for each nonce, and what a person should know, if anything."""

    acknowledged: Mapping[str, int]
    problem: str | None


class Ledger:
    """What has been written for each nonce; one for each project and process."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._highest: dict[str, int] = {}

    def receive(self, boxes: Any, by: str) -> Receipt:
        """Write what `boxes` (`{nonce: [[number, action, source, task_id, value, flag, note, second],
        …]}`, the last three of which may be missing) holds of news.

        Boxes come from a browser and may be anything. An action that can never be written (its source is
        gone) is acknowledged and named; where the disk is full nothing is acknowledged.
        """
        acknowledged: dict[str, int] = {}
        problems: list[str] = []
        for nonce, actions in _checked(boxes).items():
            try:
                acknowledged[nonce] = self._write(nonce, actions, by, problems)
            except UserError as problem:
                problems.append(f"Not saved yet: {problem}")
            except OSError as error:
                problems.append(f"Not saved yet: {disk_sentence(error) or error}")
        return Receipt(acknowledged, problems[0] if problems else None)

    def _write(self, nonce: str, actions: list[Action], by: str, problems: list[str]) -> int:
        with self._lock:
            if nonce not in self._highest:
                self._highest[nonce] = self._on_disk(nonce)
            fresh = sorted(action for action in actions if action.number > self._highest[nonce])
            records = []
            for action in fresh:
                refusal = self._refusal(action)
                if refusal:
                    problems.append(refusal)
                    continue
                first = f"{SECOND_PASS} " if action.second else ""
                note = f"{first}deck {nonce}:{action.number} {action.note}".rstrip()
                flag = {"task_id": action.task_id, "source": action.source, "value": action.value}
                records.append({**flag, "flag": action.flag, "by": by, "note": note})
            add_flags(self._root, records)
            if fresh:
                self._highest[nonce] = fresh[-1].number
            return self._highest[nonce]

    def _refusal(self, action: Action) -> str | None:
        """Why this action can never become a flag, or None."""
        try:
            known = action.task_id in load_tasks(self._root, action.source)
        except UserError as problem:
            return f"A flag of an earlier page was dropped: {problem}"
        if not known:
            return f"A flag was dropped: {action.source} has no task '{action.task_id[:40]}'. Reload."
        return None

    def _on_disk(self, nonce: str) -> int:
        found = (_NOTE.match(mark["note"]) for mark in all_flags(self._root))
        return max((int(one[2]) for one in found if one and one[1] == nonce), default=0)


def _checked(boxes: Any) -> dict[str, list[Action]]:
    """The well-formed actions of each box, in bounded number; whatever else came is left out."""
    if not isinstance(boxes, Mapping):
        return {}
    checked = {}
    for nonce, actions in list(boxes.items())[:100]:
        if isinstance(nonce, str) and nonce.isalnum() and len(nonce) <= 40 and isinstance(actions, list):
            checked[nonce] = [Action(*action) for action in actions[:MOST_ACTIONS] if _is_action(action)]
    return checked


def _is_action(action: Any) -> bool:
    if not isinstance(action, list) or not 5 <= len(action) <= 8:
        return False
    number, *texts = action[:7]
    if type(number) is not int or number < 1 or any(type(second) is not bool for second in action[7:]):
        return False
    if not all(isinstance(text, str) and len(text) <= 500 for text in texts):
        return False
    flag = texts[4] if len(texts) > 4 else REVERSIBLE
    return texts[0] in ACTIONS and texts[3] in VALUES and KIND.fullmatch(flag) is not None
