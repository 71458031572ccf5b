"""Streamlit's own scripts, styles and fonts: served from memory, and named to the browser in time.

A browser that opens a page for the first time asks for sixty of them at once. From disk each goes through
several threads, which wait for the one that loads libraries. What shows a deck or a chart it would ask for
only once the page is made; that of charts alone takes a second to be fetched and read.
"""

import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit
from starlette.responses import Response
from streamlit.web.server.starlette.starlette_server_config import STATIC_ASSET_CACHE_MAX_AGE_SECONDS

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

FOLDER = Path(streamlit.__file__).parent / "static"
_KEPT = f"public, immutable, max-age={STATIC_ASSET_CACHE_MAX_AGE_SECONDS}"
SHOWN_WITH = {
    "": ("Html", "BidiComponent"),
    "curate": ("Html", "BidiComponent"),
    "results": ("Html", "PlotlyChart"),
}
"""Parts of Streamlit's page with which ours begin, by address; in this order they are fetched early."""

_ASKED_OTHERWISE = {b"range", b"if-none-match", b"if-modified-since"}


class FromMemory:
    """Answers for the files of Streamlit's page, whose names change with their contents; everything else, and
    whoever asks in another way than a page does, goes on to Streamlit."""

    def __init__(self, app: "ASGIApp") -> None:
        self.app = app
        names = (path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("static/*/*"))
        self._answers: dict[str, Response | None] = dict.fromkeys(f"/{name}" for name in names)
        self._early = {page: self._links(parts) for page, parts in SHOWN_WITH.items()}

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        early = self._early.get(scope["path"][1:])

        async def send_with_links(message: "Message") -> None:
            if early and message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"link", early)]
            await send(message)

        return await (self._answer(scope) or self.app)(scope, receive, send_with_links)

    def _links(self, parts: tuple[str, ...]) -> bytes:
        """The header that names scripts early; none where this Streamlit has no such part."""
        found = [path for part in parts for path in self._answers if path.startswith(f"/static/js/{part}.")]
        return ", ".join(f"<{path}>; rel=modulepreload" for path in found).encode()

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
