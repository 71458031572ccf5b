"""The curation deck: one task fills the screen, and keys are handled in the browser.

The browser fetches a source's tasks once, by URL, and keeps what a person decides until this side has
written it to the flags and said so (see `ledger`). The component is one JavaScript module, written as
the parts in `static/`; Streamlit takes a component's code as text, so the parts are joined here.
"""

import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.runtime import get_instance

from core.arc.grids import Grid
from core.arc.tasks import Pair, Task
from core.curation.flags import disagreements, latest_flags
from core.curation.sources import load_tasks
from core.curation.stored import file_stamp, parquet_path
from dashboard.components.ledger import Ledger

KEY = "deck"

_STATIC = Path(__file__).parent / "static"
_PARTS = ("deck_grids.js", "deck_outbox.js", "deck_view.js", "deck.js")
_SHOWN_POOL_PAIRS = 5
_SHOWN = "deck shown"

_component = st.components.v2.component(
    "arc_deck",
    js="\n".join((_STATIC / part).read_text(encoding="utf-8") for part in _PARTS),
    css=(_STATIC / "deck.css").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class Suggestion:
    """How likely a task is reversible (0 to 1) and why; tasks of low `rank` deserve a person's time first."""

    probability: float
    reasons: str
    rank: int


Suggest = Callable[[Path, str], Mapping[str, Suggestion]]


@dataclass(frozen=True)
class Shown:
    """A source as a page shows it: the flags that hold, tasks on which people differ, and its tasks."""

    source: str
    flags: Mapping[str, str]
    disputed: Sequence[str]
    document: bytes


def deck(
    root: Path,
    sources: Sequence[str],
    *,
    by: str,
    source: str | None = None,
    suggest: Suggest | None = None,
) -> None:
    """Write what the browser has sent, then show the deck; call it inside a fragment.

    `source` is shown at first; everything else of a deep link the browser reads from its address.
    `suggest(root, source)` gives suggestions by task id.
    """
    message = _message()
    receipt = _ledger(root).receive(message.get("boxes"), by)
    wished = (message.get("source"), source)
    chosen = str(next((name for name in wished if name in sources), sources[0]))
    shown = _shown(root, chosen, suggest, keep=bool(message.get("boxes")))
    data = {
        "project": hashlib.sha256(str(root).encode()).hexdigest()[:12],
        "sources": list(sources),
        "source": chosen,
        "tasks_url": get_instance().media_file_mgr.add(shown.document, "application/json", KEY),
        "flags": shown.flags,
        "disputed": shown.disputed,
        "attempt": message.get("attempt"),
        "acknowledged": dict(receipt.acknowledged),
        "problem": receipt.problem,
    }
    _component(key=KEY, data=data, on_message_change=lambda: None)


@st.cache_resource(show_spinner=False)
def _ledger(root: Path) -> Ledger:
    return Ledger(root)


def _message() -> dict[str, Any]:
    """What the browser sent last: `{attempt, source, boxes}`; nothing at first."""
    state = st.session_state.get(KEY)
    message = state.get("message") if isinstance(state, Mapping) else None
    return dict(message) if isinstance(message, Mapping) else {}


def _shown(root: Path, source: str, suggest: Suggest | None, *, keep: bool) -> Shown:
    """What the page shows of a source; `keep` takes it from the last call.

    A page that is flagging knows its own flags, so nothing is read again for each key.
    """
    kept = st.session_state.get(_SHOWN)
    if keep and isinstance(kept, Shown) and kept.source == source:
        return kept
    suggestions = suggest(root, source) if suggest else {}
    stamp = file_stamp(parquet_path(root, source))
    st.session_state[_SHOWN] = Shown(
        source,
        {mark["task_id"]: mark["value"] for mark in latest_flags(root, source)},
        [marks[0]["task_id"] for marks in disagreements(root) if marks[0]["source"] == source],
        _document(root, source, stamp, tuple(sorted(suggestions.items(), key=lambda item: item[0]))),
    )
    return st.session_state[_SHOWN]


@functools.lru_cache(maxsize=8)
def _document(
    root: Path, source: str, _stamp: tuple[int, int], suggestions: tuple[tuple[str, Suggestion], ...]
) -> bytes:
    return tasks_document(load_tasks(root, source).values(), dict(suggestions))


def tasks_document(tasks: Iterable[Task], suggestions: Mapping[str, Suggestion]) -> bytes:
    """The tasks as the browser reads them: JSON, each grid a list of rows of digits, null where hidden."""
    records = [_record(task, suggestions.get(task.task_id)) for task in tasks]
    return json.dumps({"tasks": records}, separators=(",", ":")).encode()


def _record(task: Task, suggestion: Suggestion | None) -> dict[str, Any]:
    train = task.train[:_SHOWN_POOL_PAIRS] if task.is_pool else task.train
    record: dict[str, Any] = {
        "id": task.task_id,
        "train": [_pair(pair) for pair in train],
        "test": [_pair(pair) for pair in task.test],
    }
    if len(train) < len(task.train):
        record["more"] = len(task.train) - len(train)
    if suggestion is not None:
        record["suggestion"] = asdict(suggestion)
    return record


def _pair(pair: Pair) -> list[list[str] | None]:
    return [_rows(pair.input), None if pair.output is None else _rows(pair.output)]


def _rows(grid: Grid) -> list[str]:
    digits = (grid + ord("0")).tobytes().decode("ascii")
    width = grid.shape[1]
    return [digits[start : start + width] for start in range(0, len(digits), width)]
