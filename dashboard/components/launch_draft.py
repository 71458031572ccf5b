"""The draft of a spec that the Launch page edits: read, kept, changed and forgotten.

It lies on disk for whoever may change something, and in the session of everybody else.
"""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from core.errors import UserError
from core.plain_files import read_text
from core.specs.draft import Data, data_of, drop_draft, keep_draft, read_draft, text_with
from core.specs.spec import find_spec, list_specs, specs_folder
from dashboard.components.rights import attempt, may_change, permitted
from dashboard.components.wording import plain

_DRAFTS = "launch drafts"


def text_on_disk(root: Path, name: str) -> str | None:
    """The spec as data/experiments holds it; None where there is only a draft."""
    if name not in list_specs(root):
        return None
    return read_text(find_spec(root, str(specs_folder(root) / f"{name}.yaml")))


def draft(root: Path, name: str) -> str:
    """The text as a person left it, here or on another page, else as it lies on disk."""
    found = read_draft(root, name) if may_change() else st.session_state.setdefault(_DRAFTS, {}).get(name)
    return (text_on_disk(root, name) or "") if found is None else str(found)


def keep(root: Path, name: str, text: str) -> None:
    """Keep the draft, also for a page that is loaded anew; who may not change anything keeps it here."""
    if may_change():
        attempt(keep_draft, root, name, text)
    else:
        st.session_state.setdefault(_DRAFTS, {})[name] = text


def forget(root: Path, name: str) -> None:
    """Let the spec on disk hold again."""
    st.session_state.setdefault(_DRAFTS, {}).pop(name, None)
    if may_change():
        permitted(drop_draft, root, name)


def change(root: Path, name: str, edit: Callable[[Data], Data]) -> None:
    """Change the draft as it stands now, right or wrong."""
    text = draft(root, name)
    try:
        keep(root, name, text_with(text, edit(data_of(text))))
    except UserError as problem:
        st.toast(plain(problem), icon=":material/error:", duration="long")
