"""What the server lets in: no foreign frame, no file that no page waits for, no more pages than fit."""

import urllib.error
import urllib.request
from http.client import HTTPMessage
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from dashboard import middleware
from dashboard.static_cache import FOLDER
from tests.dashboard.browserless import XSRF, Page

SCRIPT = next(iter(sorted(FOLDER.glob("static/js/index.*.js")))).relative_to(FOLDER).as_posix()


def headers_of(address: str) -> HTTPMessage:
    try:
        with urllib.request.urlopen(address) as answer:
            return answer.headers
    except urllib.error.HTTPError as refused:
        return refused.headers


@pytest.mark.parametrize("path", ["", "runs", "results?x=1", SCRIPT, "_stcore/health", "media/no.png", "a/b"])
def test_no_answer_may_be_framed_by_another_page(address: str, path: str) -> None:
    headers = headers_of(f"{address}/{path}")
    assert headers["x-frame-options"] == "SAMEORIGIN"
    policy = headers["content-security-policy"].split("; ")
    assert "frame-ancestors 'self'" in policy
    assert "img-src 'self' data: blob:" in policy


def test_a_page_that_shows_no_field_takes_no_file(address: str) -> None:
    page = Page(address, "data")
    try:
        cookies = {XSRF: httpx.get(f"{address}/_stcore/health").cookies[XSRF]}
        files = {"file": ("a.zip", b"x" * 100)}
        for session in ("any", "0" * 36):
            url = f"{address}/_stcore/upload_file/{session}/1"
            answer = httpx.put(url, files=files, cookies=cookies, headers={"X-Xsrftoken": cookies[XSRF]})
            assert answer.status_code == 403
    finally:
        page.close()


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> MemoryUploadedFileManager:
    kept = MemoryUploadedFileManager("/upload")
    monkeypatch.setattr(middleware, "_files", lambda: kept)
    monkeypatch.setattr(middleware, "_waiting", {})
    return kept


@pytest.fixture
def client(files: MemoryUploadedFileManager) -> TestClient:
    async def take(request: Request) -> PlainTextResponse:
        session, file = request.path_params["session"], request.path_params["file"]
        files.add_file(session, UploadedFileRec(file, "a.zip", "", await request.body()))
        return PlainTextResponse("", status_code=204)

    async def listen(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive()

    routes = [
        Route("/_stcore/upload_file/{session}/{file}", take, methods=["PUT"]),
        WebSocketRoute("/_stcore/stream", listen),
    ]
    layers = [Middleware(middleware.Framing), Middleware(middleware.Uploads), Middleware(middleware.Sessions)]
    return TestClient(Starlette(routes=routes, middleware=layers))


def put(client: TestClient, session: str, file: str, data: bytes = b"abc") -> int:
    return int(client.put(f"/_stcore/upload_file/{session}/{file}", content=data).status_code)


def test_a_page_keeps_its_last_files(client: TestClient, files: MemoryUploadedFileManager) -> None:
    assert put(client, "one", "1") == 403
    middleware.wait_for_upload("one")
    assert [put(client, "one", str(number)) for number in range(5)] == [204] * 5
    assert put(client, "two", "1") == 403
    assert {name: [*own] for name, own in files.file_storage.items()} == {"one": ["2", "3", "4"]}


def test_the_files_of_a_page_give_way_to_its_new_one(
    client: TestClient, files: MemoryUploadedFileManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "LARGEST_UPLOAD", 1)
    monkeypatch.setattr(middleware, "STORED_UPLOADS", 2 * 2**20)
    middleware.wait_for_upload("one")
    assert [put(client, "one", str(number), b"x" * 2**20) for number in range(4)] == [204] * 4
    assert [*files.file_storage["one"]] == ["2", "3"]


def test_files_of_all_pages_fit_into_the_memory(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "LARGEST_UPLOAD", 1)
    monkeypatch.setattr(middleware, "STORED_UPLOADS", 2 * 2**20)
    for session in ("one", "two", "three"):
        middleware.wait_for_upload(session)
    found = [put(client, session, "1", b"x" * 2**20) for session in ("one", "two", "three")]
    assert found == [204, 204, 503]


def test_pages_that_wait_are_bounded(files: Any) -> None:
    for number in range(middleware.MOST_WAITING + 5):
        middleware.wait_for_upload(str(number))
    assert not middleware.may_upload("4") and middleware.may_upload("5")


def test_no_more_pages_than_fit(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "MOST_SESSIONS", 2)
    page = "/_stcore/stream"
    with (
        client.websocket_connect(page),
        client.websocket_connect(page),
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect(page),
    ):
        pass
    with client.websocket_connect(page):
        pass  # a page that was closed makes room
