"""Two variants in numbers: the verdict on recipes, tasks won and lost, and the test of these checkpoints."""

from typing import Any

import streamlit as st

from core.number_words import share_text
from core.results import differences as core_differences
from core.results import number_format
from core.results.differences import TaskDifference
from core.results.loading import Scores
from core.results.number_format import p_text
from core.spread.intervals import wilson
from core.spread.scopes import SCOPES
from dashboard.components.wording import plain


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
    better = "higher" if scores.higher_is_better(metric) else "lower"
    tasks.markdown("**Tasks**", help=f"A task is won where the mean {plain(metric)} of B's runs is {better}.")
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
        ends = " to ".join(share_text(end, 0) for end in (low, high))
        differ = "Of tasks like these on which these trained models differ"
        tasks.caption(f"{differ}, B's win {share_text(share, 0)} ({ends}).")
    these.markdown("**These checkpoints**", help=f"Holds for {plain(paired.label)}.")
    unit = scores.unit(metric)
    points = number_format.difference(paired.difference, paired.low, paired.high, unit)
    words = number_format.unit_words(unit, of_difference=True)
    these.markdown(f"{points} {words}, paired over tasks, {p_text(paired.p)}")
    these.caption(f"Holds for {plain(paired.label)}.")


def show_recipes(scores: Scores, a: str, b: str, record: dict[str, Any], form: str) -> None:
    """The verdict that generalises over trainings, and how often a training of B beats one of A."""
    st.markdown("**These recipes**", help=f"Generalises over: {SCOPES['recipe'].over}.")
    points = number_format.difference_with_unit(record)
    st.markdown(f"{points} of {plain(record['metric'])}: **{record['verdict']}**")
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
        low, high = (share_text(end, 0) for end in (found.low, found.high))
        share = share_text(found.probability, 0)
        st.caption(f"Another training of B beats one of A with a chance of {share} ({low} to {high}).")
