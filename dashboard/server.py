"""The server that `python -m dashboard.serve` runs: `app.py`, with its libraries loaded once it answers.

The first seconds of a visit belong to the browser, which fetches and starts Streamlit's own page; meanwhile
a thread imports what the pages behind it will ask for. Before the server answers nothing is imported but
Streamlit, since threads of one process share its time. For the same reason the pages behind the deck wait
until it is painted.
"""

import contextlib
import gc
import importlib
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st
from starlette.middleware import Middleware
from streamlit import delta_generator

from dashboard.middleware import Framing, Sessions, Uploads
from dashboard.static_cache import FromMemory

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

DECK = (
    "dashboard.components.deck",
    "dashboard.components.grids",
    "PIL.PngImagePlugin",
    "pyarrow.compute",
    "core.importing.import_source",
    "core.reversibility.suggestions",
)
"""Modules of Curate, which opens first, and of what surrounds every page."""

NEEDED = (
    "core.results.loading",
    "core.results.verdicts",
    "core.reports.figures",
    "dashboard.components.experiment_page",
    "core.results.curves",
    "core.preflight.run_plan",
    "core.reports.html_report",
    "core.monitoring.overview",
)
"""Modules of the other pages, in the order in which Results, the dearest page, asks for them."""

LONGEST_PAINT = 5.0
"""Seconds after which the deck counts as painted, whatever its browser does."""

SWITCHING = 0.0005
"""Seconds after which an import lets the server's own thread go on, so that files are served meanwhile."""

THREADS = "OPENBLAS_NUM_THREADS"

_others_may_load = threading.Event()


def load_ahead() -> None:
    """Import what the pages will ask for; what cannot be imported is for the page that needs it to say.

    What is loaded then counts as lasting: Streamlit looks for garbage after each rerun, and
    would go through all objects of all libraries every time.
    """
    usual = sys.getswitchinterval()
    sys.setswitchinterval(SWITCHING)
    try:
        with single_threaded_products():
            for name in DECK:
                importlib.import_module(name)
            _others_may_load.wait(LONGEST_PAINT)
            for name in NEEDED:
                importlib.import_module(name)
    except ImportError:
        return
    finally:
        sys.setswitchinterval(usual)
        gc.freeze()
        gc.enable()


@contextlib.asynccontextmanager
async def ready(_: Any) -> AsyncIterator[None]:
    """Begin to load as the server begins to answer."""
    threading.Thread(target=load_ahead, daemon=True).start()
    yield


class Seen:
    """Lets the modules of the other pages load: at once where one of them is asked for, else when the deck
    has fetched its tasks."""

    def __init__(self, app: "ASGIApp") -> None:
        self.app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer a request, and note what was answered from memory."""
        await self.app(scope, receive, send)
        if scope["type"] == "http" and shows_others(scope["path"]):
            _others_may_load.set()


def shows_others(path: str) -> bool:
    """Whether an address that a browser asks for is another page than Curate, or comes with its paint."""
    folder, _, name = path.rpartition("/")
    is_page = "." not in name and not folder.endswith(("static", "_stcore")) and name not in ("", "curate")
    return is_page or (folder.endswith("/media") and name.endswith(".json"))


@contextlib.contextmanager
def single_threaded_products() -> Iterator[None]:
    """Let the libraries loaded meanwhile multiply matrices in the thread that asks.

    The products of the pages are small: threads that share one spend as long again waiting for each other.
    The setting is read when a library is loaded, and what the server starts later shall not inherit it.
    """
    if THREADS in os.environ:
        yield
        return
    os.environ[THREADS] = "1"
    try:
        yield
    finally:
        del os.environ[THREADS]


# With its first element Streamlit looks whether it runs in an interactive Python, for which it goes through
# the files of all modules: half a second of the first paint, and the answer is known here.
delta_generator._use_warning_has_been_displayed = True  # noqa: SLF001

MIDDLEWARE = [
    Middleware(Framing),
    Middleware(Uploads),
    Middleware(Sessions),
    Middleware(Seen),
    Middleware(FromMemory),
]
"""From the outside in: `Seen` wraps `FromMemory`, so that cached answers also release the page imports."""

app = st.App(Path(__file__).with_name("app.py"), lifespan=ready, middleware=MIDDLEWARE)
