"""What the server lets in: who may frame its pages, upload files, and open how many of them.

Three layers around Streamlit's own application. `Framing` answers with headers that keep foreign pages from
framing ours and ours from loading foreign pictures. `Uploads` takes a file only for a page that waits for
one, and keeps one file a page. `Sessions` refuses pages beyond a number that fits into the memory.
"""

import threading
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from streamlit.runtime import get_instance

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
    from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager

HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'self'; img-src 'self' data: blob:; media-src 'self' data:;"
    " object-src 'none'; base-uri 'self'",
    "X-Frame-Options": "SAMEORIGIN",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
UPLOAD = "/_stcore/upload_file/"
LARGEST_UPLOAD = 64
"""Megabytes of a file that is sent; the largest known set has about 40."""
STORED_UPLOADS = 128 * 2**20
"""Bytes of all files that wait in memory for their page."""
FILES_OF_A_PAGE = 3
"""As many as a page has fields for files, and one that takes the place of another."""
MOST_SESSIONS = 60
"""Pages that are open at the same time."""
MOST_WAITING = 1_000

_lock = threading.Lock()
_waiting: dict[str, None] = {}


class Framing:
    """Puts `HEADERS` on every answer."""

    def __init__(self, app: "ASGIApp") -> None:
        self.app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer as the application does, with the headers."""

        async def send_with_headers(message: "Message") -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        await self.app(scope, receive, send_with_headers)


def wait_for_upload(session: str) -> None:
    """Let a page send a file from now on: it shows the field to a person who may use what is sent."""
    with _lock:
        _waiting.pop(session, None)
        _waiting[session] = None
        while len(_waiting) > MOST_WAITING:
            del _waiting[next(iter(_waiting))]


def may_upload(session: str) -> bool:
    """Whether a page waits for a file."""
    with _lock:
        return session in _waiting


class Uploads:
    """Refuses files that no page waits for, and those for which there is no room. A page keeps its last few,
    which give way to a new one that needs their room."""

    def __init__(self, app: "ASGIApp") -> None:
        self.app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer as the application does, or refuse the file."""
        refusal = None
        if scope["type"] == "http" and scope["method"] in ("PUT", "POST") and UPLOAD in scope["path"]:
            refusal = _refusal(scope["path"].partition(UPLOAD)[2].partition("/")[0])
        await (refusal or self.app)(scope, receive, send)


def _refusal(session: str) -> PlainTextResponse | None:
    if not may_upload(session):
        return PlainTextResponse("This page takes no file.", status_code=403)
    files = _files()
    own = list(files.file_storage.get(session, {}))
    while own and (len(own) >= FILES_OF_A_PAGE or not _has_room(files)):
        files.remove_file(session, own.pop(0))
    if not _has_room(files):
        return PlainTextResponse("Other files are imported now. Try again in a minute.", status_code=503)
    return None


def _has_room(files: "MemoryUploadedFileManager") -> bool:
    """Whether another file fits, however large."""
    stored = sum(len(one.data) for own in list(files.file_storage.values()) for one in list(own.values()))
    return stored + LARGEST_UPLOAD * 2**20 <= STORED_UPLOADS


def _files() -> "MemoryUploadedFileManager":
    """Where Streamlit keeps what was sent."""
    return get_instance().uploaded_file_mgr  # type: ignore[return-value]


class Sessions:
    """Refuses a page's connection where `MOST_SESSIONS` are open."""

    def __init__(self, app: "ASGIApp") -> None:
        self.app = app
        self.open = 0

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Connect the page, or refuse it."""
        if scope["type"] != "websocket":
            await self.app(scope, receive, send)
        elif self.open >= MOST_SESSIONS:
            await receive()
            await send({"type": "websocket.close", "code": 1013, "reason": "Too many pages are open."})
        else:
            self.open += 1
            try:
                await self.app(scope, receive, send)
            finally:
                self.open -= 1
