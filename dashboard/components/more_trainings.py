"""A few more trainings of an experiment's variants: where its runs can't tell, more of them may."""

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from core.launching.more_trainings import add_trainings
from core.number_words import amount
from dashboard.components.rights import attempt, may_change, rights

USUAL, MOST = 3, 100


def more_trainings(root: Path, name: str, variants: Sequence[str], selected: Sequence[str] = ()) -> None:
    """The popover that adds trainings, of the variants of the `selected` runs or of all; it leads on to the
    runs."""
    key = f"more trainings of {name}"
    place = st.popover(
        "Add trainings", icon=":material/add:", disabled=not may_change(), on_change="rerun", key=key
    )
    if not place.open:
        return
    with place:
        chosen = st.multiselect(
            "of these variants",
            variants,
            [variant for variant in variants if variant in selected],
            key=f"{key} of {sorted(selected)}",
            placeholder="all variants",
        )
        count = int(st.number_input("more trainings of each", 1, MOST, USUAL, key=f"{key} count"))
        total = count * len(chosen or variants)
        runs = amount(total, "runs")
        st.caption(f"{runs} with seeds of their own, with the settings and on the tasks of those before.")
        pressed = st.button(f"Add {runs}", type="primary", key=f"{key} do")
        if pressed and attempt(add_trainings, root, name, count, by=rights().name, variants=chosen):
            st.switch_page("screens/runs.py", query_params={"experiment": name})
