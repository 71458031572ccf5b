"""The curation deck: one task fills the screen, and keys are handled in the browser.

The browser fetches a source's tasks once, by URL, and keeps what a person decides until this side has
written it to the flags and said so (see `deck_actions`). The component is one JavaScript module, written as
the parts in `static/`; Streamlit takes a component's code as text, so the parts are joined here.
"""

import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.runtime import get_instance

from core.arc.grids import Grid
from core.arc.tasks import Pair, Task
from core.curation.agreement import to_judge_again
from core.curation.flags import (
    KIND,
    REVERSIBLE,
    Flag,
    all_flags,
    flags_path,
    is_disputed,
    latest_by_person,
)
from core.curation.sources import load_tasks, tasks_beginning
from core.curation.stored import source_stamp
from core.errors import UserError
from core.plain_files import Stamp, file_stamp
from core.reversibility.suggestions import Suggestion
from dashboard.components.deck_actions import Ledger, Receipt, person_note
from dashboard.components.rights import permitted, rights

KEY = "deck"

_STATIC = Path(__file__).parent / "static"
_PARTS = ("deck_grids.js", "deck_queue.js", "deck_outbox.js", "deck_view.js", "deck.js")
_SHOWN_POOL_PAIRS = 5
_SHOWN = "deck shown"
_IMPORTS = "deck imports"

_component = st.components.v2.component(
    "arc_deck",
    js="\n".join((_STATIC / part).read_text(encoding="utf-8") for part in _PARTS),
    css=(_STATIC / "deck.css").read_text(encoding="utf-8"),
)


Suggest = Callable[[Path, str], Mapping[str, Suggestion]]


@dataclass(frozen=True)
class Shown:
    """A source as a page shows it: one kind of flag and the flags that hold; of this person the judgements
    and notes, of the others the latest judgements, and the remarks where one holds; what people said of the
    tasks on which they differ, the tasks of this person's second pass, its tasks, and the suggestions for
    them, which are made once the browser has shown the tasks and asks for them."""

    source: str
    flag: str
    kinds: Sequence[str]
    flags: Mapping[str, str]
    mine: Mapping[str, str]
    others: Mapping[str, str]
    notes: Mapping[str, str]
    remarks: Mapping[str, str]
    disputed: Mapping[str, str]
    again: Sequence[str]
    document: bytes
    suggestions: bytes | None = None


def deck(
    root: Path,
    sources: Sequence[str],
    *,
    source: str | None = None,
    suggest: Suggest | None = None,
) -> None:
    """Write what the browser has sent, then show the deck; call it inside a fragment.

    `source` is shown at first; everything else of a deep link the browser reads from its address.
    `suggest(root, source)` gives suggestions by task id. It may take seconds for a source that was never
    judged, so the browser first paints the tasks and then asks.
    """
    message = _message()
    mine = rights()
    receipt = _receive(root, message.get("boxes"), mine.name)
    wished = (message.get("source"), source)
    chosen = str(next((name for name in wished if name in sources), sources[0]))
    flag = _kind(message.get("flag") or st.query_params.get("flag"))
    shown = _shown(root, chosen, flag, mine.name, keep=bool(message.get("boxes")))
    if suggest and shown.suggestions is None and message.get("suggest") == chosen:
        shown = replace(shown, suggestions=_suggestions(root, chosen, _stamps(root, sources), suggest))
        st.session_state[_SHOWN] = shown
    data = {
        "project": hashlib.sha256(f"{root} {mine.name}".encode()).hexdigest()[:12],
        "refusal": mine.refusal,
        "sources": list(sources),
        "source": chosen,
        "unknown": _unknown(source, sources, chosen),
        "tasks_url": _address(shown.document, "tasks"),
        "suggests": suggest is not None,
        "suggestions_url": None if shown.suggestions is None else _address(shown.suggestions, "suggestions"),
        "flag": shown.flag,
        "kinds": list(shown.kinds),
        "imports": st.session_state.get(_IMPORTS, 0),
        "flags": shown.flags,
        "mine": shown.mine,
        "others": shown.others,
        "notes": shown.notes,
        "remarks": shown.remarks,
        "disputed": shown.disputed,
        "again": list(shown.again),
        "found": _elsewhere(root, chosen, message.get("find")),
        "attempt": message.get("attempt"),
        "acknowledged": dict(receipt.acknowledged),
        "problem": receipt.problem,
    }
    # In a tuple: Streamlit looks for tables in a dict, and would load pandas before the first paint for it.
    _component(key=KEY, data=(data,), on_message_change=lambda: None)


def read_flags_anew() -> None:
    """Let the deck read the flags again: an import has changed them."""
    st.session_state.pop(_SHOWN, None)
    st.session_state[_IMPORTS] = st.session_state.get(_IMPORTS, 0) + 1


def _receive(root: Path, boxes: Any, by: str) -> Receipt:
    """Write what the browser sent, under a person's name; nothing from who may change nothing."""
    if not boxes:
        return Receipt({}, None)
    try:
        return permitted(_ledger(root).receive, boxes, by)
    except UserError as problem:
        return Receipt({}, str(problem))


