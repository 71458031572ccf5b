"""A running dashboard is timed over its websocket, and loads ahead what its pages need."""

import importlib.util
from pathlib import Path

import pytest

from core.bench.pages import PAGES, served, timed_pages
from core.errors import UserError
from core.synthetic.experiments import make_experiment
from dashboard.server import DECK, NEEDED


def test_what_is_loaded_ahead_exists() -> None:
    assert len(NEEDED) >= 5 and len(DECK) >= 2
    assert [name for name in (*DECK, *NEEDED) if importlib.util.find_spec(name) is None] == []


def test_a_page_is_requested_and_timed(tmp_path: Path) -> None:
    make_experiment(tmp_path, "few", {"a": 0, "b": 1}, runs=2, evaluations=1, tasks=4, attempts=2)
    with served(tmp_path) as (port, pid):
        first, again = timed_pages(port, pid, [PAGES["Results"].format("few")] * 2)
        assert first["bytes"] > 5_000 and again["bytes"] > 5_000
        assert 0 < again["processor_seconds"] < first["processor_seconds"]
        assert again["seconds"] > 0 and first["exceptions"] == []
        (elsewhere,) = timed_pages(port, pid, ["how_to_read"])
        assert elsewhere["bytes"] != again["bytes"]


def test_an_exception_on_a_page_is_no_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = '[{"address": "results", "exceptions": ["KeyError: a"]}]'
    monkeypatch.setattr("core.bench.pages._wait_for", lambda port: None)
    monkeypatch.setattr(
        "core.bench.pages.subprocess.run", lambda *_, **__: type("Said", (), {"stdout": said})()
    )
    with pytest.raises(UserError, match="The page results failed: KeyError: a"):
        timed_pages(1, 1, ["results"])
