"""The alarms of an experiment, as every page shows them: one line each, folded away where there are many."""

from pathlib import Path

import streamlit as st

from core.checks.alarms import alarm_sentences, check_records
from core.errors import UserError
from dashboard.components.wording import plain


def show_alarms(root: Path, experiment: str) -> None:
    """What `check` says of the experiment; nothing where it says nothing."""
    try:
        sentences = alarm_sentences(check_records(root, experiment))
    except UserError as problem:
        st.error(plain(problem))
        return
    if not sentences:
        return
    count = "1 alarm" if len(sentences) == 1 else f"{len(sentences)} alarms"
    with st.expander(f":orange-badge[:material/warning: {count}] {plain(sentences[0])}"):
        for sentence in sentences:
            st.markdown(f"- {plain(sentence)}")
