"""Compare: where do A and B differ? The baseline against the best variant, until others are chosen."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from core.curation.sources import tasks_stamp
from core.experiments.experiment import list_experiments
from core.reports import captions, text_tables
from core.reports.variant_styles import variant_colours
from core.results import answers as core_answers
from core.results import differences as core_differences
from core.results import number_format, verdicts
from core.results.answers import Answer
from core.results.differences import ORDERS, SHOWN, TaskDifference
from core.results.loading import Evaluation, Scores
from core.results.number_format import p_text
from core.results.paired import MEANING, paired_records
from core.results.reading import Reading
from core.results.run_values import offered_metrics
from core.scoring.metrics import AGGREGATIONS
from core.spread.scopes import SCOPES
from core.sql.chart_queries import differences_query
from dashboard.components import charts, experiment_page, sql_links
from dashboard.components.attempts import show_cards, show_opened
from dashboard.components.comparison import show_numbers, show_recipes
from dashboard.components.files import file_row
from dashboard.components.joint import show_joint
from dashboard.components.picker import choose, choose_some, chooses, difference_list, pick, task_name
from dashboard.components.responsive_columns import beside
from dashboard.components.small_table import show_small_table
from dashboard.components.task_subsets import show_compared_parts
from dashboard.components.wording import plain
from dashboard.root import project_root

root = project_root()

MOST_LISTED = 100
THIS = "this experiment"


@st.cache_data(max_entries=64, show_spinner=False)
def differences_of(
    name: str, stamp: experiment_page.Stamp, a: str, b: str, metric: str, form: str
) -> list[TaskDifference]:
    return core_differences.task_differences(experiment_page.scores_of(root, name, stamp), a, b, metric, form)


@st.cache_data(max_entries=64, show_spinner=False)
def records_of(
    name: str, stamp: experiment_page.Stamp, a: str, b: str, metric: str, form: str, baseline: str
) -> list[dict[str, Any]]:
    scores = experiment_page.scores_of(root, name, stamp)
    return verdicts.compare_records(scores, a, b, Reading((metric,), form, baseline=baseline))


def table_baseline(scores: Scores) -> str:
    """The baseline of the table that this pair is part of: that of Results, where a link came from there."""
    named = st.query_params.get("baseline", "")
    return named if named in scores.variants else scores.experiment.baseline


@st.cache_resource(max_entries=32, show_spinner=False)
def figure_of(name: str, stamp: experiment_page.Stamp, a: str, b: str, metric: str, form: str) -> Any:
    scores = experiment_page.scores_of(root, name, stamp)
    colours = variant_colours(scores.variants, scores.experiment.baseline)
    found = differences_of(name, stamp, a, b, metric, form)
    return charts.difference_chart(found, a, b, colours, scores.experiment.test_time)


@st.cache_data(max_entries=64, show_spinner=False)
def pair_of(name: str, stamp: experiment_page.Stamp, metric: str) -> tuple[str, str]:
    return core_differences.first_pair(experiment_page.scores_of(root, name, stamp), metric)


def evaluations_of(name: str, stamp: experiment_page.Stamp, a: str, b: str) -> list[Evaluation]:
    scores = experiment_page.scores_of(root, name, stamp)
    return [one for one in scores.evaluations if one.variant in (a, b)]


@st.cache_data(max_entries=64, show_spinner=False)
def answers_of(
    name: str,
    stamp: experiment_page.Stamp,
    tasks: experiment_page.TasksStamp,
    task: tuple[str, str],
    a: str,
    b: str,
) -> list[Answer]:
    return core_answers.answers_of(root, name, evaluations_of(name, stamp, a, b), *task, unit="variant")


@st.cache_data(max_entries=64, show_spinner=False)
def shared_of(
    name: str, stamp: experiment_page.Stamp, a: str, b: str, metric: str, form: str
) -> list[dict[str, Any]]:
    return paired_records(root, experiment_page.scores_of(root, name, stamp), a, b, Reading((metric,), form))


def show_experiment(name: str, stamp: experiment_page.Stamp, boxes: list[Any]) -> None:
    """Headline, numbers, chart and list, the chosen task, and the settings that differ."""
    scores = experiment_page.scores_of(root, name, stamp)
    if experiment_page.waiting(scores):
        return
    with boxes[4]:
        others = [one for one in list_experiments(root) if one != name]
        words = "B may come from another experiment that was evaluated on the same tasks in the same way."
        other = choose("beside", "with", [THIS, *others], THIS, help=words)
    if other != THIS:
        show_joint(root, name, other, boxes)
        return
    variants = [variant for variant, runs in scores.runs.items() if runs]
    if len(variants) < 2:
        st.info("Only one variant is evaluated so far: there is nothing to compare it with.")
        experiment_page.offer_runs(name)
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
    baseline = table_baseline(scores)
    records = records_of(name, stamp, a, b, metric, form, baseline)
    record = next(one for one in records if one["scope"] == "recipe")
    st.subheader(plain(core_differences.headline(a, b, record)))
    if imported:
        show_imported(scores, a, b, records, baseline)
        return
    found = differences_of(name, stamp, a, b, metric, form)
    colours = variant_colours(scores.variants, scores.experiment.baseline)
    show_numbers(scores, a, b, metric, form, record, found)
    show_shared(name, stamp, a, b, metric, form)
    counted = text_tables.unless(form, "by_task")
    own = text_tables.unless(baseline, scores.experiment.baseline)
    line = text_tables.command("compare", name, a, b, metric=metric, aggregation=counted, baseline=own)

    def verdicts_table() -> text_tables.Table:
        caption = captions.comparison_caption(root, scores, a, b, Reading(baseline=baseline))
        table = text_tables.comparison_table(records, a, b, line, caption)
        return text_tables.with_test_time(table, scores)

    def tasks_table() -> text_tables.Table:
        table = text_tables.tasks_table(found, a, b, metric, f"{line} --tasks")
        return text_tables.with_test_time(table, scores)

    file_row(verdicts_table, line, f"{name} {a} {b}", "verdicts")
    figure = figure_of(name, stamp, a, b, metric, form)
    query = differences_query(scores, a, b, metric, form)
    show_compared_parts(root, scores, stamp, (a, b), metric, form, baseline, line)
    show_tasks(name, stamp, scores, a, b, found, colours, line, tasks_table, figure, query)
    show_settings(scores, a, b)


def show_shared(name: str, stamp: experiment_page.Stamp, a: str, b: str, metric: str, form: str) -> None:
    """The difference within trained models that both share, as with and without test-time training."""
    found = shared_of(name, stamp, a, b, metric, form)
    if not found:
        return
    (record,) = found
    points = number_format.difference(record["difference"], record["low"], record["high"], record["unit"])
    words = number_format.unit_words(record["unit"], of_difference=True)
    with st.container(border=True):
        st.markdown("**Shared trainings**", help=f"Generalises over: {MEANING}.")
        st.markdown(f"{points} {words} of {plain(metric)}: **{record['verdict']}**, {p_text(record['p'])}")
        spread = ""
        if record["std"] is not None and record["apart_std"] is not None:
            unit = record["unit"]
            std, apart = (number_format.spread_text_of(record[one], unit) for one in ("std", "apart_std"))
            spread = (
                f" The difference varies by {std} {words} between them; trained apart it would by {apart}."
            )
        st.caption(f"B − A within each of {record['trainings']} trained models that both start from.{spread}")


def show_imported(scores: Scores, a: str, b: str, records: list[dict[str, Any]], baseline: str) -> None:
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
    reading = Reading(tuple(metrics), baseline=baseline)
    every = verdicts.compare_records(scores, a, b, reading)
    own = text_tables.unless(baseline, scores.experiment.baseline)
    table = text_tables.comparison_table(
        every,
        a,
        b,
        text_tables.command("compare", name, a, b, metric=metrics, baseline=own),
        captions.comparison_caption(root, scores, a, b, reading),
    )
    st.markdown("**All metrics**")
    show_small_table(table)
    file_row(lambda: table, table.command, f"{name} {a} {b}", "verdicts")
    st.caption("These results were imported: they hold numbers, but no tasks, no answers and no settings.")


def show_tasks(
    name: str,
    stamp: experiment_page.Stamp,
    scores: Scores,
    a: str,
    b: str,
    found: list[TaskDifference],
    colours: dict[str, str],
    line: str,
    table: Callable[[], text_tables.Table],
    figure: Any,
    query: str,
) -> None:
    """The list of tasks beside the chart, then the answers of both to the chosen one."""
    left, right = beside("tasks", 2)
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
            lines = difference_list(listed[:MOST_LISTED], thumbnails)
            pick("compare", lines, task_name(chosen), chooses("task"))
        if len(listed) > MOST_LISTED:
            st.caption(f"The first {MOST_LISTED} of {len(listed)} tasks; the box finds any.")
        file_row(table, f"{line} --tasks", f"{name} {a} {b} tasks", "tasks")
        st.markdown(
            f"**A** {swatch(colours[a])} {plain(a)} against **B** {swatch(colours[b])} {plain(b)}",
            unsafe_allow_html=True,
        )
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
    found = answers_of(name, stamp, tasks_stamp(root, [one.source]), (one.source, one.task_id), a, b)
    for label, variant in zip("AB", (a, b), strict=True):
        st.markdown(f"**{label}** · answers of all runs of {plain(variant)} by votes")
        own = [answer for answer in found if answer.variant == variant]
        show_cards(f"compare answers {label}", own, task, colours)
    show_opened(root, name, evaluations_of(name, stamp, a, b), found, task)


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
    show_small_table(text_tables.Table(["setting", f"A: {a}", f"B: {b}"], lines, [], 3))


experiment_page.page(root, [1.8, 1.8, 1.4, 1.5, 2], show_experiment)
