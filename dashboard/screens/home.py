"""Home: what did I find out so far? All experiments, each with the sentence that answers it."""

import time
from typing import Any

import streamlit as st

from core.errors import UserError
from core.experiments.archive import (
    archive_experiment,
    archived_experiments,
    delete_experiment,
    restore_experiment,
    restore_trashed,
    trashed,
)
from core.experiments.examples import examples, open_example
from core.experiments.experiment import list_experiments
from core.experiments.notes import pin
from core.launching.demo import launch_demo
from core.reports.experiment_index import (
    ORDERS,
    STATES,
    Answered,
    answer_of,
    experiment_records,
    wanted_records,
)
from core.results.loading import load_scores, scores_stamp
from dashboard.components import experiment_list, sql_links
from dashboard.components.error_guard import fragment
from dashboard.components.picker import choose, choose_some, keeps, pick
from dashboard.components.rights import attempt, may_change, permitted
from dashboard.components.run_buttons import offer_to_empty_trash
from dashboard.components.wording import plain
from dashboard.root import project_root

root = project_root()

PICKED, READ = "picked on home", "list that was just read"
SECONDS_BETWEEN_LOOKS = 4.0
SECONDS_FOR_ANSWERS = 0.6
MOST_TAGS = 12

Stamp = tuple[int, int, int]


@st.cache_data(max_entries=2_000, show_spinner=False)
def answered(name: str, stamp: Stamp) -> Answered | str:
    """What an experiment found, or the sentence of why that can't be read."""
    try:
        return answer_of(load_scores(root, name))
    except UserError as problem:
        return str(problem)


def with_answers(records: list[dict[str, Any]]) -> bool:
    """Put the answers beside the records: for as long as a visitor waits gladly, the others with the next
    look; whether all are there."""
    known: dict[tuple[str, Stamp], Answered | str] = st.session_state.setdefault("answers", {})
    began = time.monotonic()
    whole = True
    for record in records:
        if record["problem"]:
            continue
        key = (record["experiment"], scores_stamp(root, record["experiment"]))
        if key not in known:
            if time.monotonic() - began > SECONDS_FOR_ANSWERS:
                whole = False
                continue
            known[key] = answered(*key)
        found = known[key]
        if isinstance(found, str):
            record["problem"] = found
        else:
            record |= {"answer": found.sentence, "best": found.variant, "metric": found.metric}
            record |= {"value": found.text, "mean": found.mean, "unit": found.unit}
    return whole


