"""Variants of two experiments side by side, where both were evaluated alike."""

from pathlib import Path
from typing import Any

import streamlit as st

from core.curation.sources import tasks_stamp
from core.reports import text_tables
from core.reports.variant_styles import variant_colours
from core.results import differences as core_differences
from core.results import verdicts
from core.results.answers import Answer
from core.results.joint import home_of, joined, joint_answers
from core.results.loading import Scores
from core.results.reading import Reading
from core.results.run_values import offered_metrics
from core.scoring.metrics import AGGREGATIONS
from dashboard.components import charts, experiment_page, sql_links
from dashboard.components.attempts import show_cards, show_opened
from dashboard.components.comparison import show_numbers
from dashboard.components.files import file_row
from dashboard.components.leak_notice import leak_notice
from dashboard.components.picker import choose, chooses, difference_list, pick, task_name
from dashboard.components.wording import plain

MOST_LISTED = 100


@st.cache_resource(max_entries=4, show_spinner="Reading the scores …")
def joint_of(
    root: Path, name: str, stamp: experiment_page.Stamp, other: str, other_stamp: experiment_page.Stamp
) -> Scores:
    """The joint scores, made anew when a file of either experiment changed."""
    first = experiment_page.scores_of(root, name, stamp)
    return joined(root, first, experiment_page.scores_of(root, other, other_stamp))


@st.cache_data(max_entries=64, show_spinner=False)
def answers_of(
    root: Path,
    name: str,
    stamp: experiment_page.Stamp,
    other: str,
    other_stamp: experiment_page.Stamp,
    tasks: experiment_page.TasksStamp,
    variant: str,
    task: tuple[str, str],
) -> list[Answer]:
    """What all runs of a variant of the joint table answered to a task."""
    return joint_answers(root, joint_of(root, name, stamp, other, other_stamp), other, variant, *task)


def show_joint(root: Path, name: str, other: str, boxes: list[Any]) -> None:
    """Variants of two experiments side by side, or in what their evaluations differ."""
    both = root, name, experiment_page.stamp_of(root, name), other, experiment_page.stamp_of(root, other)
    scores = joint_of(*both)
    leak_notice(root, other, named=True)
    variants = [variant for variant, runs in scores.runs.items() if runs]
    first = next(one for one in variants if one.endswith(f"({other})"))
    with boxes[2]:
        metric = choose("metric", "metric", offered_metrics(scores), scores.experiment.metrics[0])
    with boxes[3]:
        form = choose("aggregation", "aggregation", list(AGGREGATIONS), "by_task")
    with boxes[0]:
        baseline = scores.experiment.baseline
        a = choose("A", "a", variants, baseline if baseline in variants else variants[0])
    with boxes[1]:
        b = choose("B", "b", variants, first)
    if a == b:
        st.info(f"A and B are both {plain(a)}. Choose another variant for one of them.")
        return
    records = verdicts.compare_records(scores, a, b, Reading((metric,), form))
    record = next(one for one in records if one["scope"] == "recipe")
    st.subheader(plain(core_differences.headline(a, b, record)))
    found = core_differences.task_differences(scores, a, b, metric, form)
    show_numbers(scores, a, b, metric, form, record, found)
    options = {"metric": metric, "aggregation": text_tables.unless(form, "by_task"), "with": other}
    line = text_tables.command("compare", name, a, b, **options)
    file_row(lambda: text_tables.comparison_table(records, a, b, line), line, f"{name} {a} {b}", "verdicts")
    colours = variant_colours(scores.variants, scores.experiment.baseline)
    figure = charts.difference_chart(found, a, b, colours)
    st.plotly_chart(figure, key="joint chart", config=sql_links.picture_button("difference"))
    left, right = st.columns(2, gap="large")
    with left:
        chosen = experiment_page.choose_task([(one.source, one.task_id) for one in found])
        lines = difference_list(found[:MOST_LISTED], experiment_page.tasks_of(root, scores))
        pick("joint tasks", lines, task_name(chosen), chooses("task"))
        file_row(
            lambda: text_tables.tasks_table(found, a, b, metric, f"{line} --tasks"),
            f"{line} --tasks",
            f"{name} {a} {b} tasks",
            "tasks",
        )
    one = next(one for one in found if (one.source, one.task_id) == chosen)
    with right:
        task = experiment_page.show_task(root, chosen, one.words)
        for label, variant in (("A", a), ("B", b)):
            st.markdown(f"**{label}** · answers of all runs of {plain(variant)} by votes")
            home, own, evaluations = home_of(scores, other, variant)
            answers = answers_of(*both, tasks_stamp(root, chosen[:1]), variant, chosen)
            show_cards(f"joint {label}", answers, task, {own: colours[variant]}, side=label)
            show_opened(root, home, evaluations, answers, task, side=label)
