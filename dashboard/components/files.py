"""A table as files: Markdown, LaTeX, CSV, and the command that gives the same, in one row of small buttons.

The table is made when a button is clicked, not before.
"""

from collections.abc import Callable

import streamlit as st

from core.reports.text_tables import Table

MOST_COPIED = 20_000
"""Letters of a table that a page holds ready to be copied; a file has all of them."""


def file_row(
    make: Callable[[], Table], line: str, name: str, key: str, note: Callable[[], str] | None = None
) -> None:
    """Buttons for the files of the table that `make` makes, named `name`; with `note` also for the whole
    experiment as one file. `line` is the command that prints the table."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        _button("Markdown", lambda: make().markdown, f"{name}.md", "text/markdown", key)
        _button("LaTeX", lambda: make().latex, f"{name}.tex", "application/x-tex", key)
        _button("CSV", lambda: make().csv, f"{name}.csv", "text/csv", key)
        if note is not None:
            words = "The whole experiment as one file that opens anywhere: tables, charts, settings."
            _button("HTML", note, f"{name}.html", "text/html", key, words)
        words = "The table as text, each with a button that copies it."
        copy = st.popover("Copy", type="tertiary", help=words, on_change="rerun", key=f"{key} copy")
        if copy.open:
            table = make()
            with copy:
                for label, text, language in (
                    ("Markdown", table.markdown, "markdown"),
                    ("LaTeX", table.latex, "latex"),
                    ("CSV", table.csv, "text"),
                ):
                    st.caption(label)
                    show_text(text, language)
        with st.popover("Command", type="tertiary", help="The command that prints the same table."):
            st.code(line, language="bash")


def show_text(text: str, language: str) -> None:
    """A text with a button that copies it: all of it, or whole lines and a sentence that says so."""
    whole = len(text) <= MOST_COPIED
    shown = text if whole else text[: text.rfind("\n", 0, MOST_COPIED) + 1] or text[:MOST_COPIED]
    st.code(shown, language=language, height=160)
    if not whole:
        lines, of = shown.count("\n"), len(text.splitlines())
        st.caption(f"The first {lines:,} of {of:,} lines are here; the file has all.")


def _button(
    label: str, text: Callable[[], str], file: str, kind: str, key: str, words: str | None = None
) -> None:
    words = words or f"The table as {label}{', unrounded' if label == 'CSV' else ''}."
    st.download_button(
        label,
        text,
        file,
        kind,
        key=f"{key} {label}",
        type="tertiary",
        icon=":material/download:",
        help=words,
        on_click="ignore",
    )