def choices(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Search, order and filters, all in the address."""
    there = [state for state in STATES if any(record["state"] == state for record in records)]
    counts = {state: sum(record["state"] == state for record in records) for state in there}
    labels = {state: f"{state} ({count})" for state, count in counts.items()}
    with st.container(horizontal=True, vertical_alignment="center"):
        words = st.text_input(
            "search",
            key="q",
            bind="query-params",
            placeholder="name, question, answer, tag, owner",
            label_visibility="collapsed",
            width=280,
        )
        order = choose("order", "order", ORDERS, ORDERS[0], label_visibility="collapsed", width=180)
        states = choose_some("state", "state", labels, label_visibility="collapsed")
        put_away()
    tags = list(dict.fromkeys(tag for record in records for tag in record["tags"]))[:MOST_TAGS]
    chosen = choose_some("tags", "tag", {tag: plain(tag) for tag in tags}) if tags else []
    return {"words": words or "", "states": states, "tags": chosen, "order": order}


def put_away() -> None:
    """What lies in archive and trash, each with the button that brings it back."""
    archived, thrown = archived_experiments(root), trashed(root)
    count = len(archived) + len(thrown)
    place = st.popover(f"Archive, trash ({count})", on_change="rerun", key="put away")
    if not place.open:
        return
    with place:
        if not count:
            st.write("Nothing is archived, and the trash is empty.")
        for name in archived:
            pressed = restorable(f"**{plain(name)}**, archived", f"archive {name}")
            if pressed and attempt(restore_experiment, root, name):
                st.rerun()
        for one in thrown[:50]:
            words = f"**{plain(one.name)}**, thrown away {one.when}"
            pressed = restorable(words, f"trash {one.entry}")
            if pressed and attempt(restore_trashed, root, one.entry):
                st.rerun()
        offer_to_empty_trash(root)


def restorable(words: str, key: str) -> bool:
    """One line of what was put away; whether the button that brings it back was pressed."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(words, width="stretch")
        return st.button("Restore", key=f"restore {key}", disabled=not may_change())


def do_picked() -> None:
    """What was clicked in the list: open, pin, archive or delete an experiment."""
    verb, _, name = (st.session_state.pop(PICKED, None) or "").partition(" ")
    if name not in list_experiments(root):
        return
    if verb == experiment_list.OPEN:
        st.switch_page("screens/results.py", query_params={"experiment": name})
    if verb == experiment_list.PIN:
        pinned = any(one["experiment"] == name and one["pinned"] for one in experiment_records(root))
        attempt(pin, root, name, pinned=not pinned)
    if verb == experiment_list.ARCHIVE and attempt(archive_experiment, root, name):
        st.toast(f"{plain(name)} is archived; Archive, trash brings it back.")
    if verb == experiment_list.DELETE and attempt(delete_experiment, root, name):
        st.toast(f"{plain(name)} is in the trash; Archive, trash brings it back.")


def read_list() -> tuple[list[dict[str, Any]], bool]:
    """The records of all experiments, and whether something is going on that changes them."""
    do_picked()
    records = experiment_records(root)
    whole = with_answers(records)
    return records, not whole or any(record["state"] in ("running", "waiting") for record in records)


def show_list() -> bool:
    """Search, filters and the list; whether something is going on that changes it."""
    records, busy = st.session_state.pop(READ, None) or read_list()
    shown = wanted_records(records, **choices(records))
    rows = experiment_list.experiment_rows(shown, awake=may_change())
    pick("home", rows, "", keeps(PICKED))
    if not shown:
        st.caption("No experiment fits the search." if records else "All experiments are put away.")
    return busy


@fragment()
def still() -> None:
    """The list while nothing goes on."""
    if show_list():
        st.rerun()


@fragment(run_every=SECONDS_BETWEEN_LOOKS)
def live() -> None:
    """The list while runs go on or answers are still read."""
    show_list()


def offer_examples() -> None:
    """A button for each experiment that comes with the project and is not opened yet."""
    for name in examples(root):
        clicked = st.button(
            f"Open the example: {plain(name)}", key=f"example {name}", icon=":material/folder_open:",
            help="A finished experiment that comes with the project.", disabled=not may_change(),
        )  # fmt: skip
        if clicked:
            with st.spinner(f"Opening {plain(name)} …"):
                opened = attempt(open_example, root, name)
            if opened:
                st.switch_page("screens/results.py", query_params={"experiment": name})


def empty() -> None:
    """What to do first."""
    st.subheader("No experiment yet")
    st.write(
        "The demo asks whether twice as much test-time training is worth it: it trains three variants on real"
        " ARC tasks on this machine and shows which differences are more than luck. An example is a finished"
        " experiment to look at. Or read what the numbers mean first."
    )
    with st.container(horizontal=True):
        if st.button("Start the demo", type="primary", disabled=not may_change()):
            with st.spinner("Importing ARC-1 and starting …"):
                command = ["python", "-m", "core", "demo"]
                name = permitted(launch_demo, root, command, lambda _: None)
            st.switch_page("screens/runs.py", query_params={"experiment": name})
        offer_examples()
        st.page_link("screens/launch.py", label="Make an experiment of your own", icon=":material/add:")
        st.page_link("screens/how_to_read.py", label="How to read this", icon=":material/menu_book:")
    if archived_experiments(root) or trashed(root):
        put_away()


sql_links.leave()
try:
    if not list_experiments(root):
        empty()
    else:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.page_link("screens/launch.py", label="New experiment", icon=":material/add:")
            offer_examples()
        st.session_state[READ] = records, busy = read_list()
        (live if busy else still)()
except UserError as problem:
    st.error(plain(str(problem)))
