"""How to read this: what the numbers of the other pages mean, and the trap that they are made against."""

import streamlit as st

from core.reports import glossary
from core.results.answers import ORDERS
from core.results.number_format import percent
from core.scoring.metrics import AGGREGATIONS, METRICS
from core.spread.intervals import SCOPES
from dashboard.components import charts, sql_links
from dashboard.components.wording import plain

SCOPE_NAMES = {"checkpoint": "checkpoint", "recipe": "recipe (the default)", "new_tasks": "new tasks"}
FORM_NAMES = {"by_task": "by task (the default)", "by_output": "by output", "all_outputs": "all outputs"}


def trap() -> None:
    """The same two recipes, judged in two ways."""
    by_evaluations, by_trainings = glossary.trap()
    st.subheader("The trap: is recipe B worse than recipe A?")
    left, right = st.columns([3, 2], gap="large")
    with right:
        figure = charts.trap_chart((by_evaluations, by_trainings))
        st.plotly_chart(figure, key="trap chart", config=sql_links.picture_button("trap"))
        sql_links.svg_button(lambda: figure, "trap")
        st.caption(f"Dots: measurements; bars: mean ± std; whiskers: 95 % intervals. From {glossary.SOURCE}.")
    with left:
        for judgement in (by_evaluations, by_trainings):
            st.markdown(f"**Judged by {judgement.unit}:** {glossary.judged_sentence(judgement)}")
        st.markdown("\n\n".join(glossary.MORAL))


def spread() -> None:
    """Mean ± std, intervals, verdicts."""
    st.subheader("What stands in a table", anchor="table")
    rows = "".join(f"| **{term}** | {meaning} |\n" for term, meaning in glossary.TERMS.items())
    st.markdown(f"| you see | it means |\n|---|---|\n{rows}")


def word() -> None:
    """The word that a link of another page asks for, first of all."""
    asked = st.query_params.get("word")
    if not asked:
        return
    found = glossary.meaning(asked)
    if found is None:
        st.warning(plain(f"'{asked[:60]}' is not explained here."))
    else:
        st.info(f"**{plain(found[0])}**: {plain(found[1])}.", icon=":material/menu_book:")


def elsewhere() -> None:
    """Metrics, and words of the other pages."""
    st.subheader("Metrics, and other words")
    words = {**METRICS, **ORDERS, **glossary.ELSEWHERE}
    rows = "".join(f"| **{plain(name)}** | {plain(meaning)} |\n" for name, meaning in words.items())
    st.markdown(f"| you see | it means |\n|---|---|\n{rows}")


def scopes() -> None:
    """Over what a spread generalises, and how outputs become one number."""
    st.subheader("Over what it holds")
    rows = "".join(f"| **{title}** | {SCOPES[name].over} |\n" for name, title in SCOPE_NAMES.items())
    st.markdown(f"| scope | the spread tells how the number moves for |\n|---|---|\n{rows}")
    forms = "".join(f"| **{title}** | {AGGREGATIONS[name]} |\n" for name, title in FORM_NAMES.items())
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
            f"With {glossary.RIGHT} right answers among {glossary.ATTEMPTS} attempts:"
        )
        st.html(
            row_of("k", "pass_k, %", [(record["k"], record["pass_k"]) for record in glossary.pass_records()])
        )
    with right:
        votes = ", ".join(map(str, glossary.OTHER_VOTES))
        st.markdown(
            "**vote_k**: all attempts vote, each for the grid that it answered; 1 if the truth is among the"
            " k most voted. It needs nobody who knows: it is what can be handed in. ARC allows two answers,"
            " hence vote_2.\n\n"
            f"With {glossary.VOTES_FOR_TRUTH} votes for the truth and {votes} for other answers"
            " (ties at random):"
        )
        st.html(row_of("k", "vote_k, %", [(one["k"], one["vote_k"]) for one in glossary.vote_records()]))
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


word()
trap()
spread()
scopes()
attempts()
elsewhere()
