"""Flags as a file: those that hold taken along, and judgements from elsewhere sent through the page.

It is the same import as the verb's. Where people log in, a file brings only what its sender judged.
"""

from pathlib import Path

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core.curation.flags import REVERSIBLE, VALUES, held_flags, import_flags
from core.errors import UserError
from core.storage.upload_file import sent_file
from dashboard.components.deck import read_flags_anew
from dashboard.components.draft_field import kept_text
from dashboard.components.file_field import empty_field, file_field
from dashboard.components.rights import attempt, may_change, rights
from dashboard.components.wording import plain

FIELD = "flags file"
DONE = "flags imported"
ANY_SOURCE = "the first that has the id"
NOTHING = "nothing"
LAYOUTS = (
    "What the button above writes (JSON lines), JSON, or a table (CSV) with id and judgement in each row:"
    " yes, no or unsure. A list of ids alone means yes."
)
OWN_ALONE = "Of what others signed only what is here already may stand in it."


def flag_files(root: Path, sources: list[str]) -> None:
    """The button that writes the flags to a file, and the form for one that comes in."""
    with st.expander("Flags as a file", icon=":material/upload_file:", key="flag files"):
        if DONE in st.session_state:
            st.success(plain(st.session_state.pop(DONE)))
        st.download_button(
            "Take along the flags that hold", lambda: held_flags(root), "flags.jsonl", "application/jsonl",
            key="flags export", icon=":material/download:", on_click="ignore",
        )  # fmt: skip
        sent = file_field("judgements from elsewhere", ["jsonl", "json", "csv", "tsv", "txt"], FIELD)
        st.caption(f"{LAYOUTS} {OWN_ALONE}" if rights().login else LAYOUTS)
        _choose(root, sources, sent)


def _choose(root: Path, sources: list[str], sent: UploadedFile | None) -> None:
    """What holds where the file does not say it, and the import."""
    left, middle, right = st.columns(3)
    source = left.selectbox("source, where the file names none", [ANY_SOURCE, *sources], key="flags source")
    kind = kept_text(middle.text_input, "what is judged", REVERSIBLE, key="flags kind").strip()
    others = right.selectbox(
        "all other tasks of these sources", [NOTHING, *VALUES[:3]], key="flags others",
        help="A list of the reversible tasks says no of all others.",
    )  # fmt: skip
    mine = rights()

    def import_() -> None:
        if sent is None:
            raise UserError("Choose a file first.")
        with sent_file(sent.name, sent.getvalue()) as path:
            found = import_flags(
                root, path, by=mine.name, source=None if source == ANY_SOURCE else source, flag=kind,
                others=None if others == NOTHING else others, only_by=mine.name if mine.login else None,
            )  # fmt: skip
        st.session_state[DONE] = found.summary

    clicked = st.button("Import", type="primary", key="flags import", disabled=not may_change())
    if clicked and attempt(import_):
        empty_field(FIELD)
        read_flags_anew()
        st.rerun()
