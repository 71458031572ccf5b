"""Results: which recipe is better, and is it real? The latest experiment's answer stands there at once."""

import functools
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from core.checks import caveats
from core.checks.leak_warnings import seen_labels
from core.errors import UserError
from core.experiments.experiment import list_experiments
from core.preflight import planning
from core.reports import captions, figures, text_tables
from core.reports.html_table import result_table
from core.reports.lab_note import lab_note
from core.results import curves, number_format, records, tables, verdicts
from core.results.borrowed_noise import borrowed_noise
from core.results.conclusion import answer_sentence
from core.results.loading import Scores
from core.results.noise import Noise, noise
from core.scoring.metrics import AGGREGATIONS
from core.spread.intervals import SCOPES
from core.spread.verdict import BorrowedNoise
from core.sql import chart_queries
from dashboard.components import experiment_page, picker, sql_links
from dashboard.components.alarms import show_alarms
from dashboard.components.experiment_page import Stamp
from dashboard.components.files import file_row
from dashboard.components.note_editor import note_editor
from dashboard.components.parts import show_parts
from dashboard.components.score_upload import score_upload
from dashboard.components.wording import plain
from dashboard.root import project_root

root = project_root()

DICTIONARY = "reading?word="

Lender = tuple[str, Stamp] | None  # the experiment whose noise is borrowed, with its stamp


def lender_scores(lender: Lender) -> Scores | None:
    return None if lender is None else experiment_page.scores_of(root, *lender)


def lent(name: str, stamp: Stamp, metric: str, form: str, lender: Lender) -> BorrowedNoise | None:
    scores, others = experiment_page.scores_of(root, name, stamp), lender_scores(lender)
    return None if others is None else borrowed_noise(scores, others, metric, form)


@st.cache_data(max_entries=64, show_spinner=False)
def rows_of(
    name: str, stamp: Stamp, metric: str, form: str, scope: str, baseline: str, lender: Lender
) -> list[verdicts.Row]:
    scores = experiment_page.scores_of(root, name, stamp)
    borrowed = lent(name, stamp, metric, form, lender)
    return verdicts.verdict_rows(scores, metric, form, scope, baseline, borrowed=borrowed)


@st.cache_data(max_entries=64, show_spinner=False)
def records_of(
    name: str, stamp: Stamp, metrics: tuple[str, ...], form: str, scope: str, baseline: str, lender: Lender
) -> list[dict[str, Any]]:
    scores = experiment_page.scores_of(root, name, stamp)
    return records.records_of(scores, metrics, form, scope, lender=lender_scores(lender), baseline=baseline)


@st.cache_data(max_entries=64, show_spinner=False)
def answer_of(
    name: str, stamp: Stamp, metric: str, form: str, scope: str, baseline: str, lender: Lender
) -> str:
    rows = rows_of(name, stamp, metric, form, scope, baseline, lender)
    return answer_sentence(rows, metric, baseline, lent(name, stamp, metric, form, lender), scope)


@st.cache_data(max_entries=64, show_spinner=False)
def spreads_of(name: str, stamp: Stamp, metric: str, form: str) -> str:
    return caveats.spreads_sentence(experiment_page.scores_of(root, name, stamp), metric, form)


@st.cache_data(max_entries=16, show_spinner=False)
def looks_of(name: str, stamp: Stamp) -> str:
    return caveats.looks_sentence(root, experiment_page.scores_of(root, name, stamp))


@st.cache_data(max_entries=32, show_spinner=False)
def captions_of(name: str, stamp: Stamp, scope: str, form: str) -> tuple[str, dict[str, str]]:
    scores = experiment_page.scores_of(root, name, stamp)
    return captions.results_caption(root, scores, scope, form), captions.marks(root, name)


@st.cache_data(max_entries=64, show_spinner=False)
def noise_of(name: str, stamp: Stamp, metric: str, form: str) -> Noise:
    return noise(experiment_page.scores_of(root, name, stamp), metric, form)


@st.cache_data(max_entries=64, show_spinner=False)
def detectable_of(name: str, stamp: Stamp, metric: str, form: str) -> str:
    return planning.detectable_sentence(experiment_page.scores_of(root, name, stamp), metric, form)


# Plotly checks every property of a figure, which takes as long as the numbers in it. Figures are only read.
@st.cache_resource(max_entries=64, show_spinner=False)
def runs_figure(name: str, stamp: Stamp, metric: str, form: str, scope: str, baseline: str) -> Any:
    scores = experiment_page.scores_of(root, name, stamp)
    rows = rows_of(name, stamp, metric, form, scope, baseline, None)
    runs = tables.dot_records(scores, metric, form, scope)
    return figures.run_chart(
        rows, runs, scores.variants, scores.experiment.baseline, metric, scores.experiment.test_time
    )


