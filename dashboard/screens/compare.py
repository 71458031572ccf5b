"""Compare: where do A and B differ? The baseline against the best variant, until others are chosen."""

import html
from typing import Any

import streamlit as st

from core.reports import text_tables
from core.reports.figures import variant_colours
from core.results import answers as core_answers
from core.results import differences as core_differences
from core.results import number_format, verdicts
from core.results.answers import Answer
from core.results.differences import ORDERS, SHOWN, TaskDifference
from core.results.loading import Scores
from core.results.number_format import p_text
from core.results.tables import offered_metrics
from core.scoring.metrics import AGGREGATIONS
from core.spread.intervals import SCOPES, wilson
from core.sql.chart_queries import differences_query
from dashboard.components import charts, experiment_page, sql_links
from dashboard.components.answer_cards import answer_lines
from dashboard.components.files import file_row
from dashboard.components.picker import choose, choose_some, difference_list, pick, task_name
from dashboard.components.wording import plain
from dashboard.root import project_root

root = project_root()

MOST_LISTED = 100


@st.cache_data(max_entries=64, show_spinner=False)
def differences_of(
    name: str, stamp: experiment_page.Stamp, a: str, b: str, metric: str, form: str
) -> list[TaskDifference]:
    return core_differences.task_differences(experiment_page.scores_of(root, name, stamp), a, b, metric, form)


@st.cache_data(max_entries=64, show_spinner=False)
def records_of(
    name: str, stamp: experiment_page.Stamp, a: str, b: str, metric: str, form: str
) -> list[dict[str, Any]]:
    scores = experiment_page.scores_of(root, name, stamp)
    return verdicts.compare_records(scores, a, b, [metric], None, form)


@st.cache_data(max_entries=64, show_spinner=False)
def pair_of(name: str, stamp: experiment_page.Stamp, metric: str) -> tuple[str, str]:
    return core_differences.first_pair(experiment_page.scores_of(root, name, stamp), metric)


@st.cache_data(max_entries=64, show_spinner=False)
def answers_of(
    name: str, stamp: experiment_page.Stamp, task: tuple[str, str], a: str, b: str
) -> list[Answer]:
    scores = experiment_page.scores_of(root, name, stamp)
    of = [one for one in scores.evaluations if one.variant in (a, b)]
    return core_answers.answers_of(root, name, of, *task, unit="variant")


def show_experiment(name: str, boxes: list[Any]) -> None:
    """Headline, numbers, chart and list, the chosen task, and the settings that differ."""
    stamp = experiment_page.stamp_of(root, name)
    scores = experiment_page.scores_of(root, name, stamp)
    if experiment_page.waiting(scores):
        return
    variants = [variant for variant, runs in scores.runs.items() if runs]
    if len(variants) < 2:
        st.info("Only one variant is evaluated so far: there is nothing to compare it with.")
        st.code(f"python -m core runs list {name}", language="bash")
        return
    metrics, imported = offered_metrics(scores), scores.experiment.imported
    with boxes[2]:
        metric = choose("metric", "metric", metrics, metrics[0])
    with boxes[3]:
        forms = [form for form in AGGREGATIONS if form == "by_task" or not imported]
        form = choose("aggregation", "aggregation", forms, "by_task")
    first_a, first_b = pair_of(name, stamp, metric)
    with boxes[0]:
        a = choose("A", "a", variants, first_a if first_a in variants else variants[0])
    with boxes[1]:
        b = choose("B", "b", variants, first_b if first_b != a else variants[1])
    if a == b:
        st.info(f"A and B are both {plain(a)}. Choose another variant for one of them.")
        return
    records = records_of(name, stamp, a, b, metric, form)
    record = next(one for one in records if one["scope"] == "recipe")
    st.subheader(plain(core_differences.headline(a, b, record)))
    if imported:
        show_imported(scores, a, b, records)
        return
    found = differences_of(name, stamp, a, b, metric, form)
    colours = variant_colours(scores.variants, scores.experiment.baseline)
    show_numbers(scores, a, b, metric, form, record, found)
    counted = text_tables.unless(form, "by_task")
    line = text_tables.command("compare", name, a, b, metric=metric, aggregation=counted)
    file_row(text_tables.comparison_table(records, a, b, line), f"{name} {a} {b}", "verdicts")
    table = text_tables.tasks_table(found, a, b, metric, f"{line} --tasks")
    query = differences_query(scores, a, b, metric, form)
    show_tasks(name, stamp, scores, a, b, found, colours, table, query)
    show_settings(scores, a, b)


