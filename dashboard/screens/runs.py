"""Runs: what is happening? The latest experiment at once, live; select runs for their curves and log."""

import contextlib
from typing import Any

import streamlit as st

from core.errors import UserError
from core.experiments.listing import run_columns
from core.monitoring.curve_bands import band, smoothed
from core.monitoring.log_text import read_log
from core.monitoring.loss_curve import BESIDE, LOOKED_AT, MOST_POINTS, Curve
from core.monitoring.overview import Overview, launched_experiments, overview
from core.monitoring.run_times import experiment_seconds_left
from core.reports.text_tables import command, free_table
from core.reports.variant_styles import variant_colours, variant_dashes
from core.results.conclusion import experiment_answer
from core.results.run_rows import NO_SCORES, RunScores, run_rows, run_scores, variant_rows
from core.runs.layout import Run, spec_path
from core.runs.run_record import read_record
from core.settings import nearest
from core.specs.differing_settings import differences
from core.specs.spec import read_spec
from core.sql.chart_queries import losses_query
from dashboard.components import experiment_page, sql_links
from dashboard.components.adaptation import run_adaptation
from dashboard.components.alarms import show_alarms
from dashboard.components.curves import HEIGHT, LOSS, NAMES, Line, curve_chart, points_of_each
from dashboard.components.error_guard import fragment, sentences
from dashboard.components.experiment_choice import bring_to_address, chosen_experiment, there
from dashboard.components.files import file_row
from dashboard.components.launch_card import differences_table
from dashboard.components.leak_notice import leak_notice
from dashboard.components.run_buttons import put_away, run_buttons
from dashboard.components.run_table import Chosen, run_id, run_table
from dashboard.components.wording import plain, seconds_in_words
from dashboard.root import project_root

root = project_root()

SECONDS_BETWEEN_POLLS = 1.5
LOG_HEIGHT = 260
CURVES = "run curves"
SMOOTHING = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98)


@st.cache_data(max_entries=16, show_spinner=False)
def scored(name: str, stamp: experiment_page.Stamp) -> tuple[RunScores, str, str]:
    """Scores of runs and variants, the sentence that answers the question, and why these can't be read; runs
    are shown in any case."""
    try:
        scores = experiment_page.scores_of(root, name, stamp)
        return run_scores(scores), experiment_answer(scores), ""
    except UserError as problem:
        return NO_SCORES, "", str(problem)


@fragment(run_every=SECONDS_BETWEEN_POLLS)
def live(name: str) -> None:
    """Everything that changes while runs go on."""
    if name not in launched_experiments(root):  # deleted, here or elsewhere
        st.session_state.pop(CURVES, None)
        st.rerun()
    try:
        seen = overview(root, name)
    except UserError as problem:
        st.error(plain(str(problem)))
        return
    scores, answer, unread = scored(name, experiment_page.stamp_of(root, name))
    read = read_curves(name, seen.runs)
    clocks = {(run["variant"], run["train_seed"]): read[run_id(run)].clock for run in seen.runs}
    with_loss = [{**run, "loss": read[run_id(run)].last} for run in seen.runs]
    rows = run_rows(root, with_loss, clocks, scores)
    wished = Chosen(st.query_params.get_all("run"), st.query_params.get("show"))
    known = {run_id(run) for run in rows}
    with st.container(horizontal=True, vertical_alignment="center"):
        left = experiment_seconds_left(rows, [row["seconds_left"] for row in rows])
        words = f"**{plain(seen.sentence)}**" + (" · live" if seen.active else "")
        words += f" · {seconds_in_words(left)} left" if left is not None and seen.active else ""
        st.markdown(words, width="stretch")
        run_buttons(root, name, seen, [run for run in wished.selected if run in known])
    show_alarms(root, name)
    for unknown in [run for run in (*wished.selected, wished.focus) if run and run not in known]:
        near = nearest(unknown, sorted(known))
        hint = f" Did you mean {plain(near)}?" if near else ""
        st.warning(f"There is no run {plain(unknown[:80])} in {plain(name)}.{hint}")
    colours = variant_colours(list(seen.spec.variants), seen.spec.baseline)
    watch = {
        "active": seen.active,
        "done": seen.done,
        "runs": len(rows),
        "sentence": f"{seen.sentence}. {answer}",
    }
    chosen = run_table(name, rows, variant_rows(rows, scores), colours, wished, watch, key="runs")
    if chosen.selected != [run for run in wished.selected if run in known]:
        st.query_params["run"] = chosen.selected
    if chosen.focus and chosen.focus != wished.focus:
        st.query_params["show"] = chosen.focus
    if seen.stalled:  # below the rows, which must not move when it comes or goes
        st.warning("Nothing works on the queued runs. Resume them: finished stages are kept.")
    if unread:
        st.warning(plain(unread))
    below(name, seen, rows, read, chosen, colours)


