"""The server that `python -m dashboard.serve` runs: `app.py`, with its libraries loaded once it answers.

The first seconds of a visit belong to the browser, which fetches and starts Streamlit's own page; meanwhile
a thread imports what the pages behind it will ask for. Before the server answers nothing is imported but
Streamlit, since threads of one process share its time.
"""

import contextlib
import gc
import importlib
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import streamlit as st

NEEDED = (
    "dashboard.components.deck",
    "core.results.loading",
    "core.results.verdicts",
    "core.results.figures",
    "dashboard.components.evaluated",
    "core.results.curves",
    "core.results.planning",
    "core.experiments.lab_note",
    "core.experiments.overview",
)
"""Modules of the pages: first those of Curate, which opens first, then in the order in which Results, the
dearest page, asks for them."""

SWITCHING = 0.0005
"""Seconds after which an import lets the server's own thread go on, so that files are served meanwhile."""


THREADS = "OPENBLAS_NUM_THREADS"


def load_ahead() -> None:
    """Import what the pages will ask for; what cannot be imported is for the page that needs it to say.

    What is loaded then counts as lasting: Streamlit looks for garbage after each rerun, and
    would go through all objects of all libraries every time.
    """
    usual = sys.getswitchinterval()
    sys.setswitchinterval(SWITCHING)
    try:
        with single_threaded_products():
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


app = st.App(Path(__file__).with_name("app.py"), lifespan=ready)