def show_numbers(
    scores: Scores,
    a: str,
    b: str,
    metric: str,
    form: str,
    record: dict[str, Any],
    found: list[TaskDifference],
) -> None:
    """The verdict over recipes, the tasks won and lost, and the test of these checkpoints apart from it."""
    over, tasks, these = st.columns([3, 3, 3], border=True)
    with over:
        show_recipes(scores, a, b, record, form)
    paired = core_differences.these_checkpoints(scores, a, b, metric, form)
    tasks.markdown("**Tasks**", help=f"A task is won where the mean {plain(metric)} of B's runs is higher.")
    tasks.markdown(f"B wins **{paired.wins}**, loses **{paired.losses}**, ties **{paired.ties}**")
    alone = {
        words: sum(one.words == words for one in found) for words in ("A wrong, B right", "A right, B wrong")
    }
    tasks.caption(
        f"Solved by B alone: {alone['A wrong, B right']}, by A alone: {alone['A right, B wrong']},"
        f" in any attempt of any run."
    )
    if paired.wins + paired.losses:
        share = paired.wins / (paired.wins + paired.losses)
        low, high = (float(end) for end in wilson(paired.wins, paired.wins + paired.losses))
        ends = " to ".join(number_format.percent(end, 0) for end in (low, high))
        tasks.caption(
            f"Of tasks like these that the two answer differently, B wins {number_format.percent(share, 0)} %"
            f" ({ends} %)."
        )
    these.markdown("**These checkpoints**", help=f"Holds for {plain(paired.label)}.")
    points = number_format.difference(paired.difference, paired.low, paired.high)
    these.markdown(f"{points} points, paired over tasks, {p_text(paired.p)}")
    these.caption(f"Holds for {plain(paired.label)}.")


def show_recipes(scores: Scores, a: str, b: str, record: dict[str, Any], form: str) -> None:
    """The verdict that generalises over trainings, and how often a training of B beats one of A."""
    st.markdown("**These recipes**", help=f"Generalises over: {SCOPES['recipe'].over}.")
    words = number_format.unit_words(record["unit"], of_difference=True)
    points = number_format.difference(record["difference"], record["low"], record["high"], record["unit"])
    st.markdown(f"{points} {words} of {plain(record['metric'])}: **{record['verdict']}**")
    runs = " and ".join(str(len(scores.runs[variant])) for variant in (a, b))
    if record["p"] is None:
        st.caption(f"B − A of {runs} trainings. A test needs 2 or more of each, and some noise.")
    else:
        count = record["comparisons"]
        beside = "the only comparison" if count == 1 else f"one of {count} comparisons of this table"
        alone = "" if count == 1 else f" ({p_text(record['p_alone'])} had it been the only one)"
        st.caption(
            f"B − A of {runs} trainings with its 95 % interval, {beside}, {p_text(record['p'])}{alone}."
        )
    found = core_differences.improvement(scores, a, b, record["metric"], form)
    if found.probability is not None and found.low is not None and found.high is not None:
        low, high = (number_format.percent(end, 0) for end in (found.low, found.high))
        share = number_format.percent(found.probability, 0)
        st.caption(f"Another training of B beats one of A with a chance of {share} % ({low} to {high} %).")


def show_imported(scores: Scores, a: str, b: str, records: list[dict[str, Any]]) -> None:
    """The verdicts of results without tasks: over trainings, of these models apart, and all metrics."""
    over, these = st.columns(2, border=True)
    found = {record["scope"]: record for record in records}
    with over:
        show_recipes(scores, a, b, found["recipe"], "by_task")
    these.markdown("**These models**", help=f"Holds for {SCOPES['checkpoint'].over}.")
    if "checkpoint" in found:
        record = found["checkpoint"]
        words = number_format.unit_words(record["unit"], of_difference=True)
        points = number_format.difference(record["difference"], record["low"], record["high"], record["unit"])
        these.markdown(f"{points} {words}, by the spread of their evaluations, {p_text(record['p'])}")
        these.caption(f"Holds for {SCOPES['checkpoint'].over}.")
    else:
        these.caption("Mean, std and n came without single runs: nothing is known of evaluations.")
    name, metrics = scores.experiment.name, offered_metrics(scores)
    every = verdicts.compare_records(scores, a, b, metrics)
    table = text_tables.comparison_table(
        every, a, b, text_tables.command("compare", name, a, b, metric=metrics)
    )
    st.markdown("**All metrics**")
    show_small_table(table.header, table.rows)
    file_row(table, f"{name} {a} {b}", "verdicts")
    st.caption("These results were imported: they hold numbers, but no tasks, no answers and no settings.")


