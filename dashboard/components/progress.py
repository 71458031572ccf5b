"""How far work is that takes longer than a moment, and nothing for work that does not."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import streamlit as st

from dashboard.components.wording import plain

_SILENT_SECONDS = 0.4
_BETWEEN_SECONDS = 0.1


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int | None], None]]:
    """A function of (what, done, total) that shows a bar here, or the count alone where no total is known,
    once it lasts; gone at the end."""
    place = st.empty()
    last = time.monotonic() + _SILENT_SECONDS - _BETWEEN_SECONDS

    def progress(what: str, done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _BETWEEN_SECONDS:
            last = now
            if total:
                place.progress(min(1.0, done / total), text=f"{plain(what)}: {done:,} of {total:,}")
            else:
                place.caption(f"{plain(what)}: {done:,}")

    yield progress
    place.empty()
