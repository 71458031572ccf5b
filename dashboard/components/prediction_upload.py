"""Predictions from elsewhere, sent through the page, become an evaluation with scores, as by the verb."""

from pathlib import Path

import streamlit as st

from core.curation.sources import list_sources
from core.exchange.import_predictions import import_predictions
from core.exchange.submissions import MOST_BYTES, tasks_with_tests
from core.storage.sent_file import sent_file
from dashboard.components.experiment_choice import go_to
from dashboard.components.rights import accept_upload, attempt, may_change
from dashboard.components.wording import plain

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
    accept_upload()
    sent = st.file_uploader("predictions", ["json", "zip"], key="predictions file", disabled=not may_change())
    st.caption(LAYOUT)
    sources = [info.source for info in list_sources(root) if info.tasks]
    sources.sort(key=lambda name: not name.endswith("evaluation"))
    left, middle, right = st.columns(3)
    source = left.selectbox("whose tasks it answers", sources, key="predictions source")
    experiment = middle.text_input(
        "experiment", key="predictions experiment", placeholder="my-results",
        help="A new one, one of predictions, or a launched one without this variant.",
    ).strip()  # fmt: skip
    variant = right.text_input("variant", key="predictions variant", placeholder="theirs").strip()
    training = int(left.number_input("training seed", 0, LARGEST, 0, key="predictions train seed"))
    evaluation = int(middle.number_input("evaluation seed", 0, LARGEST, 0, key="predictions eval seed"))
    needed = {"a file": sent, "a source": source, "an experiment": experiment, "a variant": variant}
    lacking = [what for what, given in needed.items() if not given]
    ready = not lacking and may_change()

    def import_() -> None:
        assert sent is not None, "the button rests without a file"
        with sent_file(sent.name, sent.getvalue(), most_bytes=MOST_BYTES) as path:
            read = import_predictions(root, path, str(source), experiment, variant, training, evaluation)
        asked = len(tasks_with_tests(root, str(source)))
        st.session_state[DONE] = f"{experiment}, {variant}, of {asked:,} tasks asked: {read.summary}"

    clicked = st.button("Import", type="primary", key="predictions import", disabled=not ready)
    if lacking:
        st.caption(f"Still lacking: {', '.join(lacking)}.")
    if clicked:
        with st.spinner("Reading and scoring …"):
            done = attempt(import_)
        if done:
            go_to(experiment)
            st.rerun()