def show_tasks(
    name: str,
    stamp: experiment_page.Stamp,
    scores: Scores,
    a: str,
    b: str,
    found: list[TaskDifference],
    colours: dict[str, str],
    table: text_tables.Table,
    query: str,
) -> None:
    """The list of tasks beside the chart, then the answers of both to the chosen one."""
    left, right = st.columns(2, gap="large")
    with left:
        counts = {kind: len(core_differences.kept(found, [kind])) for kind in SHOWN}
        words = {kind: f"{text} ({counts[kind]})" for kind, text in SHOWN.items()}
        kinds = choose_some("tasks", "show", words, label_visibility="collapsed")
        place = st.container()
        first, second = st.columns([1, 2])
        with first:
            order = choose("order", "sort", list(ORDERS), "difference", help=orders_help())
        in_order = core_differences.sorted_by(found, order)
        listed = core_differences.kept(in_order, kinds)
        with second:
            chosen = experiment_page.choose_task([(one.source, one.task_id) for one in in_order])
        with place:
            thumbnails = experiment_page.tasks_of(root, scores)
            pick("compare", "task", task_name(chosen), difference_list(listed[:MOST_LISTED], thumbnails))
        if len(listed) > MOST_LISTED:
            st.caption(f"The first {MOST_LISTED} of {len(listed)} tasks; the box finds any.")
        file_row(table, f"{name} {a} {b} tasks", "tasks")
        st.markdown(
            f"**A** {swatch(colours[a])} {plain(a)} against **B** {swatch(colours[b])} {plain(b)}",
            unsafe_allow_html=True,
        )
        figure = charts.difference_chart(found, a, b, colours)
        sql_links.chart(figure, "compare", "difference chart", query)
    one = next(one for one in found if (one.source, one.task_id) == chosen)
    with right:
        show_answers(name, stamp, one, a, b, colours)


def orders_help() -> str:
    return "The order of the list." + "".join(f"\n- **{name}**: {words}" for name, words in ORDERS.items())


def swatch(colour: str) -> str:
    return f'<span style="color:{colour}">●</span>'


def show_answers(
    name: str, stamp: experiment_page.Stamp, one: TaskDifference, a: str, b: str, colours: dict[str, str]
) -> None:
    """One task, and what the runs of A and of B answered, beside each other."""
    task = experiment_page.show_task(root, (one.source, one.task_id), one.words)
    found = answers_of(name, stamp, (one.source, one.task_id), a, b)
    for label, variant in zip("AB", (a, b), strict=True):
        st.markdown(f"**{label}** · answers of all runs of {plain(variant)} by votes")
        st.html(answer_lines([answer for answer in found if answer.variant == variant], task, colours))


def show_settings(scores: Scores, a: str, b: str) -> None:
    """The settings that are not the same, and only these."""
    rows = core_differences.differing_settings(root, scores, a, b)
    st.markdown(
        f"**Settings that differ: {len(rows)}**"
        if rows
        else "**No setting differs** between the two recipes."
    )
    if not rows:
        return
    text = core_differences.setting_text
    lines = [[row["setting"], text(row["a"]), text(row["b"])] for row in rows]
    show_small_table(["setting", f"A: {a}", f"B: {b}"], lines)


def show_small_table(header: list[str], rows: list[list[str]]) -> None:
    """A few lines of words and numbers."""
    head = "".join(f"<th>{html.escape(word)}</th>" for word in header)
    lines = ("".join(f"<td>{html.escape(word)}</td>" for word in row) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    st.html(f'<table class="settings">{STYLE}<tr>{head}</tr>{body}</table>')


STYLE = """<style>
table.settings { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
table.settings th, table.settings td {
  text-align: left; padding: 0.3rem 1.4rem 0.3rem 0; border-bottom: 1px solid rgba(128, 128, 128, 0.2);
}
table.settings th { opacity: 0.72; font-size: 0.82rem; }
</style>"""

experiment_page.page(root, [2, 2, 1.5, 1.5], show_experiment)