def _unknown(wished: str | None, sources: Sequence[str], chosen: str) -> str | None:
    """What to say where the address names a source that does not exist."""
    if wished is None or wished in sources:
        return None
    return f"There is no source “{wished[:100]}” here, so {chosen} is shown. Choose another one above."


def _elsewhere(root: Path, source: str, text: Any) -> dict[str, str | None] | None:
    """Where a task is whose id begins with a text that was sought in vain in a source."""
    if not isinstance(text, str) or not text:
        return None
    found = next((one for one in tasks_beginning(root, text[:200]) if one[0] != source), (None, None))
    return {"text": text, "source": found[0], "task": found[1]}


def _address(document: bytes, what: str) -> str:
    """Where the browser fetches a document, for as long as this page is open."""
    return get_instance().media_file_mgr.add(document, "application/json", f"{KEY} {what}")


@st.cache_resource(show_spinner=False)
def _ledger(root: Path) -> Ledger:
    return Ledger(root)


def _message() -> dict[str, Any]:
    """What the browser sent last: `{attempt, source, boxes}`; nothing at first."""
    state = st.session_state.get(KEY)
    message = state.get("message") if isinstance(state, Mapping) else None
    return dict(message) if isinstance(message, Mapping) else {}


def _kind(name: Any) -> str:
    """The kind of flag that a browser asks for; the first where that is no name."""
    return name if isinstance(name, str) and KIND.fullmatch(name) else REVERSIBLE


def _shown(root: Path, source: str, flag: str, by: str, *, keep: bool) -> Shown:
    """What the page shows of a source; `keep` takes it from the last call.

    A page that is flagging knows its own flags, so nothing is read again for each key.
    """
    kept = st.session_state.get(_SHOWN)
    if keep and isinstance(kept, Shown) and (kept.source, kept.flag) == (source, flag):
        return kept
    judged = latest_by_person(root, source, flag)
    held = [marks[-1] for marks in judged]
    mine = [mark for marks in judged for mark in marks if mark["by"] == by]
    others = [mark for marks in judged for mark in marks if mark["by"] != by]  # the latest comes last
    kinds = [REVERSIBLE, *sorted({mark["flag"] for mark in all_flags(root)} - {REVERSIBLE})]
    shown = Shown(
        source,
        flag,
        [kind for kind in kinds if KIND.fullmatch(kind)],
        _values(held),
        _values(mine),
        _values(others),
        {mark["task_id"]: person_note(mark["note"]) for mark in mine},
        {mark["task_id"]: f"{mark['by']}: {note}" for mark in held if (note := person_note(mark["note"]))},
        {
            marks[0]["task_id"]: ", ".join(f"{mark['by']} {mark['value']}" for mark in marks)
            for marks in judged
            if is_disputed(marks)
        },
        to_judge_again(root, source, by, flag),
        _document(root, source, source_stamp(root, source)),
    )
    st.session_state[_SHOWN] = shown
    return shown


def _values(marks: Iterable[Flag]) -> dict[str, str]:
    return {mark["task_id"]: mark["value"] for mark in marks}


Stamps = tuple[Stamp | tuple[Stamp, Stamp], ...]


def _stamps(root: Path, sources: Sequence[str]) -> Stamps:
    """What suggestions depend on: the flags, and the tasks that these are about."""
    return (file_stamp(flags_path(root)), *(source_stamp(root, source) for source in sources))


@functools.lru_cache(maxsize=8)
def _suggestions(root: Path, source: str, _stamps: Stamps, suggest: Suggest) -> bytes:
    return suggestions_document(suggest(root, source))


@functools.lru_cache(maxsize=8)
def _document(root: Path, source: str, _stamps: tuple[Stamp, Stamp]) -> bytes:
    return tasks_document(load_tasks(root, source).values())


def suggestions_document(suggestions: Mapping[str, Suggestion]) -> bytes:
    """Suggestions as the browser reads them: JSON, by task id."""
    names = ("probability", "reasons", "rank")
    records = {task_id: {name: getattr(one, name) for name in names} for task_id, one in suggestions.items()}
    return json.dumps(records, separators=(",", ":"), ensure_ascii=False).encode()


def tasks_document(tasks: Iterable[Task]) -> bytes:
    """The tasks as the browser reads them: JSON, each grid a list of rows of digits, null where hidden."""
    return json.dumps({"tasks": [_record(task) for task in tasks]}, separators=(",", ":")).encode()


def _record(task: Task) -> dict[str, Any]:
    train = task.train[:_SHOWN_POOL_PAIRS] if task.is_pool else task.train
    record: dict[str, Any] = {
        "id": task.task_id,
        "train": [_pair(pair) for pair in train],
        "test": [_pair(pair) for pair in task.test],
    }
    if len(train) < len(task.train):
        record["more"] = len(task.train) - len(train)
    return record


def _pair(pair: Pair) -> list[list[str] | None]:
    return [_rows(pair.input), None if pair.output is None else _rows(pair.output)]


def _rows(grid: Grid) -> list[str]:
    digits = (grid + ord("0")).tobytes().decode("ascii")
    width = grid.shape[1]
    return [digits[start : start + width] for start in range(0, len(digits), width)]
