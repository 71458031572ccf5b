"""A few more trainings of every variant of an experiment: where its runs can't tell, more of them may."""

from pathlib import Path

import streamlit as st

from core.launching.more_trainings import add_trainings
from dashboard.components.rights import attempt, may_change, rights

USUAL, MOST = 3, 100


def more_trainings(root: Path, name: str, variants: int) -> None:
    """The popover that adds trainings; it leads on to the runs."""
    key = f"more trainings of {name}"
    place = st.popover(
        "Add trainings", icon=":material/add:", disabled=not may_change(), on_change="rerun", key=key
    )
    if not place.open:
        return
    with place:
        count = int(st.number_input("more trainings of each variant", 1, MOST, USUAL, key=f"{key} count"))
        runs = "1 run" if count * variants == 1 else f"{count * variants} runs"
        st.caption(f"{runs} with seeds of their own, with the settings and on the tasks of those before.")
        pressed = st.button(f"Add {runs}", type="primary", key=f"{key} do")
        if pressed and attempt(add_trainings, root, name, count, by=rights().name):
            st.switch_page("screens/runs.py", query_params={"experiment": name})
