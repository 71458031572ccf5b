"""Back in the browser undoes one choice (`static/back_button.js`), as Streamlit's calls only add entries."""

from pathlib import Path

import streamlit as st

_SCRIPT = (Path(__file__).parent / "static" / "back_button.js").read_text(encoding="utf-8")
STYLE = '<style>[data-testid="stLayoutWrapper"]:has(> .st-key-one-step) { display: none; }</style>'


def one_step_back() -> None:
    """Let one choice be one entry of the browser's history. The script takes no space on the page."""
    with st.container(key="one-step"):
        st.html(f"<script>{_SCRIPT}</script>", unsafe_allow_javascript=True)
