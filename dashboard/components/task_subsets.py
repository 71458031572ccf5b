"""Results and comparisons of parts of the evaluated tasks, once a way to part them is chosen."""

from pathlib import Path
from typing import Any

import streamlit as st

from core.curation.sources import tasks_stamp
from core.reports import task_subsets, text_tables
from core.results.loading import Scores
from core.results.reading import Reading
from dashboard.components import experiment_page
from dashboard.components.error_guard import sentences
from dashboard.components.experiment_page import Stamp, TasksStamp
from dashboard.components.files import file_row
from dashboard.components.small_table import show_small_table
from dashboard.components.wording import plain


@st.cache_data(max_entries=32, show_spinner="Reading the tasks …")
def parts_of(
    root: Path,
    name: str,
    stamp: Stamp,
    tasks: TasksStamp,
    by: str,
    metric: str,
    form: str,
    scope: str,
    baseline: str,
) -> list[dict[str, Any]]:
    """The records of all parts."""
    scores = experiment_page.scores_of(root, name, stamp)
    return task_subsets.part_records(root, scores, by, Reading((metric,), form, scope, baseline))


@st.cache_data(max_entries=32, show_spinner="Reading the tasks …")
def compared_parts_of(
    root: Path,
    name: str,
    stamp: Stamp,
    tasks: TasksStamp,
    by: str,
    pair: tuple[str, str],
    metric: str,
    form: str,
    baseline: str,
) -> list[dict[str, Any]]:
    """The comparison of a pair in all parts."""
    scores = experiment_page.scores_of(root, name, stamp)
    return task_subsets.compared_parts(root, scores, by, *pair, Reading((metric,), form, baseline=baseline))


def tasks_of(root: Path, scores: Scores) -> TasksStamp:
    """Changes when an evaluated task may have."""
    return tasks_stamp(root, (source for source, _ in scores.tasks))


def show_parts(
    root: Path, scores: Scores, stamp: Stamp, metric: str, scope: str, form: str, baseline: str
) -> None:
    """One metric of every variant in each part."""
    by = _chosen("results by", scores)
    if by is None:
        return
    name = scores.experiment.name
    line = text_tables.results_command(scores, metric, form, scope, baseline, by=by)
    with sentences():
        found = parts_of(root, name, stamp, tasks_of(root, scores), by, metric, form, scope, baseline)
        _show(task_subsets.parts_table(found, by, line, task_subsets.exploratory()), f"{name} by {by}")


def show_compared_parts(
    root: Path,
    scores: Scores,
    stamp: Stamp,
    pair: tuple[str, str],
    metric: str,
    form: str,
    baseline: str,
    line: str,
) -> None:
    """B against A in each part; `line` is the command of the whole comparison."""
    by = _chosen("verdicts by", scores)
    if by is None:
        return
    name = scores.experiment.name
    with sentences():
        found = compared_parts_of(root, name, stamp, tasks_of(root, scores), by, pair, metric, form, baseline)
        table = task_subsets.compared_parts_table(found, by, *pair, f"{line} --by {by}")
        _show(table, f"{name} {' '.join(pair)} by {by}")


def _chosen(label: str, scores: Scores) -> str | None:
    """How the tasks are parted; None while nothing is chosen, and for results without tasks."""
    if not scores.columns:
        return None
    hint = "".join(f"\n- **{name}**: {words}" for name, words in task_subsets.BY.items())
    chosen: str | None = st.segmented_control(
        label, list(task_subsets.BY), key="by", bind="query-params", help=hint
    )
    return chosen


def _show(table: text_tables.Table, name: str) -> None:
    show_small_table(table)
    st.caption(plain(task_subsets.exploratory()))
    file_row(lambda: table, table.command, name, "parts")
