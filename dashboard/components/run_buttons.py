"""What can be done with the runs of an experiment, as a row of buttons; what loses something asks first.

Each button is there always, says how many runs it is about, and rests where there is none. Stop, Resume and
Retry act on the selected runs, or on all where none is selected; the others on the experiment.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from core.cluster.settings import cluster_of
from core.experiments.archive import (
    archive_experiment,
    archived_experiments,
    delete_experiment,
    delete_runs,
    empty_trash,
    freed_by,
    restore_experiment,
    restore_trashed,
    trash_bytes,
    trashed,
)
from core.experiments.clone import clone_experiment, free_name
from core.launching.launch import launch
from core.launching.stop_and_resume import resume_runs, retry_runs, stop_runs
from core.monitoring.overview import Overview
from core.number_words import amount
from core.runs.layout import experiment_folder
from dashboard.components.experiment_choice import forget
from dashboard.components.more_trainings import more_trainings
from dashboard.components.rights import attempt, may_change, rights
from dashboard.components.wording import bytes_in_words, plain

CLONED = "cloned"


def run_buttons(root: Path, name: str, seen: Overview, selected: Sequence[str]) -> None:
    """The row for one experiment; `selected` are runs as VARIANT/SEED."""
    awake = may_change()
    chosen = [run for run in seen.runs if not selected or f"{run['variant']}/{run['train_seed']}" in selected]
    states = Counter(run["state"] for run in chosen)
    hangs = sum(run["silent_seconds"] is not None for run in chosen)
    busy = states["running"] + states["queued"] if seen.active else 0
    stops = busy or hangs
    if _button("Stop {}", stops, ":material/stop_circle:", "stop", awake=awake):
        with st.spinner("Stopping: checkpoints and finished parts are kept …"):
            attempt(stop_runs, root, name, selected)
        st.rerun(scope="fragment")
    waiting = states["queued"] if seen.stalled else 0
    absent = 0 if selected else seen.missing
    resumes = states["failed"] + states["cancelled"] + waiting + absent
    if _button("Resume {}", resumes, ":material/play_circle:", "resume", awake=awake):
        with st.spinner("Starting …"):
            if selected:
                attempt(resume_runs, root, name, selected)
            else:  # which also makes folders anew that are gone
                command = ["python", "-m", "core", "launch", name]
                attempt(launch, root, seen.spec, command, by=rights().name, cluster=cluster_of(root, name))
        st.rerun(scope="fragment")
    retries = states["failed"]
    if _button("Retry {}", retries, ":material/replay:", "retry", awake=awake):
        with st.spinner("Starting …"):
            attempt(retry_runs, root, name, selected)
        st.rerun(scope="fragment")
    st.page_link(
        "screens/results.py",
        label="Results",
        icon=":material/bar_chart:",
        disabled=not seen.done,
        query_params={"experiment": name},
    )
    picked = {run.rpartition("/")[0] for run in selected}
    more_trainings(root, name, list(seen.spec.variants), sorted(picked))
    _clone(root, name, awake=awake)
    _put_away(root, name, seen, selected, awake=awake)


def _button(verb: str, runs: int, icon: str, key: str, *, awake: bool) -> bool:
    """A button with the number of runs that it is about, which rests where there is none."""
    words = verb.format(amount(runs, "runs")) if runs else verb.format("").strip()
    return st.button(words, icon=icon, disabled=not (awake and runs), key=key)


def _clone(root: Path, name: str, *, awake: bool) -> None:
    place = st.popover(
        "Clone", icon=":material/content_copy:", disabled=not awake, on_change="rerun", key=f"clone {name}"
    )
    if not place.open:
        return
    with place:
        st.write(f"The spec of **{plain(name)}** under a new name, to be changed before it is launched.")
        copy = st.text_input("Name of the clone", value=free_name(root, name), key=f"clone of {name}")
        if st.button("Clone", type="primary", key="do clone") and attempt(clone_experiment, root, name, copy):
            st.session_state[CLONED] = name, copy
        origin, made = st.session_state.get(CLONED, (None, None))
        if origin == name:
            st.write(f"**{plain(made)}** waits on the Launch page.")
            st.page_link(
                "screens/launch.py",
                label="Change and launch it",
                icon=":material/arrow_forward:",
                query_params={"spec": made},
            )


def _put_away(root: Path, name: str, seen: Overview, selected: Sequence[str], *, awake: bool) -> None:
    """Archive and delete the experiment; bring others back, and empty the trash.

    It is closed when the page goes on to another experiment, or a second click would put that away too.
    """
    key = f"away {name}"
    place = st.popover(
        "Put away", icon=":material/inventory_2:", disabled=not awake, on_change="rerun", key=key
    )
    if not place.open:
        return
    with place:
        count = amount(len(seen.runs), "runs")
        size = bytes_in_words(freed_by(experiment_folder(root, name)))
        st.write(f"**Archive** takes {plain(name)} out of all lists and loses nothing.")
        if st.button("Archive", disabled=seen.active, key="archive") and attempt(
            archive_experiment, root, name
        ):
            leave()
        st.write(f"**Delete** moves {plain(name)} with {count} ({size}) to the trash.")
        if st.button("Delete", disabled=seen.active, key="delete") and attempt(delete_experiment, root, name):
            leave()
        if selected:
            few = "the selected run" if len(selected) == 1 else f"{len(selected)} selected runs"
            st.write(f"**Delete {few}** moves {'it' if len(selected) == 1 else 'them'} to the trash.")
            if st.button(f"Delete {few}", key="delete runs") and attempt(delete_runs, root, name, selected):
                st.query_params.pop("run", None)
                st.rerun()
        put_away(root, name)


def leave() -> None:
    """Go to all experiments, as the one on this page was put away."""
    forget()
    st.switch_page("screens/home.py", query_params={})


def put_away(root: Path, experiment: str | None = None) -> None:
    """What lies in archive and trash, each with the button that brings it back or frees its space; of the
    trash the runs of one experiment, and whole experiments where none is named."""
    thrown = {one.entry: one for one in trashed(root) if (one.run and one.experiment) == experiment}
    if thrown:
        entry = st.selectbox(
            "in the trash",
            list(thrown),
            format_func=lambda entry: f"{thrown[entry].run or thrown[entry].name}, {thrown[entry].when}",
            key="thrown",
        )
        if st.button("Restore from the trash", disabled=not may_change(), key="restore thrown") and attempt(
            restore_trashed, root, entry
        ):
            st.rerun()
    archived = archived_experiments(root)
    if archived:
        chosen = st.selectbox("archived", archived, key="archived")
        if st.button("Restore", disabled=not may_change(), key="restore") and attempt(
            restore_experiment, root, chosen
        ):
            st.rerun()
    offer_to_empty_trash(root)


def offer_to_empty_trash(root: Path) -> None:
    """What the trash holds, and the button that frees it, which asks first; nothing where it is empty."""
    freed = trash_bytes(root)
    if freed:
        st.write(f"The trash holds {bytes_in_words(freed)}. Emptying it cannot be undone.")
        sure = st.checkbox("Yes, delete for good", key="sure")
        ready = sure and may_change()
        if st.button("Empty the trash", disabled=not ready, key="empty") and attempt(empty_trash, root):
            st.rerun()
