"""The notice on every page that shows runs which saw something of the evaluated tasks: a leak is a warning,
test-time training a fact in its own colour."""

from pathlib import Path

import streamlit as st

from core.checks.leak_warnings import experiment_leaks, facts
from dashboard.components.wording import plain


def leak_notice(root: Path, experiment: str, *, named: bool = False) -> None:
    """Say that scores of this experiment are not comparable, where a launch was allowed to leak, and which
    variants were trained at test time; with the experiment's name where a page may show several."""
    which = f"{experiment}: " if named else ""
    sentence = experiment_leaks(root, experiment)
    if sentence:
        st.warning(plain(which + sentence), icon=":material/water_drop:")
    for fact in facts(root, experiment):
        seen_notice(which + fact)


def seen_notice(sentence: str) -> None:
    """A fact about what trainings saw, in the colour of test-time training."""
    st.markdown(f":violet-background[:material/model_training: {plain(sentence)}]")
