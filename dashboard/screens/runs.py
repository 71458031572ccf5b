"""Runs: what is happening? The latest experiment at once, live; select runs for their curves and log."""

import contextlib
import re
from typing import Any

import streamlit as st

from core.errors import UserError
from core.results.figures import variant_colours
from core.results.text_tables import command, free_table
from core.runs.layout import Run, spec_path
from core.runs.listing import run_columns
from core.runs.loss_curve import LOOKED_AT, MOST_POINTS, Curve
from core.runs.overview import launched_experiments, overview
from core.runs.progress import log_tail
from core.specs.spec import read_spec
from core.sql.chart_queries import losses_query
from dashboard.components import sql_links
from dashboard.components.alarms import show_alarms
from dashboard.components.curves import HEIGHT, LOSS, loss_chart, points_of_each
from dashboard.components.experiment_choice import bring_to_address, chosen_experiment, there
from dashboard.components.files import file_row
from dashboard.components.leak_notice import leak_notice
from dashboard.components.run_buttons import put_away, run_buttons
from dashboard.components.run_table import run_id, run_table
from dashboard.components.wording import plain
from dashboard.root import project_root

root = project_root()

SECONDS_BETWEEN_POLLS = 1.5
LOG_HEIGHT = 260
CURVES = "run curves"
COLOUR_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@st.fragment(run_every=SECONDS_BETWEEN_POLLS)
def live(name: str) -> None:
    """Everything that changes while runs go on."""
    if name not in launched_experiments(root):  # deleted, here or elsewhere
        st.session_state.pop(CURVES, None)
        st.rerun()
    try:
        seen = overview(root, name)
    except UserError as problem:
        st.error(plain(problem))
        return
    colours = variant_colours(list(seen.spec.variants), seen.spec.baseline)
    with st.container(horizontal=True, vertical_alignment="center"):
        known = {run_id(run) for run in seen.runs}
        marked = [run for run in st.query_params.get_all("run") if run in known]
        words = f"**{plain(seen.sentence)}**" + (" · live" if seen.active else "")
        st.markdown(words + (f" · {len(marked)} selected" if marked else ""), width="stretch")
        run_buttons(root, name, seen, marked)
    show_alarms(root, name)
    wished = st.query_params.get_all("run")
    read = read_curves(name, seen.runs)
    runs = [{**run, "loss": read[run_id(run)].last} for run in seen.runs]
    selected = run_table(name, runs, colours, wished, key="runs")
    if selected != wished:
        st.query_params["run"] = selected
    if seen.stalled:  # below the rows, which must not move when it comes or goes
        st.warning("Nothing works on the queued runs. Resume them: finished stages are kept.")
    shown = [run for run in seen.runs if run_id(run) in selected] or seen.runs
    last_step = max(seen.spec.recipe_of(variant).training.steps for variant in seen.spec.variants)
    listed = free_table(run_columns(seen.runs), seen.runs, command("runs", "list", name))
    file_row(listed, f"{name} runs", "runs files")
    left, right = st.columns([3, 2], gap="medium")
    with left:
        draw(read, shown, colours, last_step)
    with right:
        log(name, shown)


def read_curves(name: str, runs: list[dict[str, Any]]) -> dict[str, Curve]:
    """The training loss of each run, read on from the last poll."""
    kept: dict[tuple[str, str], Curve] = st.session_state.setdefault(CURVES, {})
    for run in runs:
        place = (name, run_id(run))
        if place not in kept:
            kept[place] = Curve(the_run(name, run).progress_file)
        kept[place].read()
    return {run_id(run): kept[name, run_id(run)] for run in runs}


def draw(read: dict[str, Curve], runs: list[dict[str, Any]], colours: dict[str, str], last_step: int) -> None:
    """The losses of the shown runs over their steps, or what their validations found."""
    known = [name for name in LOOKED_AT if any(read[run_id(run)].found[name] for run in runs)]
    what = choose_curve(known) if known else LOSS
    most = points_of_each(len(runs), MOST_POINTS)
    lines = []
    for run in runs:
        curve = read[run_id(run)]
        points = curve.points(most) if what == LOSS else curve.looked_at(what)
        lines.append((run["variant"], run["train_seed"], *points))
    lines = [line for line in lines if line[2]]
    with st.container(height=HEIGHT + 32, border=False):
        if lines:
            chart = loss_chart(lines, colours, last_step, what)
            st.plotly_chart(chart, key="loss", config={"displayModeBar": False})
            if what == LOSS:
                sql_links.note("runs", "loss", losses_query(runs[0]["experiment"]))
        else:
            st.caption("The loss is drawn here from the first training step on.")


def choose_curve(known: list[str]) -> str:
    """What is drawn: the training loss, or something that validations found."""
    label = st.segmented_control(
        "curve", [LOSS, *known], default=LOSS, format_func=lambda name: name.replace("_", " "), key="curve"
    )
    return label or LOSS


def the_run(name: str, run: dict[str, Any]) -> Run:
    return Run(root, name, run["variant"], run["train_seed"])


def log(name: str, runs: list[dict[str, Any]]) -> None:
    """The end of one run's log: the failed one, else the running one, else the last that said anything."""
    urgency = {"failed": 0, "running": 1, "done": 2, "cancelled": 3, "queued": 4}
    run = min(runs, key=lambda run: urgency[run["state"]])
    st.markdown(
        f"Log of **{plain(run['variant'])} · {run['train_seed']}**"
        + (f": {plain(run['error'])}" if run["error"] else "")
    )
    lines = COLOUR_CODES.sub("", log_tail(the_run(name, run))).split("\n")
    text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)  # bars redraw their line
    with st.container(key="log"):  # styled so that its end is what is seen
        st.code(text or "Nothing has been written yet.", language=None, height=LOG_HEIGHT, wrap_lines=True)


def empty() -> None:
    """What to do while nothing was launched."""
    st.subheader("Nothing was launched yet")
    st.write("Choose a spec on the Launch page: it says what will run and what it will cost.")
    if st.button("Go to Launch", type="primary"):
        st.switch_page("screens/launch.py")
    put_away(root)


def page() -> None:
    """The chosen experiment, or what to do where it has no runs."""
    name = chosen_experiment(root)
    if name is None:
        empty()
    elif there(root, name):
        bring_to_address(name)
        leak_notice(root, name)
        if name in launched_experiments(root):
            with contextlib.suppress(UserError):  # which the live part names
                st.markdown(plain(read_spec(spec_path(root, name)).question))
            live(name)
        else:
            st.info(f"{plain(name)} was imported: it holds numbers, but no runs of this project.")
            st.page_link("screens/results.py", label="Open its table", icon=":material/bar_chart:",
                         query_params={"experiment": name})  # fmt: skip


page()
