"""A field for a file of the person's computer; empty again once its file is imported."""

from collections.abc import Sequence

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from dashboard.components.rights import accept_upload, may_change


def file_field(label: str, kinds: Sequence[str], key: str, words: str | None = None) -> UploadedFile | None:
    """The file that lies in the field; `words` help with it."""
    accept_upload()
    number = st.session_state.get(_imported(key), 0)
    with st.container(key=key):
        return st.file_uploader(label, kinds, key=f"{key} {number}", help=words, disabled=not may_change())


def empty_field(key: str) -> None:
    """Show an empty field from the next run on, so that no second click imports the same again."""
    st.session_state[_imported(key)] = st.session_state.get(_imported(key), 0) + 1


def _imported(key: str) -> str:
    return f"imported by {key}"