@st.cache_resource(max_entries=16, show_spinner="Counting votes …")
def curves_figure(name: str, stamp: Stamp, kind: str, form: str) -> Any:
    scores = experiment_page.scores_of(root, name, stamp)
    records = curves.curve_records(root, scores, kind, form)
    spec = scores.experiment
    return figures.curve_chart(records, scores.variants, spec.baseline, f"{kind}, %", spec.test_time)


@st.cache_resource(max_entries=4, show_spinner=False)
def solved_figure(name: str, stamp: Stamp) -> tuple[tuple[int, int, int], Any]:
    scores = experiment_page.scores_of(root, name, stamp)
    strip = curves.solved(scores)
    return strip.kinds, figures.solved_chart(strip, scores.experiment.test_time)


def choose(scores: Scores, boxes: list[Any]) -> tuple[str, str, str, str]:
    """Metric, scope, aggregation and baseline, all in the address."""
    spec = scores.experiment
    scopes = [
        name for name in ("recipe", "checkpoint", "new_tasks") if name != "new_tasks" or not spec.imported
    ]
    forms = [name for name in AGGREGATIONS if name == "by_task" or not spec.imported]
    metrics = tables.offered_metrics(scores)
    with boxes[0]:
        words = "The table is sorted by it; chart and verdicts are about it."
        metric = picker.choose("metric", "metric", metrics, metrics[0], help=words)
    with boxes[1]:
        words = "Over what the spread generalises." + listed({one: SCOPES[one].over for one in scopes})
        scope = picker.choose("scope", "scope", scopes, "recipe", help=words)
    with boxes[2]:
        words = "How outputs become one number." + listed({one: AGGREGATIONS[one] for one in forms})
        form = picker.choose("aggregation", "aggregation", forms, "by_task", help=words)
    with boxes[3]:
        words = "The variant that all others are held against."
        baseline = picker.choose("baseline", "baseline", scores.variants, spec.baseline, help=words)
    return metric, scope, form, baseline


def listed(hints: dict[str, str]) -> str:
    """Words and what they mean, as a Markdown list."""
    return "".join(f"\n- **{word}**: {meaning}" for word, meaning in hints.items())


def choose_columns(scores: Scores, metric: str) -> list[str]:
    """The metrics of the table, the judged one first."""
    chosen = st.multiselect(
        "columns of the table",
        tables.offered_metrics(scores),
        default=list(scores.experiment.metrics),
        key="columns",
        bind="query-params",
    )
    return list(dict[str, Any].fromkeys([metric, *chosen]))


def show_experiment(name: str, boxes: list[Any]) -> None:
    """Table, chart, noise, curves and strip of one experiment."""
    stamp = experiment_page.stamp_of(root, name)
    scores = experiment_page.scores_of(root, name, stamp)
    if experiment_page.waiting(scores):
        return
    metric, scope, form, baseline = choose(scores, boxes)
    place = st.container()
    lender = choose_lender(scores, scope)
    try:
        rows = rows_of(name, stamp, metric, form, scope, baseline, lender)
    except UserError as problem:
        if lender is None:
            raise
        st.error(plain(f"The noise of '{lender[0]}' can't be borrowed. {problem}"))
        lender = None
        rows = rows_of(name, stamp, metric, form, scope, baseline, lender)
    with place:
        answer = answer_of(name, stamp, metric, form, scope, baseline, lender)
        heading(scores, stamp, metric, scope, answer)
    show_table(scores, stamp, rows, metric, scope, form, baseline, lender)
    show_parts(root, scores, stamp, metric, scope, form)
    left, right = st.columns([3, 2], gap="large") if scores.columns else (st.container(), None)
    with left:
        show_runs(scores, stamp, metric, form, scope, baseline)
    if right is not None:
        with right:
            show_curves(scores, stamp, form)
        show_solved(scores, stamp)
    note_editor(root, scores)


def choose_lender(scores: Scores, scope: str) -> Lender:
    """Another experiment whose noise judges this one, for runs that have none of their own; usually none."""
    if scope != "recipe":
        return None
    own = "these runs"
    names = [own, *list_experiments(root)]
    with st.expander("Borrow the noise", expanded=False):
        words = (
            "A single run per variant can be judged with the noise between the runs of another experiment, in"
            " the same metric. That it is alike is your judgement, and stands beside the verdict."
        )
        chosen = picker.choose("noise between trainings from", "noise_of", names, own, help=words)
    return None if chosen == own else (chosen, experiment_page.stamp_of(root, chosen))


