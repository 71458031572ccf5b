"""Test-time training as the pages show it: a run's groups with their losses, and one task's in every run."""

import html
from collections.abc import Iterable, Sequence
from pathlib import Path

import streamlit as st

from core.results.loading import Scores
from core.runs.adapted import AdaptedGroup, adapted_groups, adapted_tasks
from core.runs.layout import Run
from dashboard.components.error_guard import sentences
from dashboard.components.launch_card import STYLE
from dashboard.components.wording import plain, seconds_in_words

UNKNOWN = "–"
MOST_GROUPS = 100


def run_adaptation(run: Run, tasks: int | None) -> None:
    """How many tasks of a run are adapted, and how the loss of each group went."""
    groups = adapted_groups(run.folder)
    done = sum(len(group.tasks) for group in groups)
    of = UNKNOWN if tasks is None else f"{tasks:,}"
    st.markdown(f":violet[**Test-time training**] of {plain(run.name)}: {done:,} of {of} tasks adapted")
    if groups:
        rows = [_row(_names(group), group) for group in groups[:MOST_GROUPS]]
        _show(["tasks", "loss", "steps", "took"], rows)
    if len(groups) > MOST_GROUPS:
        st.caption(f"The first {MOST_GROUPS} of {len(groups):,} groups; adapted.json holds all.")


def task_adaptation(root: Path, scores: Scores, task: tuple[str, str]) -> None:
    """The loss before and after of the task's group in every run that adapted to it, and how often each run's
    attempts were right, also of those that did not."""
    name, rows, adapted = scores.experiment.name, [], False
    for variant, seeds in scores.runs.items():
        for seed, places in seeds.items():
            with sentences():
                group = adapted_tasks(Run(root, name, variant, seed).folder).get(task)
                adapted = adapted or group is not None
                label = f"{variant} · {seed}"
                rows.append([*_row(label, group), _right(scores, task, places)])
    if adapted:
        st.markdown(":violet[**Test-time training**] on this task's demonstrations, run by run")
        _show(["run", "loss", "steps", "took", "attempts right"], rows)


def _right(scores: Scores, task: tuple[str, str], places: Sequence[int]) -> str:
    outputs = scores.task_index == scores.tasks.index(task)
    right, made = (
        int(scores.columns[name][list(places)][:, outputs].sum()) for name in ("correct", "attempts")
    )
    return f"{right:,} of {made:,}"


def _names(group: AdaptedGroup) -> str:
    names = ", ".join(task_id for _, task_id in group.tasks[:3])
    return names + (f" and {len(group.tasks) - 3} more" if len(group.tasks) > 3 else "")


def _row(label: str, group: AdaptedGroup | None) -> list[str]:
    if group is None or group.loss_before is None or group.loss_after is None:
        nothing = "too long to learn from" if group and group.too_long else "nothing to learn from"
        return [label, "without" if group is None else nothing, UNKNOWN, UNKNOWN]
    took = UNKNOWN if group.seconds is None else seconds_in_words(group.seconds)
    loss = f"{group.loss_before:.3f} → {group.loss_after:.3f}"
    return [label, loss, UNKNOWN if group.steps is None else f"{group.steps:,}", took]


def _show(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table of so much height that what stands below it is not pushed away."""
    with st.container(height=min(260, 60 + 34 * len(rows)), border=False):
        st.html(_table(header, rows))


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(word)}</th>" for word in header)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'{STYLE}<table class="quiet-table"><tr>{head}</tr>{body}</table>'
