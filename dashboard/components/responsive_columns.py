"""Columns beside each other that stand below each other in a narrow window, where each would be cut."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

STYLE = """<style>
@media (max-width: 1000px) {
  [class*="st-key-beside-"] > [data-testid="stLayoutWrapper"] > [data-testid="stHorizontalBlock"] {
    flex-wrap: wrap;
  }
  [class*="st-key-beside-"] > [data-testid="stLayoutWrapper"] > [data-testid="stHorizontalBlock"]
    > [data-testid="stColumn"] { flex: 1 1 100%; width: 100%; min-width: 100%; }
}
</style>"""


def beside(key: str, widths: int | Sequence[float]) -> list[Any]:
    """The columns of `st.columns` with a large gap; `key` is unique on the page."""
    return list(st.container(key=f"beside-{key}").columns(widths, gap="large"))
