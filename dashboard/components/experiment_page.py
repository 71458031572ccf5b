"""The experiment that a page is about: its choice, its tasks, and its scores, read once for all."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from core.arc.tasks import Task
from core.curation.sources import load_tasks
from core.errors import UserError
from core.results import run_values
from core.results.answers import evaluated_task
from core.results.loading import Scores, load_scores, scores_stamp
from dashboard.components.error_guard import fragment
from dashboard.components.experiment_choice import bring_to_address, chosen_experiment, there
from dashboard.components.grids import task_html
from dashboard.components.leak_notice import leak_notice
from dashboard.components.picker import NotThereError, choose, say_not_there, task_name
from dashboard.components.wording import plain

Stamp = tuple[int, int, int]
TasksStamp = tuple[tuple[int, int], ...]
"""Of the files that hold the tasks, which may be imported anew beside results that stay (`tasks_stamp`)."""
SECONDS_BETWEEN_LOOKS = 4.0


@st.cache_resource(max_entries=4, show_spinner="Reading the scores …")
def scores_of(root: Path, name: str, stamp: Stamp) -> Scores:
    """The scores, read again when a file changed; shared by all sessions and never written to."""
    return load_scores(root, name)


def stamp_of(root: Path, name: str) -> Stamp:
    """Changes whenever a result of the experiment does."""
    return scores_stamp(root, name)


def page(root: Path, widths: Sequence[float], show: Callable[[str, Stamp, list[Any]], None]) -> None:
    """A page about the chosen experiment: `show` with its name, its stamp and columns of these widths for the
    page's own choices. A person's errors are shown as their sentence."""
    try:
        name = chosen_experiment(root)
        if name is None:
            empty()
        elif there(root, name):
            bring_to_address(name)
            boxes = st.columns(widths)
            leak_notice(root, name)
            stamp = stamp_of(root, name)
            show(name, stamp, boxes)
            if run_values.progress_sentence(scores_of(root, name, stamp)):
                follow(root, name, stamp)
    except NotThereError as problem:
        say_not_there(problem)
    except UserError as problem:
        st.error(plain(problem))


@fragment(run_every=SECONDS_BETWEEN_LOOKS)
def follow(root: Path, name: str, stamp: Stamp) -> None:
    """While evaluations are missing, show the page anew when another one is there; selections, which go by
    id, and what the pointer is on stay."""
    if stamp_of(root, name) != stamp:
        st.rerun()


def choose_task(tasks: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """The task (source, id) of the address, else the first."""
    names = {task_name(task): task for task in tasks}
    return names[choose("task", "task", list(names), next(iter(names)), filter_mode="contains")]


def show_task(root: Path, name: tuple[str, str], sentence: str) -> Task:
    """The chosen task under its id and what is said of it: demonstrations, and each test with its truth."""
    task = evaluated_task(root, *name)
    st.subheader(f"{plain(task.task_id)}: {plain(sentence)}")
    st.html(task_html(task))
    st.caption(f"{plain(task.source)}: demonstrations, and behind the line each test with its true output.")
    return task


def tasks_of(root: Path, scores: Scores) -> dict[tuple[str, str], Task]:
    """The evaluated tasks that their sources still hold."""
    found = {}
    for source in dict.fromkeys(source for source, _ in scores.tasks):
        try:
            found.update({(source, name): task for name, task in load_tasks(root, source).items()})
        except UserError as problem:
            st.warning(plain(problem))
    return found


def empty() -> None:
    """What to do while there is no experiment."""
    st.subheader("No results yet")
    st.write("Launch an experiment, and its table, its charts and its answers appear here.")
    if st.button("Go to Launch", type="primary", key="go to launch"):
        st.switch_page("screens/launch.py")


def waiting(scores: Scores) -> bool:
    """Say how far an experiment is that has no evaluation so far; whether that is so."""
    if scores.evaluations:
        return False
    name = scores.experiment.name
    st.subheader(plain(scores.experiment.question or name))
    sentence = run_values.progress_sentence(scores) or "No run is evaluated yet"
    st.info(f"{plain(sentence)}. Results appear here with the first evaluation.")
    offer_runs(name)
    return True


def offer_runs(name: str) -> None:
    """The button that leads to the runs of an experiment."""
    if st.button("See its runs", type="primary", key="go to runs"):
        st.switch_page("screens/runs.py", query_params={"experiment": name})


def without_tasks(scores: Scores) -> bool:
    """Say where the numbers of imported results stand, which have no tasks; whether these are some."""
    if not scores.experiment.imported:
        return False
    name = scores.experiment.name
    st.subheader(plain(scores.experiment.question or name))
    st.info("These results were imported: they hold numbers, but no tasks and no answers.")
    if st.button("Open its table", type="primary", key="go to results"):
        st.switch_page("screens/results.py", query_params={"experiment": name})
    return True
