"""The lab note of an experiment on its page: read with today's numbers, written in place."""

from dataclasses import replace
from pathlib import Path

import streamlit as st

from core.experiments.notes import Notes, read_notes, write_notes
from core.number_words import amount
from core.results.loading import Scores
from core.results.note_references import Reference, filled, frozen_note, references
from dashboard.components.draft_field import forget, is_outdated, kept_text
from dashboard.components.rights import attempt, may_change
from dashboard.components.wording import plain

BEGIN = "## Conclusion\n\n\n## Next step\n\n"
HELP = (
    "Numbers are references: {vote_2 reversed} shows a metric of a variant,"
    " {reversed against baseline, vote_2} a difference with its verdict. They are red where the runs behind"
    " them changed, or the verdict is another than the sentence says."
)


def note_editor(root: Path, scores: Scores) -> None:
    """The note folded away under its first line, with its references and the editor."""
    name = scores.experiment.name
    notes = read_notes(root, name)
    found = references(notes.text, scores, notes.numbers)
    wrong = [one for one in found if one.problem]
    first = next((line for line in notes.text.splitlines() if line.strip() and line[0] != "#"), "")
    title = filled(first, found)[:120] or "none yet"
    marks = f" :red-badge[{amount(len(wrong), 'numbers')} to look at]" if wrong else ""
    with st.expander(f"**Lab note**: {plain(title)}{marks}", key=f"lab note {name}"):  # stays open when saved
        show(notes, found)
        if notes.text.strip():
            st.download_button(
                "Markdown",
                lambda: frozen_note(root, scores),
                f"{name} note.md",
                "text/markdown",
                key="frozen note",
                type="tertiary",
                icon=":material/download:",
                help="The note with its numbers as they are today.",
                on_click="ignore",
            )
        if not may_change():
            return
        saved = notes.text or BEGIN
        typed = kept_text(st.text_area, "note", saved, key=f"note {name}", height=220, help=HELP)
        words = kept_text(
            st.text_input, "tags", ", ".join(notes.tags), key=f"tags {name}", help="Separated by commas."
        )
        tags = tuple(dict.fromkeys(filter(None, (tag.strip() for tag in words.split(",")))))
        if is_outdated(f"note {name}", saved):
            st.warning("The note was changed meanwhile. Saving replaces it with what stands here.")
        if st.button("Save the note", key="save note"):
            save(root, scores, replace(notes, tags=tags, text=typed))
        if (typed, tags) != (saved, notes.tags):
            st.caption("Not saved yet.")


def show(notes: Notes, found: list[Reference]) -> None:
    """The note with the numbers of today, and what is wrong with them."""
    if notes.text:
        st.code(filled(notes.text, found), language="markdown", wrap_lines=True)
    for one in found:
        if one.problem:
            st.markdown(f":red[**{plain(one.name)}**: {plain(one.shown or 'nothing')}. {plain(one.problem)}]")


def save(root: Path, scores: Scores, notes: Notes) -> None:
    """Write the note with what its references show now."""
    name = scores.experiment.name
    shown = {one.name: one.shown for one in references(notes.text, scores, {}) if one.shown is not None}
    if attempt(write_notes, root, name, replace(notes, numbers=shown)):
        forget(f"note {name}", f"tags {name}")
        st.rerun()
