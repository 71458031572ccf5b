"""How to read this: what the numbers of the other pages mean, and the trap that they are made against."""

import streamlit as st

from core.results import reading
from core.results.wording import FORMS, OVER, decimals_for, interval, percent
from dashboard.components import charts

SCOPE_NAMES = {"checkpoint": "checkpoint", "recipe": "recipe (the default)", "new_tasks": "new tasks"}
FORM_NAMES = {"by_task": "by task (the default)", "by_output": "by output", "all_outputs": "all outputs"}


def p_text(p: float | None) -> str:
    """A p as people read it: .11, or 0.00002 for small ones."""
    return "unknown" if p is None else f"{p:.2f}" if p >= 0.01 else f"{p:.5f}"


def summary_text(judgement: reading.Judgement, name: str) -> str:
    """`87.54 ± 0.15 (n = 5)`."""
    summary = judgement.summaries[name]
    decimals = decimals_for(100 * (summary.std or 0))
    return f"{percent(summary.mean, decimals)} ± {percent(summary.std, decimals)} (n = {summary.n})"


def trap() -> None:
    """The same two recipes, judged in two ways."""
    by_evaluations, by_trainings = reading.trap()
    st.subheader("The trap: is recipe B worse than recipe A?")
    left, right = st.columns([3, 2], gap="large")
    with right:
        figure = charts.trap_chart((by_evaluations, by_trainings))
        st.plotly_chart(figure, key="trap chart", config={"displayModeBar": False})
        st.caption(f"Dots: measurements; bars: mean ± std; whiskers: 95 % intervals. From {reading.SOURCE}.")
    with left:
        for judgement in (by_evaluations, by_trainings):
            found = judgement.comparison
            low, high = interval(found.low, found.high, sign=True).strip("[]").split(", ")
            st.markdown(
                f"**Judged by {judgement.unit}:** A {summary_text(judgement, 'A')},"
                f" B {summary_text(judgement, 'B')}.  \nB − A lies between {low} and {high} points,"
                f" p = {p_text(found.p)}. The verdict on B: **{found.verdict}**."
            )
        st.markdown(
            "Both are right, about different questions. Evaluating one trained model again asks it the same"
            " tasks in other views: it answers almost the same, so even a small difference of two *models*"
            " shows. But a recipe is not one model. Train it again with another seed and the result moves"
            " much further than any evaluation did, and the difference drowns in that.\n\n"
            "Whoever evaluates two models often and reports the small p has learnt which *file* is better,"
            " and may believe to know which *idea* is. More evaluations can't mend that, only more trainings"
            " can. Hence every verdict here counts trainings, unless you choose another scope."
        )


def spread() -> None:
    """Mean ± std, intervals, verdicts."""
    st.subheader("What stands in a table")
    st.markdown(
        "| you see | it means |\n|---|---|\n"
        "| `41.2 ± 0.8 (n = 3)` | three trainings; their mean is 41.2 %, and one training typically lies 0.8"
        " points from it. Evaluations of a training are averaged first. 0.8 is the spread of *one* training,"
        " not the error of the mean |\n"
        "| no `±` | one training: its spread is unknown, which is not 0 |\n"
        "| `[40.1, 42.3]` | the mean of very many trainings lies in here, in 95 of 100 such intervals |\n"
        "| **better**, **worse** | the difference to the baseline is larger than the noise between trainings"
        " explains (Welch's test, 5 %) |\n"
        "| **cannot tell** | it is not, or there are too few trainings; that is no proof that both are equal."
        " Next to it: how many trainings could tell a difference of this size |\n"
        "| letters `a`, `ab`, `b` | recipes that share a letter can't be told apart |"
    )


def scopes() -> None:
    """Over what a spread generalises, and how outputs become one number."""
    st.subheader("Over what it holds")
    rows = "".join(f"| **{title}** | {OVER[name]} |\n" for name, title in SCOPE_NAMES.items())
    st.markdown(f"| scope | the spread tells how the number moves for |\n|---|---|\n{rows}")
    forms = "".join(f"| **{title}** | {FORMS[name]} |\n" for name, title in FORM_NAMES.items())
    st.markdown(f"| counted | how outputs become one number |\n|---|---|\n{forms}")
    st.markdown("Tasks without an answer count as wrong, everywhere.")


def attempts() -> None:
    """pass_k and vote_k on one output each."""
    st.subheader("pass_k and vote_k")
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown(
            "**pass_k**: draw k of the attempts; the chance that *any* of them is right. It asks whether the"
            " model can find the answer at all, given somebody who knows which one to pick.\n\n"
            f"With {reading.RIGHT} right answers among {reading.ATTEMPTS} attempts:"
        )
        st.html(
            row_of("k", "pass_k, %", [(record["k"], record["pass_k"]) for record in reading.pass_records()])
        )
    with right:
        votes = ", ".join(map(str, reading.OTHER_VOTES))
        st.markdown(
            "**vote_k**: all attempts vote, each for the grid that it answered; 1 if the truth is among the"
            " k most voted. It needs nobody who knows: it is what can be handed in. ARC allows two answers,"
            " hence vote_2.\n\n"
            f"With {reading.VOTES_FOR_TRUTH} votes for the truth and {votes} for other answers"
            " (ties at random):"
        )
        st.html(row_of("k", "vote_k, %", [(one["k"], one["vote_k"]) for one in reading.vote_records()]))
    st.markdown(
        "pass_k grows with every attempt, so it is compared at the same k only. vote_k may even fall with"
        " more attempts, where a popular wrong answer wins the vote."
    )


def row_of(first: str, second: str, values: list[tuple[float, float]]) -> str:
    """A small table of two lines."""
    style = 'style="padding: 0.15rem 0.7rem; text-align: right; font-variant-numeric: tabular-nums"'
    top = "".join(f"<td {style}>{k:g}</td>" for k, _ in values)
    below = "".join(f"<td {style}>{percent(value)}</td>" for _, value in values)
    return f"<table><tr><th>{first}</th>{top}</tr><tr><th>{second}</th>{below}</tr></table>"


trap()
spread()
scopes()
attempts()
