"""Streamlit's own scripts, styles and fonts, served from memory.

A browser that opens a page for the first time asks for sixty of them at once. From disk each goes through
several threads, which wait for the one that loads libraries; from memory they take a third of the time until
Streamlit's page stands.
"""

import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit
from starlette.responses import Response
from streamlit.web.server.starlette.starlette_server_config import STATIC_ASSET_CACHE_MAX_AGE_SECONDS

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

FOLDER = Path(streamlit.__file__).parent / "static"
_KEPT = f"public, immutable, max-age={STATIC_ASSET_CACHE_MAX_AGE_SECONDS}"
_ASKED_OTHERWISE = {b"range", b"if-none-match", b"if-modified-since"}


class FromMemory:
    """Answers for the files of Streamlit's page, whose names change with their contents; everything else, and
    whoever asks in another way than a page does, goes on to Streamlit."""

    def __init__(self, app: "ASGIApp") -> None:
        self.app = app
        names = (path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("static/*/*"))
        self._answers: dict[str, Response | None] = dict.fromkeys(f"/{name}" for name in names)

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        answer = self._answer(scope) if scope["type"] == "http" else None
        await (answer or self.app)(scope, receive, send)

    def _answer(self, scope: "Scope") -> Response | None:
        path = scope["path"]
        asked_otherwise = not _ASKED_OTHERWISE.isdisjoint(name for name, _ in scope["headers"])
        if path not in self._answers or scope["method"] != "GET" or asked_otherwise:
            return None
        if self._answers[path] is None:
            kind = mimetypes.guess_type(path)[0]
            body = (FOLDER / path[1:]).read_bytes()
            self._answers[path] = Response(body, headers={"Cache-Control": _KEPT}, media_type=kind)
        return self._answers[path]
