"""The warning on every page that shows runs which were trained on evaluated tasks or twins of them."""

from pathlib import Path

import streamlit as st

from core.results.leak_warnings import experiment_leaks


def leak_notice(root: Path, experiment: str) -> None:
    """Say that scores of this experiment are not comparable, where a launch was allowed to leak."""
    sentence = experiment_leaks(root, experiment)
    if sentence:
        st.warning(sentence, icon=":material/water_drop:")
