"""The experiment that a page is about: its scores, read once for all sessions, and the choice of it."""

from pathlib import Path

import streamlit as st

from core.arc.tasks import Task
from core.curation.sources import load_tasks
from core.errors import UserError
from core.results import tables
from core.results.experiment import latest_evaluated, list_experiments
from core.results.loading import Scores, load_scores, scores_stamp
from dashboard.components.picker import choose

Stamp = tuple[int, int, int]


@st.cache_resource(max_entries=4, show_spinner="Reading the scores …")
def scores_of(root: Path, name: str, stamp: Stamp) -> Scores:
    """The scores, read again when a file changed; shared by all sessions and never written to."""
    return load_scores(root, name)


def stamp_of(root: Path, name: str) -> Stamp:
    """Changes whenever a result of the experiment does."""
    return scores_stamp(root, name)


def choose_experiment(root: Path) -> str | None:
    """The experiment of the address, else the latest with results; None where there is none at all."""
    names = list_experiments(root)
    if not names:
        return None
    return choose("experiment", "experiment", names, latest_evaluated(root) or names[0])


def tasks_of(root: Path, scores: Scores) -> dict[tuple[str, str], Task]:
    """The evaluated tasks that their sources still hold."""
    found = {}
    for source in dict.fromkeys(source for source, _ in scores.tasks):
        try:
            found.update({(source, name): task for name, task in load_tasks(root, source).items()})
        except UserError as problem:
            st.warning(str(problem))
    return found


def empty(what: str) -> None:
    """What to do while there is no experiment."""
    st.subheader(f"Nothing to {what} yet")
    st.write("Launch an experiment, and its answers appear here:")
    st.code("python -m core launch demo --wait", language="bash")


def unready(root: Path, scores: Scores) -> bool:
    """Say what to do where an experiment has no values per task; whether that is so."""
    name = scores.experiment.name
    if scores.experiment.imported:
        st.subheader(scores.experiment.question or name)
        st.info("These results were imported: they hold numbers, but no tasks and no answers.")
        st.write("Their table stands on the Results page:")
        st.code(f"python -m core results {name}", language="bash")
        return True
    if not scores.evaluations:
        st.subheader(scores.experiment.question or name)
        said = tables.progress_sentence(scores) or "No run is evaluated yet"
        st.info(f"{said}. Answers appear with the first evaluation.")
        st.code(f"python -m core runs list {name}", language="bash")
        return True
    return False
