"""What can be done with the runs of an experiment, as a row of buttons; what loses something asks first.

Each button is there always and rests where it makes no sense. Stop, Resume and Retry act on the selected
runs, or on all where none is selected; the others on the experiment.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ParamSpec

import streamlit as st

from core.cluster.settings import cluster_of
from core.errors import UserError
from core.launching.launch import launch
from core.launching.stop import resume_runs, retry_runs, stop_runs
from core.runs.archive import (
    archive_experiment,
    archived_experiments,
    delete_experiment,
    empty_trash,
    freed_by,
    restore_experiment,
    trash_bytes,
)
from core.runs.clone import clone_experiment, free_name
from core.runs.layout import experiment_folder
from core.runs.overview import Overview
from dashboard.components.experiment_choice import forget
from dashboard.components.rights import may_change, permitted, rights
from dashboard.components.wording import bytes_in_words, plain

P = ParamSpec("P")
CLONED = "cloned"


def attempt(action: Callable[P, object], *arguments: P.args, **options: P.kwargs) -> bool:
    """Do what a button says, if this person may; whether it was done. An error is shown as its sentence, also
    after a rerun."""
    try:
        permitted(action, *arguments, **options)
    except UserError as problem:
        st.toast(plain(problem), icon=":material/error:", duration="long")
        return False
    return True


def run_buttons(root: Path, name: str, seen: Overview, selected: Sequence[str]) -> None:
    """The row for one experiment; `selected` are runs as VARIANT/SEED."""
    awake = may_change()
    chosen = [run for run in seen.runs if not selected or f"{run['variant']}/{run['train_seed']}" in selected]
    states = {run["state"] for run in chosen}
    hangs = any(run["silent_seconds"] is not None for run in chosen)
    stops = hangs or (seen.active and bool(states & {"running", "queued"}))
    if st.button("Stop", icon=":material/stop_circle:", disabled=not (awake and stops), key="stop"):
        with st.spinner("Stopping: checkpoints and finished parts are kept …"):
            attempt(stop_runs, root, name, selected)
        st.rerun(scope="fragment")
    resumes = bool(states & {"failed", "cancelled"}) or seen.stalled or bool(seen.missing and not selected)
    if st.button("Resume", icon=":material/play_circle:", disabled=not (awake and resumes), key="resume"):
        with st.spinner("Starting …"):
            if selected:
                attempt(resume_runs, root, name, selected)
            else:  # which also makes folders anew that are gone
                command = ["python", "-m", "core", "launch", name]
                attempt(launch, root, seen.spec, command, by=rights().name, cluster=cluster_of(root, name))
        st.rerun(scope="fragment")
    retries = "failed" in states
    if st.button("Retry failed", icon=":material/replay:", disabled=not (awake and retries), key="retry"):
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
    _clone(root, name, awake=awake)
    _put_away(root, name, seen, awake=awake)


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


def _put_away(root: Path, name: str, seen: Overview, *, awake: bool) -> None:
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
        count = "1 run" if len(seen.runs) == 1 else f"{len(seen.runs)} runs"
        size = bytes_in_words(freed_by(experiment_folder(root, name)))
        st.write(f"**Archive** takes {plain(name)} out of all lists and loses nothing.")
        if st.button("Archive", disabled=seen.active, key="archive") and attempt(
            archive_experiment, root, name
        ):
            leave()
        st.write(f"**Delete** moves {plain(name)} with {count} ({size}) to the trash.")
        if st.button("Delete", disabled=seen.active, key="delete") and attempt(delete_experiment, root, name):
            leave()
        put_away(root)


def leave() -> None:
    """Go to all experiments, as the one on this page was put away."""
    forget()
    st.switch_page("screens/home.py", query_params={})


def put_away(root: Path) -> None:
    """What lies in archive and trash, each with the button that brings it back or frees its space."""
    archived = archived_experiments(root)
    if archived:
        chosen = st.selectbox("archived", archived, key="archived")
        if st.button("Restore", disabled=not may_change(), key="restore") and attempt(
            restore_experiment, root, chosen
        ):
            st.rerun()
    freed = trash_bytes(root)
    if freed:
        st.write(f"The trash holds {bytes_in_words(freed)}. Emptying it cannot be undone.")
        sure = st.checkbox("Yes, delete for good", key="sure")
        ready = sure and may_change()
        if st.button("Empty the trash", disabled=not ready, key="empty") and attempt(empty_trash, root):
            st.rerun()
