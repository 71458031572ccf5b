"""Flags as a file: those that hold taken along, and judgements from elsewhere sent through the page.

It is the same import as the verb's. Where people log in, a file brings only what its sender judged.
"""

from pathlib import Path

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core.curation.flags import REVERSIBLE, VALUES, held_flags, import_flags
from core.storage.sent_file import sent_file
from dashboard.components.deck import read_flags_anew
from dashboard.components.rights import accept_upload, attempt, may_change, rights
from dashboard.components.wording import plain

DONE = "flags imported"
ANY_SOURCE = "the first that has the id"
NOTHING = "nothing"
LAYOUTS = (
    "What the button above writes (JSON lines), JSON, or a table (CSV) with id and judgement in each row:"
    " yes, no or unsure. A list of ids alone means yes."
)


def flag_files(root: Path, sources: list[str]) -> None:
    """The button that writes the flags to a file, and the form for one that comes in."""
    with st.expander("Flags as a file", icon=":material/upload_file:", key="flag files"):
        if DONE in st.session_state:
            st.success(plain(st.session_state.pop(DONE)))
        st.download_button(
            "Take along the flags that hold", lambda: held_flags(root), "flags.jsonl", "application/jsonl",
            key="flags export", icon=":material/download:", on_click="ignore",
        )  # fmt: skip
        accept_upload()
        sent = st.file_uploader(
            "judgements from elsewhere", ["jsonl", "json", "csv", "tsv", "txt"], key="flags file",
            disabled=not may_change(),
        )  # fmt: skip
        st.caption(LAYOUTS)
        _choose(root, sources, sent)


def _choose(root: Path, sources: list[str], sent: UploadedFile | None) -> None:
    """What holds where the file does not say it, and the import."""
    left, middle, right = st.columns(3)
    source = left.selectbox("source, where the file names none", [ANY_SOURCE, *sources], key="flags source")
    kind = middle.text_input("what is judged", REVERSIBLE, key="flags kind").strip()
    others = right.selectbox(
        "all other tasks of these sources", [NOTHING, *VALUES[:3]], key="flags others",
        help="A list of the reversible tasks says no of all others.",
    )  # fmt: skip
    lacking = [what for what, given in (("a file", sent), ("what is judged", kind)) if not given]
    ready = not lacking and may_change()
    clicked = st.button("Import", type="primary", key="flags import", disabled=not ready)
    if lacking:
        st.caption(f"Still lacking: {', '.join(lacking)}.")
    mine = rights()

    def import_() -> None:
        assert sent is not None, "the button rests without a file"
        with sent_file(sent.name, sent.getvalue()) as path:
            found = import_flags(
                root, path, by=mine.name, source=None if source == ANY_SOURCE else source, flag=kind,
                others=None if others == NOTHING else others, only_by=mine.name if mine.login else None,
            )  # fmt: skip
        st.session_state[DONE] = found.summary

    if clicked and attempt(import_):
        read_flags_anew()
        st.rerun()