def below(
    name: str,
    seen: Overview,
    rows: list[dict[str, Any]],
    read: dict[str, Curve],
    chosen: Chosen,
    colours: dict[str, str],
) -> None:
    """Under the table: its files, the curves, the log, and the settings that differ."""
    picked = [run for run in rows if run_id(run) in chosen.selected]
    last_step = max(seen.spec.recipe_of(variant).training.steps for variant in seen.spec.variants)
    line = command("runs", "list", name)
    file_row(lambda: free_table(run_columns(seen.runs), seen.runs, line), line, f"{name} runs", "runs files")
    left, right = st.columns([3, 2], gap="medium")
    with left:
        draw(read, rows, picked, chosen.focus, colours, seen.spec.baseline, last_step)
    with right:
        adaptation(name, seen, rows, chosen.focus)
        log(name, next((run for run in rows if run_id(run) == chosen.focus), None), picked or rows)
    if len(seen.spec.variants) > 1:
        with st.expander("Settings that differ"):
            st.html(differences_table(differences(seen.spec), seen.spec.baseline, colours))


def adaptation(name: str, seen: Overview, rows: list[dict[str, Any]], focus: str | None) -> None:
    """The test-time training of the run that was clicked last; before any click, of the one furthest on."""
    adapting = [row for row in rows if seen.spec.recipe_of(row["variant"]).test_time is not None]
    if not adapting:
        return
    first = max(adapting, key=lambda row: (row["state"] == "running", row["share"] or 0.0))
    run = the_run(name, next((row for row in adapting if run_id(row) == focus), first))
    try:
        evaluated = read_record(run).get("evaluated") or {}
    except UserError:
        evaluated = {}
    with sentences():
        run_adaptation(run, evaluated.get("tasks"))


def read_curves(name: str, runs: list[dict[str, Any]]) -> dict[str, Curve]:
    """What each run reported, read on from the last poll."""
    kept: dict[tuple[str, str], Curve] = st.session_state.setdefault(CURVES, {})
    for run in runs:
        place = (name, run_id(run))
        if place not in kept:
            kept[place] = Curve(the_run(name, run).progress_file)
        kept[place].read()
    return {run_id(run): kept[name, run_id(run)] for run in runs}


