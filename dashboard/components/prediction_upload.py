"""Predictions from elsewhere, sent through the page, become an evaluation with scores, as by the verb."""

from pathlib import Path

import streamlit as st

from core.curation.sources import list_sources
from core.errors import UserError
from core.exchange.import_predictions import import_predictions
from core.exchange.submissions import MOST_BYTES, tasks_with_tests
from core.number_words import amount
from core.storage.upload_file import sent_file
from dashboard.components.draft_field import forget, kept_text
from dashboard.components.experiment_choice import go_to
from dashboard.components.file_field import empty_field, file_field
from dashboard.components.rights import attempt, may_change
from dashboard.components.wording import plain

FIELD, EXPERIMENT, VARIANT = "predictions file", "predictions experiment", "predictions variant"
DONE = "predictions imported"
LARGEST = 2**31  # a browser counts exactly to 2^53; the verb takes any seed
LAYOUT = (
    "JSON as Kaggle's submission.json has it, with as many attempts as you like:"
    " {task id: [{attempt_1: grid, attempt_2: grid, …}, …]}, one object for each test input; or a zip with a"
    " file for each task. What the file does not answer counts as wrong."
)


def prediction_upload(root: Path) -> None:
    """The form: file, whose tasks it answers, and where its scores are to stand."""
    if DONE in st.session_state:
        st.success(plain(st.session_state.pop(DONE)))
    sent = file_field("predictions", ["json", "zip"], FIELD)
    st.caption(LAYOUT)
    sources = [info.source for info in list_sources(root) if info.tasks]
    sources.sort(key=lambda name: not name.endswith("evaluation"))
    left, middle, right = st.columns(3)
    source = left.selectbox("whose tasks it answers", sources, key="predictions source")
    experiment = kept_text(
        middle.text_input, "experiment", key=EXPERIMENT, placeholder="my-results",
        help="A new name, an experiment of imported predictions, or a launched one that lacks this variant.",
    ).strip()  # fmt: skip
    variant = kept_text(right.text_input, "variant", key=VARIANT, placeholder="theirs").strip()
    training = int(left.number_input("training seed", 0, LARGEST, 0, key="predictions train seed"))
    evaluation = int(middle.number_input("evaluation seed", 0, LARGEST, 0, key="predictions eval seed"))
    needed = {"a file": sent, "a source": source, "an experiment": experiment, "a variant": variant}
    lacking = [what for what, given in needed.items() if not given]

    def import_() -> None:
        if sent is None or lacking:
            raise UserError(f"Still lacking: {', '.join(lacking)}.")
        with sent_file(sent.name, sent.getvalue(), most_bytes=MOST_BYTES) as path:
            read = import_predictions(root, path, str(source), experiment, variant, training, evaluation)
        asked = len(tasks_with_tests(root, str(source)))
        st.session_state[DONE] = (
            f"Imported as {variant} of {experiment}: {read.summary} {source} holds {amount(asked, 'tasks')}."
        )

    if st.button("Import", type="primary", key="predictions import", disabled=not may_change()):
        with st.spinner("Reading and scoring …"):
            done = attempt(import_)
        if done:
            empty_field(FIELD)
            forget(EXPERIMENT, VARIANT)
            go_to(experiment)
            st.rerun()
