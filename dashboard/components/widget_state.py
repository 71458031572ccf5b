"""Widgets that show what is kept elsewhere: a draft, the address, an experiment chosen on another page.

Streamlit sends a value that was set from outside once. Where a rerun begins before that message leaves, the
browser never hears it: a new widget shows its default and an old one its old value, and either is sent back
as if a person had entered it. So the value is the widget's default in every run, a value set from outside is
sent until a run has come to its end, and until then the old value coming back is no entry.
"""

from typing import Any

import streamlit as st

_ON_THE_WAY = "values on the way to widgets"


def put_value(key: str, value: Any) -> None:
    """Let the widget `key`, which has `value` as its default too, show it; the widget is made after this."""
    if key not in st.session_state:
        return
    on_the_way: dict[str, Any] = st.session_state.setdefault(_ON_THE_WAY, {})
    if st.session_state[key] != value:
        on_the_way[key] = st.session_state[key]
    if key in on_the_way:
        st.session_state[key] = value


def is_entry(key: str) -> bool:
    """Whether a person changed the widget that tells of a change: not if its old value came back."""
    on_the_way = st.session_state.get(_ON_THE_WAY, {})
    return key not in on_the_way or st.session_state[key] != on_the_way[key]


def all_sent() -> None:
    """Say that a run has come to its end: what it set has left for the browser."""
    st.session_state.pop(_ON_THE_WAY, None)
    confirm_address()


def confirm_address() -> None:
    """Send the address as this run knows it, which began with all that the browser had in it.

    A bound widget writes its choice into the address at once; what an earlier run had written, and the
    browser gets only now, takes its place there.
    """
    st.query_params.update()
