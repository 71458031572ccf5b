"""Streamlit's own page, scripts, styles and fonts: served from memory, and named to the browser in time.

A browser that opens a page for the first time asks for sixty of them at once. From disk each goes through
several threads, which wait for the one that loads libraries. What shows a deck or a chart it would ask for
only once the page is made; that of charts alone takes a second to be fetched and started, which the browser
does while it waits for the server. And on any page but the first Streamlit would look for its server below
the page's own address before it looks beside it.
"""

import json
import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit
from starlette.responses import HTMLResponse, Response
from streamlit.web.server.starlette.starlette_server_config import STATIC_ASSET_CACHE_MAX_AGE_SECONDS

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

FOLDER = Path(streamlit.__file__).parent / "static"
SCREENS = Path(__file__).with_name("screens")
SHOWN_WITH = {"curate": ("Html", "BidiComponent"), "results": ("Html", "PlotlyChart")}
"""Parts of Streamlit's page with which ours begin, by address; in this order they are fetched and started."""

_KEPT = f"public, immutable, max-age={STATIC_ASSET_CACHE_MAX_AGE_SECONDS}"
_ASKED_OTHERWISE = {b"range", b"if-none-match", b"if-modified-since"}
# The server is where the page is, without the page's name: also behind a proxy that adds a path before it.
_SERVER = "<script>window.__streamlit = { BACKEND_BASE_URL: new URL('.', location.href).href }</script>"

# Once there is nothing else to do; not every browser tells when that is.
_STARTED_EARLY = (
    '<script type="module">(window.requestIdleCallback ?? setTimeout)(() => {names}.forEach('
    "name => import(new URL(name, window.__streamlit.BACKEND_BASE_URL))))</script>"
)


class FromMemory:
    """Answers for our pages and for the files of Streamlit's, whose names change with their content. All
    else, and whoever asks in another way than a browser for a page, goes on to Streamlit."""

    def __init__(self, app: "ASGIApp") -> None:
        self.app = app
        names = (path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("static/*/*"))
        self._answers: dict[str, Response | None] = dict.fromkeys(f"/{name}" for name in names)
        self._answers |= {f"/{path.stem}": self._page(path.stem) for path in SCREENS.glob("[!_]*.py")}

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer from memory what is known, and hand all else to the server."""
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

    def _page(self, name: str) -> Response:
        """Streamlit's page, which begins with knowing its server, and names the scripts that it will need."""
        html = (FOLDER / "index.html").read_text(encoding="utf-8").replace("<script", f"{_SERVER}<script", 1)
        parts = SHOWN_WITH.get(name, ())
        early = [path for part in parts for path in self._answers if path.startswith(f"/static/js/{part}.")]
        if early:
            names = json.dumps([f".{path}" for path in early])
            html = html.replace("</head>", f"{_STARTED_EARLY.replace('{names}', names)}</head>", 1)
        links = ", ".join(f"<.{path}>; rel=modulepreload" for path in early)
        return HTMLResponse(html, headers={"Cache-Control": "no-cache", **({"Link": links} if links else {})})