def heading(scores: Scores, stamp: Stamp, metric: str, scope: str, answer: str) -> None:
    """The question, the sentence that answers it, what was evaluated, and what to be careful with."""
    name = scores.experiment.name
    st.subheader(plain(scores.experiment.question or name))
    st.markdown(f"**{plain(answer)}**")
    st.caption(plain(caveats.honest_sentence(root, scores)))
    show_alarms(root, name)
    cautions = [*caveats.warnings(scores, metric, scope), *filter(None, (looks_of(name, stamp),))]
    if cautions:
        st.warning("  \n".join(map(plain, cautions)), icon=":material/info:")


def show_table(
    scores: Scores,
    stamp: Stamp,
    rows: list[verdicts.Row],
    metric: str,
    scope: str,
    form: str,
    baseline: str,
    lender: Lender,
) -> None:
    """The table, over what its numbers generalise, and its files."""
    name = scores.experiment.name
    place = st.container()
    left, right = st.columns([5, 1], vertical_alignment="center")
    with right, st.popover("Columns", width="stretch", help="Which metrics stand in the table."):
        columns = choose_columns(scores, metric)
    found = records_of(name, stamp, tuple(columns), form, scope, baseline, lender)
    cells = {(record["variant"], record["metric"]): record for record in found}
    colours = figures.variant_colours(scores.variants, scores.experiment.baseline)
    with place:
        labels = seen_labels(scores)
        links = compare_links(name, rows, baseline, metric)
        shown_table = functools.partial(result_table, links=links, dictionary=DICTIONARY)
        st.html(shown_table(rows, cells, columns, metric, baseline, scope, colours, labels))
        st.caption(plain(number_format.scope_sentence(scores, scope, form)))
        st.caption(plain(spreads_of(name, stamp, metric, form)))
    order = {row.variant: number for number, row in enumerate(rows)}
    line = text_tables.command(
        "results", name, metric=columns, aggregation=text_tables.unless(form, "by_task"),
        scope=text_tables.unless(scope, "recipe"), noise_of=None if lender is None else lender[0],
    )  # fmt: skip
    best_first = sorted(found, key=lambda record: order[record["variant"]])
    with left:
        table = text_tables.results_table(best_first, line, *captions_of(name, stamp, scope, form))
        table = text_tables.with_test_time(table, scores)
        file_row(table, name, "results", lambda: lab_note(root, name, form, scope))


def compare_links(name: str, rows: list[verdicts.Row], baseline: str, metric: str) -> dict[str, str]:
    """Where each variant but the baseline is compared with it."""
    others = [row.variant for row in rows if row.variant != baseline and row.summary.n]
    return {
        variant: "compare?" + urlencode({"experiment": name, "a": baseline, "b": variant, "metric": metric})
        for variant in others
    }


def show_runs(scores: Scores, stamp: Stamp, metric: str, form: str, scope: str, baseline: str) -> None:
    """Every run's dot; below it, where the noise comes from and what so many runs can detect."""
    dots = "evaluation" if scope == "checkpoint" else "run"
    st.markdown(
        f"**{plain(metric)}** of every {dots}",
        help=f"Dots are {dots}s (a click opens the run), the bar is mean ± std, the whisker the 95 % interval"
        " of the mean.",
    )
    name = scores.experiment.name
    sql_links.chart(
        runs_figure(name, stamp, metric, form, scope, baseline),
        "results",
        "runs chart",
        chart_queries.runs_query(scores, metric, form),
        number_format.noise_sentence(noise_of(name, stamp, metric, form)),
        "How much the mean of one run would move with another evaluation seed, another training, or"
        " other tasks of the same kind (std, pooled over variants).",
        None if scores.experiment.imported else lambda point: open_run(name, point),
    )
    st.caption(plain(detectable_of(name, stamp, metric, form)))


def open_run(name: str, point: Sequence[Any]) -> None:
    """Show the run whose dot was clicked: its curves and its log."""
    st.switch_page("screens/runs.py", query_params={"experiment": name, "show": str(point[1])})


def show_curves(scores: Scores, stamp: Stamp, form: str) -> None:
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
    figure = curves_figure(scores.experiment.name, stamp, kind, form)
    query = chart_queries.curve_query(scores, kind, form)
    sql_links.chart(figure, "results", "curves chart", query, curves.SENTENCES[kind])


def show_solved(scores: Scores, stamp: Stamp) -> None:
    """The strip runs × tasks."""
    (never, sometimes, always), figure = solved_figure(scores.experiment.name, stamp)
    st.markdown(f"**Tasks by run**: {always} always solved, {sometimes} sometimes, {never} never")
    query = chart_queries.solved_query(scores)
    words = "A column is a task, a line a run: grey never right, orange sometimes, blue in every attempt."
    sql_links.chart(figure, "results", "solved chart", query, words)


experiment_page.page(root, [2, 2, 2, 2], show_experiment)
with st.expander("Import a table of results", icon=":material/upload_file:", key="import scores"):
    score_upload(root)
