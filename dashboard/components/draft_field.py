"""A field of text that keeps what was typed while another page, set or experiment is looked at."""

import hashlib
from collections.abc import Callable
from typing import Any

import streamlit as st


def kept_text(field: Callable[..., str], label: str, saved: str = "", *, key: str, **how: Any) -> str:
    """The text in a field like `st.text_input`. Streamlit forgets a field that a run does not draw; what was
    typed here stands in it again, until `forget`. A field that nobody typed in follows `saved`."""
    digest = hashlib.sha256(saved.encode()).hexdigest()[:8] if saved else ""
    shown = " ".join(filter(None, (key, digest, st.session_state.get(_anew(key)))))

    def keep() -> None:
        st.session_state[_kept(key)] = saved, st.session_state[shown]

    _, text = st.session_state.get(_kept(key), ("", saved))
    return field(label, text, key=shown, on_change=keep, **how)


def is_outdated(key: str, saved: str) -> bool:
    """Whether what was typed in a field began with another text than is saved now."""
    return _kept(key) in st.session_state and st.session_state[_kept(key)][0] != saved


def forget(*keys: str) -> None:
    """Let these fields begin with what is saved: from the next run on they are others, also for the browser,
    which would keep the text of a field that stays."""
    for key in keys:
        st.session_state.pop(_kept(key), None)
        st.session_state[_anew(key)] = str(int(st.session_state.get(_anew(key), "1")) + 1)


def _kept(key: str) -> str:
    return f"typed in {key}"


def _anew(key: str) -> str:
    return f"which field is {key}"