def draw(
    read: dict[str, Curve],
    runs: list[dict[str, Any]],
    picked: list[dict[str, Any]],
    focus: str | None,
    colours: dict[str, str],
    baseline: str,
    last_step: int,
) -> None:
    """Each selected run as a line; where none is, every variant as a mean with its band, and the run that was
    clicked last as a line over them."""
    known = [name for name in (*LOOKED_AT, *BESIDE) if any(read[run_id(run)].found[name] for run in runs)]
    with st.container(horizontal=True, vertical_alignment="center"):
        what = choose_curve(known) if known else LOSS
        words = "Weight of the past in a moving average: 0 draws what was reported."
        weight = st.select_slider("smoothing", SMOOTHING, key="smoothing", bind="query-params", help=words,
                                  width=140)  # fmt: skip
        logarithmic = st.toggle("log", key="log axis", help="Logarithmic values.")

    def line(run: dict[str, Any], most: int) -> Line:
        curve = read[run_id(run)]
        steps, values = curve.points(most) if what == LOSS else curve.looked_at(what)
        return run["variant"], run["train_seed"], steps, smoothed(values, weight).tolist()

    singles = picked or [run for run in runs if run_id(run) == focus]
    most = points_of_each(len(singles or runs), MOST_POINTS)
    single = [one for one in (line(run, most) for run in singles) if len(one[2])]
    bands = {}
    if not picked:
        of: dict[str, list[tuple[Any, Any]]] = {}
        for run in runs:
            _, _, steps, values = line(run, points_of_each(len(runs), MOST_POINTS))
            if len(steps):
                of.setdefault(run["variant"], []).append((steps, values))
        bands = {variant: band(lines, last_step) for variant, lines in of.items()}
    with st.container(height=HEIGHT + 32, border=False):
        if single or bands:
            dashes = variant_dashes(list(colours), baseline)
            chart = curve_chart(
                single, bands, colours, last_step, what, logarithmic=logarithmic, dashes=dashes
            )
            st.plotly_chart(chart, key="loss", config=sql_links.picture_button("loss"))
            if what == LOSS:
                sql_links.note("runs", "loss", losses_query(runs[0]["experiment"]))
        else:
            st.caption("The loss is drawn here from the first training step on.")


def choose_curve(known: list[str]) -> str:
    """What is drawn: the training loss, or something else that trainings report."""
    label = st.selectbox(
        "curve",
        [LOSS, *known],
        format_func=lambda name: NAMES.get(name, name.replace("_", " ")),
        key="drawn",
        bind="query-params",
        width=220,
        label_visibility="collapsed",
    )
    return label or LOSS


def the_run(name: str, run: dict[str, Any]) -> Run:
    return Run(root, name, run["variant"], run["train_seed"])


def log(name: str, focused: dict[str, Any] | None, runs: list[dict[str, Any]]) -> None:
    """The whole log of the run that was clicked last; before any click of the failed one, else the running
    one, else the first that is done."""
    urgency = {"failed": 0, "running": 1, "done": 2, "cancelled": 3, "queued": 4}
    run = focused or min(runs, key=lambda run: urgency[run["state"]])
    title = f"Log of **{plain(run_id(run))}**"
    st.markdown(title + (f": {plain(run['error'])}" if run["error"] else ""))
    with st.container(horizontal=True, vertical_alignment="center"):
        search = st.text_input("search the log", key="log search", placeholder="search the log",
                               label_visibility="collapsed", width=220)  # fmt: skip
        libraries = st.toggle("lines of libraries", key="log libraries",
                              help="Their warnings and progress bars.")  # fmt: skip
        found = read_log(the_run(name, run), search or "", libraries=libraries)
        counts = [f"{len(found.lines):,} of {found.total:,} lines"]
        counts += [f"{found.folded:,} of libraries folded"] if found.folded else []
        st.caption(" · ".join(counts))
    with st.container(key="log"):  # styled so that its end is what is seen
        nothing = "Only libraries wrote so far." if found.folded else "Nothing has been written yet."
        text = found.text or ("No line holds it." if search else nothing)
        st.code(text, language=None, height=LOG_HEIGHT, wrap_lines=True)


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
        elif spec_path(root, name).exists():
            st.info(f"All runs of {plain(name)} were put away.")
            st.page_link("screens/launch.py", label="Launch it again", icon=":material/rocket_launch:",
                         query_params={"spec": name})  # fmt: skip
            put_away(root)
        else:
            st.info(f"{plain(name)} was imported: it holds numbers, but no runs of this project.")
            st.page_link("screens/results.py", label="Open its table", icon=":material/bar_chart:",
                         query_params={"experiment": name})  # fmt: skip


page()
