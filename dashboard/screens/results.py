"""Results: which recipe is better, and is it real? The latest experiment's answer stands there at once."""

import functools
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from core.checks import caveats
from core.checks.leak_warnings import seen_labels
from core.errors import UserError
from core.experiments.experiment import list_experiments
from core.reports import captions, text_tables
from core.reports.html_report import html_report
from core.reports.html_table import result_table
from core.reports.variant_styles import variant_colours
from core.results import number_format, run_values, verdicts
from core.results.loading import Scores
from core.results.reading import Reading
from core.scoring.metrics import AGGREGATIONS
from core.spread.scopes import SCOPES
from dashboard.components import experiment_page, picker
from dashboard.components.alarms import show_alarms
from dashboard.components.experiment_choice import GONE_TO
from dashboard.components.experiment_page import Stamp
from dashboard.components.files import file_row
from dashboard.components.glossary_links import DICTIONARY, more, word
from dashboard.components.note_editor import note_editor
from dashboard.components.prediction_upload import prediction_upload
from dashboard.components.result_charts import show_curves, show_runs, show_solved
from dashboard.components.result_numbers import (
    Lender,
    answer_of,
    looks_of,
    reading_of,
    records_of,
    rows_of,
    spreads_of,
)
from dashboard.components.score_upload import score_upload
from dashboard.components.task_subsets import show_parts
from dashboard.components.wording import plain
from dashboard.root import project_root

root = project_root()

SCOPES_SHOWN = ("recipe", "checkpoint", "new_tasks")


def choose(scores: Scores, boxes: list[Any]) -> tuple[str, str, str, str]:
    """Metric, scope, aggregation and baseline, all in the address."""
    spec = scores.experiment
    scopes = (
        ["recipe"] if spec.summaries else ["recipe", "checkpoint"] if spec.imported else list(SCOPES_SHOWN)
    )
    forms = [name for name in AGGREGATIONS if name == "by_task" or not spec.imported]
    metrics = run_values.offered_metrics(scores)
    with boxes[0]:
        words = "The table is sorted by it; chart and verdicts are about it."
        metric = picker.choose("metric", "metric", metrics, metrics[0], help=words)
    with boxes[1]:
        words = "Over what the spread generalises." + listed({one: SCOPES[one].over for one in scopes})
        scope = picker.choose("scope", "scope", scopes, "recipe", help=words)
    with boxes[2]:
        words = (
            "How outputs become one number."
            + listed({one: AGGREGATIONS[one] for one in forms})
            + more("by_output")
        )
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
    if st.session_state.pop(GONE_TO, False):  # the columns are still those of the experiment before
        st.session_state["columns"] = list(scores.experiment.metrics)
    chosen = st.multiselect(
        "columns of the table",
        run_values.offered_metrics(scores),
        default=list(scores.experiment.metrics),
        key="columns",
        bind="query-params",
    )
    return list(dict[str, Any].fromkeys([metric, *chosen]))


def show_experiment(name: str, stamp: Stamp, boxes: list[Any]) -> None:
    """Table, chart, noise, curves and strip of one experiment."""
    scores = experiment_page.scores_of(root, name, stamp)
    if experiment_page.waiting(scores):
        return
    metric, scope, form, baseline = choose(scores, boxes)
    place = st.container()
    lender = choose_lender(scores, scope)
    try:
        rows = rows_of(root, name, stamp, metric, form, scope, baseline, lender)
    except UserError as problem:
        if lender is None:
            raise
        st.error(plain(f"The noise of '{lender[0]}' can't be borrowed. {problem}"))
        lender = None
        rows = rows_of(root, name, stamp, metric, form, scope, baseline, lender)
    with place:
        answer = answer_of(root, name, stamp, metric, form, scope, baseline, lender)
        heading(scores, stamp, answer, reading_of(root, [metric], form, scope, baseline, lender))
    show_table(scores, stamp, rows, metric, scope, form, baseline, lender)
    show_parts(root, scores, stamp, metric, scope, form, baseline)
    left, right = st.columns([3, 2], gap="large") if scores.columns else (st.container(), None)
    with left:
        show_runs(root, scores, stamp, metric, form, scope, baseline, own_noise=lender is None)
    if right is not None:
        with right:
            show_curves(root, scores, stamp, form)
        show_solved(root, scores, stamp)
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


def heading(scores: Scores, stamp: Stamp, answer: str, reading: Reading) -> None:
    """The question, the sentence that answers it, what was evaluated, and what to be careful with."""
    name = scores.experiment.name
    st.subheader(plain(scores.experiment.question or name))
    st.markdown(f"**{plain(answer)}**")
    st.caption(plain(caveats.honest_sentence(root, scores)))
    show_alarms(root, name)
    cautions = caveats.warnings(scores, reading)
    cautions += filter(None, (looks_of(root, name, stamp),))
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
    found = records_of(root, name, stamp, tuple(columns), form, scope, baseline, lender)
    cells = {(record["variant"], record["metric"]): record for record in found}
    colours = variant_colours(scores.variants, scores.experiment.baseline)
    with place:
        labels = seen_labels(scores)
        links = compare_links(name, rows, baseline, metric)
        shown_table = functools.partial(result_table, links=links, dictionary=DICTIONARY)
        st.html(shown_table(rows, cells, columns, metric, baseline, scope, colours, labels))
        sentence = number_format.scope_sentence(scores, scope, form, columns)
        st.caption(f"{plain(sentence)} {word('What is a scope?', scope)}")
        spread = spreads_of(root, name, stamp, metric, form, scope, baseline, lender)
        if spread:
            st.caption(plain(spread))
    order = {row.variant: number for number, row in enumerate(rows)}
    lent = None if lender is None else lender[0]
    line = text_tables.results_command(scores, columns, form, scope, baseline, noise_of=lent)
    reading = reading_of(root, columns, form, scope, baseline, lender)
    best_first = sorted(found, key=lambda record: order[record["variant"]])
    with left:

        def table() -> text_tables.Table:
            caption = captions.results_caption(root, scores, reading)
            made = text_tables.results_table(best_first, line, caption, captions.marks(root, name))
            return text_tables.with_test_time(made, scores)

        file_row(table, line, name, "results", lambda: html_report(root, name, reading))


def compare_links(name: str, rows: list[verdicts.Row], baseline: str, metric: str) -> dict[str, str]:
    """Where each variant but the baseline is compared with it."""
    others = [row.variant for row in rows if row.variant != baseline and row.summary.n]
    return {
        variant: "compare?"
        + urlencode({"experiment": name, "a": baseline, "b": variant, "metric": metric, "baseline": baseline})
        for variant in others
    }


experiment_page.page(root, [2, 2, 2, 2], show_experiment)
with st.expander("Import a table of results", icon=":material/upload_file:", key="import scores"):
    score_upload(root)
with st.expander("Import predictions", icon=":material/upload_file:", key="import predictions"):
    prediction_upload(root)
