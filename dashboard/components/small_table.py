"""A few lines of words and numbers as a plain table."""

import html
from collections.abc import Sequence

import streamlit as st

from core.reports.text_tables import Table

STYLE = """<style>
table.settings { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
table.settings th, table.settings td {
  text-align: left; padding: 0.3rem 1.4rem 0.3rem 0; border-bottom: 1px solid rgba(128, 128, 128, 0.2);
}
table.settings th { opacity: 0.72; font-size: 0.82rem; }
table.settings .number { text-align: right; white-space: pre; }
</style>"""


def show_small_table(table: Table) -> None:
    """Its words to the left, its numbers to the right."""
    kinds = ["" if place < table.names else ' class="number"' for place in range(len(table.header))]

    def line(words: Sequence[str], tag: str) -> str:
        cells = zip(kinds, words, strict=True)
        return f"<tr>{''.join(f'<{tag}{kind}>{html.escape(word)}</{tag}>' for kind, word in cells)}</tr>"

    body = line(table.header, "th") + "".join(line(row, "td") for row in table.rows)
    st.html(f'{STYLE}<div style="overflow-x: auto"><table class="settings">{body}</table></div>')
