"""The charts of Results: every run's dot, curves over attempts, the map of tasks × runs; each leads on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from core.reports import figures
from core.reports.variant_styles import variant_colours
from core.results import curves, number_format, run_values
from core.results.loading import Scores
from core.sql import chart_queries
from dashboard.components import experiment_page, sql_links
from dashboard.components.experiment_page import Stamp
from dashboard.components.result_numbers import detectable_of, noise_of, rows_of
from dashboard.components.solved_map import LEGEND, show_solved_map
from dashboard.components.wording import plain

_CELL = "cell that was clicked"


# Plotly checks every property of a figure, which takes as long as the numbers in it. Figures are only read.
@st.cache_resource(max_entries=64, show_spinner=False)
def runs_figure(
    root: Path, name: str, stamp: Stamp, metric: str, form: str, scope: str, baseline: str
) -> Any:
    """Every run of each variant as a dot, with mean, std and interval."""
    scores = experiment_page.scores_of(root, name, stamp)
    rows = rows_of(root, name, stamp, metric, form, scope, baseline, None)
    runs = run_values.dot_records(scores, metric, form, scope)
    return figures.run_chart(
        rows, runs, scores.variants, scores.experiment.baseline, metric, scores.experiment.test_time
    )


@st.cache_resource(max_entries=16, show_spinner="Counting votes …")
def curves_figure(root: Path, name: str, stamp: Stamp, kind: str, form: str) -> Any:
    """pass_k or vote_k over the number of attempts."""
    scores = experiment_page.scores_of(root, name, stamp)
    records = curves.curve_records(root, scores, kind, form)
    spec = scores.experiment
    return figures.curve_chart(records, scores.variants, spec.baseline, f"{kind}, %", spec.test_time)


@st.cache_data(max_entries=16, show_spinner=False)
def solved_of(root: Path, name: str, stamp: Stamp) -> curves.Solved:
    """Which run solved which task how often, tasks most solved first."""
    return curves.solved(experiment_page.scores_of(root, name, stamp))


def show_runs(
    root: Path,
    scores: Scores,
    stamp: Stamp,
    metric: str,
    form: str,
    scope: str,
    baseline: str,
    *,
    own_noise: bool,
) -> None:
    """Every run's dot; below it, where the noise comes from, and where verdicts on recipes rest on it, what
    so many runs can detect."""
    dots = "evaluation" if scope == "checkpoint" else "run"
    st.markdown(
        f"**{plain(metric)}** of every {dots}",
        help=f"Dots are {dots}s (a click opens the run), the bar is mean ± std, the whisker the 95 % interval"
        " of the mean.",
    )
    name = scores.experiment.name
    sql_links.chart(
        runs_figure(root, name, stamp, metric, form, scope, baseline),
        "results",
        "runs chart",
        chart_queries.runs_query(scores, metric, form),
        number_format.noise_sentence(noise_of(root, name, stamp, metric, form)),
        "How much the mean of one run would move with another evaluation seed, another training, or"
        " other tasks of the same kind (std, pooled over variants).",
        None if scores.experiment.imported else lambda point: open_run(name, point),
    )
    if scope == "recipe" and own_noise:
        st.caption(plain(detectable_of(root, name, stamp, metric, form)))


def open_run(name: str, point: Sequence[Any]) -> None:
    """Show the run whose dot was clicked: its curves and its log."""
    st.switch_page("screens/runs.py", query_params={"experiment": name, "show": str(point[1])})


def show_curves(root: Path, scores: Scores, stamp: Stamp, form: str) -> None:
    """pass_k and vote_k over the number of attempts."""
    kind = st.segmented_control(
        "curve", list(curves.SENTENCES), default="pass_k", required=True, key="curve",
        bind="query-params", label_visibility="collapsed",
    )  # fmt: skip
    if scores.experiment.search:
        st.info(
            "A search gives all answers above a probability, not attempts: there is no curve over attempts."
        )
        return
    figure = curves_figure(root, scores.experiment.name, stamp, kind, form)
    query = chart_queries.curve_query(scores, kind, form)
    sql_links.chart(figure, "results", "curves chart", query, curves.SENTENCES[kind])


def show_solved(root: Path, scores: Scores, stamp: Stamp) -> None:
    """The map of tasks × runs; a click on a cell opens the answers of that variant to that task."""
    name, spec = scores.experiment.name, scores.experiment
    strip = solved_of(root, name, stamp)
    never, sometimes, always = strip.kinds
    st.markdown(
        f"**Tasks by run**: {always} always solved, {sometimes} sometimes, {never} never",
        help="A column is a task, a line a run; a click opens its answers.",
    )

    def take(task: str, run: int | None) -> None:
        st.session_state[_CELL] = task, strip.runs[run or 0][0]

    colours = variant_colours(scores.variants, spec.baseline)
    show_solved_map("results", strip, colours, "", take, spec.test_time)
    sql_links.footer(
        lambda: figures.solved_chart(strip, spec.test_time),
        "results",
        "solved chart",
        chart_queries.solved_query(scores),
        LEGEND,
    )
    if _CELL in st.session_state:
        chosen, variant = st.session_state.pop(_CELL)
        st.switch_page("screens/tasks.py", query_params={"experiment": name, "task": chosen, "of": variant})
