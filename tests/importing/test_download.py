"""Downloads from a local server that cuts connections, stalls, lies and refuses."""

import hashlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from core.errors import UserError
from core.importing import download as downloads
from core.importing.download import cached_path, download
from core.importing.import_source import import_set

BODY = bytes(range(256)) * 400


class Server(ThreadingHTTPServer):
    """Serves `body` at every path; `cuts` says after how many bytes the next answers break off."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = BODY
        self.etag = '"one"'
        self.cuts: list[int] = []
        self.ranges: list[str | None] = []

    def url(self, path: str = "/set.json") -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        server.ranges.append(self.headers.get("Range"))
        if self.path == "/absent":
            self.send_error(404)
        elif self.path == "/busy":
            self.send_error(503)
        elif self.path == "/silent":
            time.sleep(2)
        elif self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
        else:
            self._send_body(server)

    def _send_body(self, server: Server) -> None:
        start = 0
        asked = self.headers.get("Range")
        if asked and self.headers.get("If-Range") == server.etag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(server.body) - 1}/{len(server.body)}")
        else:
            self.send_response(200)
        rest = server.body[start:]
        self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(10**12 if self.path == "/huge" else len(rest)))
        self.end_headers()
        if self.path == "/drip":
            for _ in range(20):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.1)
        self.wfile.write(rest[: server.cuts.pop(0)] if server.cuts else rest)

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(downloads, "WAIT", 0.001)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_file_is_downloaded_once_with_progress(tmp_path: Path, server: Server) -> None:
    seen: list[tuple[str, int, int | None]] = []
    path = download(tmp_path, server.url(), progress=lambda *step: seen.append(step))
    assert path.read_bytes() == BODY
    assert seen[-1] == ("Downloading set.json", len(BODY), len(BODY))
    assert download(tmp_path, server.url()) == path
    assert len(server.ranges) == 1
    server.body = b"new"
    assert download(tmp_path, server.url(), fresh=True).read_bytes() == b"new"
    assert [file.name for file in path.parent.iterdir() if not file.name.endswith(".lock")] == [path.name]


def test_a_cut_connection_is_resumed_where_it_stopped(tmp_path: Path, server: Server) -> None:
    server.cuts = [40_000, 30_000]
    assert download(tmp_path, server.url()).read_bytes() == BODY
    assert server.ranges == [None, "bytes=40000-", "bytes=70000-"]


def test_a_file_that_changed_in_between_is_started_over(tmp_path: Path, server: Server) -> None:
    server.cuts = [4_000] * downloads.TRIES
    with pytest.raises(UserError, match=r"could not be downloaded .*cut after .* to go on where it stopped"):
        download(tmp_path, server.url("/a"))
    server.etag, server.body, server.cuts = '"two"', BODY[::-1], []
    assert download(tmp_path, server.url("/a")).read_bytes() == BODY[::-1]


def test_a_wrong_checksum_is_refused_and_forgotten(tmp_path: Path, server: Server) -> None:
    with pytest.raises(UserError, match=r"has the checksum .*, not 00. It was deleted"):
        download(tmp_path, server.url(), sha256="00")
    assert not cached_path(tmp_path, server.url()).exists()
    digest = hashlib.sha256(BODY).hexdigest()
    assert download(tmp_path, server.url(), sha256=digest.upper()).read_bytes() == BODY


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/absent", r"answers with 404 .* \(--from FILE"),
        ("/busy", r"could not be downloaded \(Service Unavailable\)"),
        ("/silent", r"could not be downloaded .*timed out"),
        ("/drip", r"could not be downloaded .*only \d+ bytes came"),
        ("/huge", r"has 1,000,000,000,000 bytes, more than"),
        ("/elsewhere", r"answers with 302"),
    ],
)
def test_what_a_server_refuses_is_a_sentence(
    tmp_path: Path, server: Server, path: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "TRIES", 2)
    with pytest.raises(UserError, match=sentence):
        download(tmp_path, server.url(path), timeout=0.3)
    assert not cached_path(tmp_path, server.url(path)).exists()


def test_nobody_answers(tmp_path: Path, server: Server) -> None:
    server.socket.close()
    with pytest.raises(UserError, match=r"could not be downloaded .*refused"):
        download(tmp_path, server.url())


def test_an_address_is_imported_like_a_file(tmp_path: Path, server: Server) -> None:
    server.body = b'{"a": {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3]]}]}}'
    (info,) = import_set(tmp_path, "mine", server.url())
    assert (info.tasks, info.origin) == (1, server.url())
    assert info.sha256 == hashlib.sha256(server.body).hexdigest()
