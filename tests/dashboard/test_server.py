"""The server: files of Streamlit's page from memory, and libraries loaded when nobody waits for the deck."""

import json
import subprocess
import sys
import threading
import tomllib
import urllib.error
import urllib.request
from http.client import HTTPMessage
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from dashboard import server
from dashboard.server import shows_others
from dashboard.static_cache import FOLDER

SERVER = Path(server.__file__)
SCRIPT = next(iter(sorted(FOLDER.glob("static/js/index.*.js"))))
FONT = next(iter(sorted(FOLDER.glob("static/media/*.woff2"))))


def fetched(address: str, path: str, **headers: str) -> tuple[int, HTTPMessage, bytes]:
    with urllib.request.urlopen(urllib.request.Request(address + path, headers=headers)) as answer:
        return answer.status, answer.headers, answer.read()


@pytest.mark.parametrize("file", [SCRIPT, FONT], ids=["script", "font"])
def test_files_are_as_streamlit_serves_them(address: str, file: Path) -> None:
    path = f"/{file.relative_to(FOLDER).as_posix()}"
    code, mine, body = fetched(address, path)
    # Streamlit itself answers whoever asks for a part.
    whole, theirs, part = fetched(address, path, Range=f"bytes=0-{file.stat().st_size - 1}")
    assert (code, whole) == (200, 206)
    assert body == part == file.read_bytes()
    assert "etag" in theirs and "etag" not in mine
    for name in ("content-type", "content-length", "cache-control"):
        assert mine[name] == theirs[name], name


@pytest.mark.parametrize("name", ["nothing.js", "../../index.html", "%2e%2e/%2e%2e/index.html"])
def test_what_is_no_file_of_the_page_is_streamlits_to_answer(address: str, name: str) -> None:
    try:
        body = fetched(address, f"/static/js/{name}")[2]
    except urllib.error.HTTPError as refused:
        assert refused.code in (400, 404)
    else:
        assert body == (FOLDER / "index.html").read_bytes()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", False),
        ("/curate", False),
        ("/curate/_stcore/health", False),
        ("/_stcore/host-config", False),
        ("/static/js/index.abc.js", False),
        ("/favicon.png", False),
        ("/media/0f.png", False),
        ("/media/0f.json", True),
        ("/results", True),
        ("/below/results", True),
        ("/below/media/0f.json", True),
    ],
)
def test_other_pages_load_on_request_or_after_the_deck(path: str, expected: bool) -> None:
    assert shows_others(path) is expected


@pytest.mark.parametrize(("path", "expected"), [("/curate", False), ("/results", True)])
def test_a_page_that_is_answered_from_memory_was_seen(
    path: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_load = threading.Event()
    monkeypatch.setattr(server, "_others_may_load", may_load)
    answer = TestClient(Starlette(middleware=server.MIDDLEWARE)).get(path)
    assert answer.status_code == 200 and "BACKEND_BASE_URL" in answer.text
    assert may_load.is_set() is expected


def test_streamlit_still_asks_once_whether_it_is_interactive() -> None:
    """The server answers that beforehand; under another name it would be asked again, and be slow."""
    code = "from streamlit import delta_generator as d; print(d._use_warning_has_been_displayed)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


@pytest.mark.parametrize(("page", "part"), [("curate", "BidiComponent"), ("results", "PlotlyChart")])
def test_scripts_that_a_page_begins_with_are_fetched_and_started_early(
    address: str, page: str, part: str
) -> None:
    _, headers, body = fetched(address, f"/{page}")
    links = headers["link"].split(",")
    named = [link.partition(">")[0].strip(" <.") for link in links]
    assert any(path.startswith(f"/static/js/{part}.") for path in named)
    assert all(fetched(address, path)[0] == 200 for path in named)
    started = body.decode().rpartition('<script type="module">')[2].partition("</script>")[0]
    assert json.dumps([f".{path}" for path in named]) in started
    assert fetched(address, "/how_to_read")[1]["link"] is None


def test_a_page_is_streamlits_that_knows_its_server(address: str) -> None:
    _, mine, body = fetched(address, "/sql")
    _, theirs, plain = fetched(address, "/")
    ours, after = body.decode().split("</script>", 1)
    before, script = ours.rsplit("<script>", 1)
    assert script.startswith("window.__streamlit = { BACKEND_BASE_URL:")
    assert before + after == plain.decode()
    for name in ("content-type", "cache-control"):
        assert mine[name] == theirs[name], name


def test_a_text_that_stands_in_the_code_of_a_page_is_not_shown() -> None:
    settings = tomllib.loads((SERVER.parents[1] / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert settings["runner"] == {"magicEnabled": False}
