"""A page without the app around it."""

from pathlib import Path

import pytest
import streamlit
from streamlit.testing.v1 import AppTest

SCREENS = Path(__file__).resolve().parents[2] / "dashboard" / "screens"


def page_alone(root: Path, page: str, monkeypatch: pytest.MonkeyPatch, **query: str) -> AppTest:
    """A page of the project, opened with a query of its address, run once without an exception."""
    monkeypatch.setenv("ARC_WORKBENCH_ROOT", str(root))
    monkeypatch.setattr(streamlit, "page_link", lambda *_, **__: None)  # there is none to link to
    shown = AppTest.from_file(str(SCREENS / f"{page}.py"))
    for name, value in query.items():
        shown.query_params[name] = value
    shown.run(timeout=120)
    assert not shown.exception
    return shown
