"""Answers to click on, and the attempts behind one of them: prompt and raw text, stepped through with keys.

The open answer and the place among its attempts stand in the address.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import streamlit as st

from core.arc.tasks import Task
from core.results.answers import KINDS, Answer, attempts_of
from core.results.attempt_prompt import attempt_prompt
from core.results.loading import Evaluation
from dashboard.components.answer_cards import STYLE, answer_id, answer_lines, card_html, owner_words
from dashboard.components.error_guard import sentences
from dashboard.components.glossary_links import word
from dashboard.components.picker import pick
from dashboard.components.wording import plain

ANSWER, PLACE, SIDE = "answer", "attempt", "side"


def show_cards(
    page: str,
    answers: Sequence[Answer],
    task: Task,
    colours: Mapping[str, str],
    kinds: Sequence[str] = tuple(KINDS),
    side: str = "",
) -> None:
    """The answers by votes; a click on one opens it. `side` tells lists apart in which answers may have the
    same id."""
    content = answer_lines(answers, task, dict(colours), kinds)
    opened = st.query_params.get(ANSWER, "") if st.query_params.get(SIDE, "") == side else ""
    pick(page, content, opened, lambda picked, _: _open(picked, side))


def _open(answer: str, side: str) -> None:
    st.query_params[ANSWER], st.query_params[PLACE] = answer, "1"
    if side:
        st.query_params[SIDE] = side


def _close() -> None:
    for name in (ANSWER, PLACE, SIDE):
        st.query_params.pop(name, None)


def show_opened(
    root: Path,
    experiment: str,
    evaluations: Sequence[Evaluation],
    answers: Sequence[Answer],
    task: Task,
    side: str = "",
) -> None:
    """The attempts of the answer that the address names, over the page; nothing where it names none, or one
    of another `side`.

    `evaluations` are those that `answers` were counted over.
    """
    if ANSWER not in st.query_params or st.query_params.get(SIDE, "") != side:
        return
    if st.query_params[ANSWER] in map(answer_id, answers):
        _dialog(root, experiment, evaluations, answers, task)
        return
    _close()
    st.info("The answer of the address is not among these. Click one to see its attempts.")


@st.dialog("Attempts that gave this answer", width="large", on_dismiss=_close)
def _dialog(
    root: Path, experiment: str, evaluations: Sequence[Evaluation], answers: Sequence[Answer], task: Task
) -> None:
    ids = [answer_id(one) for one in answers]
    at = ids.index(st.query_params[ANSWER])
    answer = answers[at]
    with sentences():
        made = attempts_of(root, experiment, evaluations, task.source, task.task_id, answer)
        place = _place(len(made))
        _steps(ids, at, place, len(made))
        evaluation, number = made[place - 1]
        _card(answer, task)
        _whose(place, len(made), evaluation, number)
        _texts(root, experiment, task, answer, evaluation, number)


def _place(count: int) -> int:
    """The place of the address among so many attempts, from 1."""
    written = st.query_params.get(PLACE, "1")
    if written.isdecimal() and 1 <= int(written[:9]) <= count:
        return int(written)
    st.warning(
        plain(f"There is no attempt {written[:20]} among the {count} of this answer; this is the first.")
    )
    return 1


def _steps(ids: Sequence[str], at: int, place: int, count: int) -> None:
    """Buttons, which are keys too, to the attempt or the answer before and after."""

    def go(answer: str, to: int) -> None:
        st.query_params[ANSWER], st.query_params[PLACE] = answer, str(to)

    steps = (
        ("attempt back", "Left", place > 1, ids[at], place - 1),
        ("next attempt", "Right", place < count, ids[at], place + 1),
        ("answer back", "K", at > 0, ids[max(at - 1, 0)], 1),
        ("next answer", "J", at + 1 < len(ids), ids[min(at + 1, len(ids) - 1)], 1),
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        for label, key, possible, answer, to in steps:
            st.button(label, key=label, shortcut=key, disabled=not possible, on_click=go, args=(answer, to))


def _card(answer: Answer, task: Task) -> None:
    truth = task.test[answer.test_index].output
    assert truth is not None
    st.html(STYLE + card_html(answer, truth, pickable=False))
    st.caption(plain(owner_words(answer, task)))


def _whose(place: int, count: int, evaluation: Evaluation, number: int) -> None:
    st.markdown(
        plain(
            f"{place} of {count} attempts: attempt {number} of {evaluation.variant} · train seed"
            f" {evaluation.train_seed} · eval seed {evaluation.eval_seed}"
        )
    )


def _texts(
    root: Path, experiment: str, task: Task, answer: Answer, evaluation: Evaluation, number: int
) -> None:
    """The prompt as the model read it, and the text that it wrote."""
    key = (task.source, task.task_id, answer.test_index, number)
    shown = attempt_prompt(root, experiment, evaluation, *key)
    st.caption(
        f"{plain(shown.caption)} {word('What is a view?', 'view') if shown.prompt is not None else ''}"
    )
    if shown.prompt is None:
        return
    left, right = st.columns(2)
    left.markdown("**prompt**")
    left.code(with_line_ends(shown.prompt), language=None, height=320)
    right.markdown("**raw text**")
    right.code(with_line_ends(shown.text or "(empty)"), language=None, height=320)


def with_line_ends(text: str) -> str:
    """Three line ends or more as one and their number: a template that fills its rows up has hundreds."""
    return re.sub(r"\n{3,}", lambda found: f" ↵×{len(found[0])}\n", text)
