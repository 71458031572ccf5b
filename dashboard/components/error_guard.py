"""A person's errors on a page: one sentence in the place of what could not be shown, never a traceback."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import ParamSpec

import streamlit as st

from core.errors import UserError, disk_sentence
from dashboard.components.widget_state import confirm_address
from dashboard.components.wording import plain

P = ParamSpec("P")


@contextmanager
def sentences() -> Iterator[None]:
    """Show what a person can mend as its sentence; a defect of the project passes."""
    try:
        yield
    except UserError as problem:
        st.error(plain(problem))
    except OSError as error:
        sentence = disk_sentence(error)
        if sentence is None:
            raise
        st.error(plain(sentence))


def fragment(
    *, run_every: float | timedelta | None = None
) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Streamlit's fragment, which runs without the page around it, with errors shown as sentences."""

    def made(show: Callable[P, None]) -> Callable[P, None]:
        @functools.wraps(show)
        def shown(*arguments: P.args, **options: P.kwargs) -> None:
            with sentences():
                show(*arguments, **options)
            if run_every is None:  # of a look by itself, nobody waits for the address
                confirm_address()

        return st.fragment(shown, run_every=run_every)

    return made
