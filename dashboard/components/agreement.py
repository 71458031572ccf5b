"""How far people agree on flags, once two have judged the same tasks."""

from pathlib import Path

import streamlit as st

from core.curation.agreement import Agreement, agreements
from core.curation.flags import flags_path
from core.plain_files import Stamp, file_stamp
from core.reports.text_tables import Table
from core.results.number_format import percent
from dashboard.components.small_table import show_small_table


@st.cache_data(max_entries=4, show_spinner=False)
def agreements_of(root: Path, stamp: Stamp) -> list[Agreement]:
    """The agreements of a project, counted anew when a flag is added."""
    return agreements(root)


def show_agreement(root: Path) -> None:
    """A table below the deck; nothing while no task was judged twice."""
    found = agreements_of(root, file_stamp(flags_path(root)))
    if not found:
        return
    rows = [
        [one.who, str(one.tasks), percent(one.agreeing, 0), _text(one.alpha), _interval(one)] for one in found
    ]
    with st.expander("How far people agree"):
        header = ["who", "tasks judged by both", "same, %", "Krippendorff's α", "95 % interval"]
        show_small_table(Table(header, rows, []))
        st.caption("α is 1 where all agree and 0 where they agree as often as chance would.")


def _text(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}".replace("-", "−")


def _interval(one: Agreement) -> str:
    return "unknown" if one.low is None else f"[{_text(one.low)}, {_text(one.high)}]"
