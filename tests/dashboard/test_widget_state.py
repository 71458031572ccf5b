"""What a widget shows of something kept elsewhere, however its runs are cut short."""

import pytest
import streamlit as st

from dashboard.components import widget_state
from dashboard.components.widget_state import all_sent, is_entry, put_value


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """The memory of a session, without a session."""
    found: dict[str, object] = {}
    monkeypatch.setattr(widget_state.st, "session_state", found)
    assert st.session_state is found
    return found


def test_a_new_widget_is_left_to_its_default(state: dict[str, object]) -> None:
    put_value("text", "a draft")
    assert "text" not in state


def test_what_comes_back_of_a_run_that_was_cut_short_is_no_entry(state: dict[str, object]) -> None:
    state["text"] = "old"
    put_value("text", "new")  # this run is cut short: the browser still shows the old value, and sends it
    state["text"] = "old"
    assert not is_entry("text")
    put_value("text", "new")
    assert state["text"] == "new"
    state["text"] = "typed"
    assert is_entry("text")


def test_after_the_end_of_a_run_the_old_value_is_an_entry(state: dict[str, object]) -> None:
    state["text"] = "old"
    put_value("text", "new")
    all_sent()
    state["text"] = "old"
    assert is_entry("text")
    put_value("text", "old")
    assert state["text"] == "old"
