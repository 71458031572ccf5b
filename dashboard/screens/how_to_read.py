"""How to read this: what the numbers of the other pages mean, and the trap that they are made against."""

import html
import re
from collections.abc import Mapping

import streamlit as st

from core.reports import glossary
from core.results.answers import ORDERS
from core.results.number_format import percent
from core.scoring.metrics import AGGREGATIONS, METRICS
from core.spread.scopes import SCOPES
from dashboard.components import charts, sql_links
from dashboard.components.responsive_columns import beside
from dashboard.components.wording import plain

SCOPE_NAMES = {"checkpoint": "checkpoint", "recipe": "recipe (the default)", "new_tasks": "new tasks"}
FORM_NAMES = {"by_task": "by task (the default)", "by_output": "by output", "all_outputs": "all outputs"}

STYLE = """<style>
.words { border-collapse: collapse; }
.words th, .words td {
  padding: 0.4rem 1rem 0.4rem 0.5rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid rgba(128, 128, 128, 0.22);
}
.words th { font-weight: 600; min-width: 9rem; }
.words .asked { background: rgba(128, 128, 128, 0.2); box-shadow: inset 3px 0 currentColor; }
</style>"""
SCROLL = "<script>document.querySelector('.words .asked')?.scrollIntoView({ block: 'center' });</script>"


def trap() -> None:
    """The same two recipes, judged in two ways."""
    by_evaluations, by_trainings = glossary.trap()
    st.subheader("The trap: is recipe B worse than recipe A?")
    left, right = beside("trap", [3, 2])
    with right:
        figure = charts.trap_chart((by_evaluations, by_trainings))
        st.plotly_chart(figure, key="trap chart", config=sql_links.picture_button("trap"))
        sql_links.svg_button(lambda: figure, "trap")
        st.caption(f"Dots: measurements; bars: mean ± std; whiskers: 95 % intervals. From {glossary.SOURCE}.")
    with left:
        for judgement in (by_evaluations, by_trainings):
            st.markdown(f"**Judged by {judgement.unit}:** {glossary.judged_sentence(judgement)}")
        st.markdown("\n\n".join(glossary.MORAL))


def table(first: str, second: str, words: Mapping[str, str], names: Mapping[str, str] | None = None) -> None:
    """Words and what they mean; the one that a link of another page asks for is marked and scrolled to.
    `names` holds how some words are shown."""
    asked = asked_row()
    rows = "".join(
        f"<tr{' class=asked' if asked == word else ''}><th>{html.escape((names or {}).get(word, word))}</th>"
        f"<td>{html.escape(meaning)}</td></tr>"
        for word, meaning in words.items()
    )
    st.html(f"{STYLE}<table class='words'><tr><th>{first}</th><th>{second}</th></tr>{rows}</table>")


def asked_row() -> str | None:
    """The row that explains the word of the address; of a metric with a number that of its kind."""
    found = glossary.meaning(st.query_params.get("word") or "")
    if found is None:
        return None
    kind = re.sub(r"\d+$", "k", found[0])
    return kind if kind in METRICS else found[0]


def spread() -> None:
    """Mean ± std, intervals, verdicts."""
    st.subheader("What stands in a table", anchor="table")
    table("you see", "it means", glossary.TERMS)


def scroll() -> None:
    """Go to the row of the word that a link asks for, and say where there is none."""
    asked = st.query_params.get("word")
    if asked and asked_row() is None:
        st.warning(plain(f"'{asked[:60]}' is not explained here."))
    elif asked:
        st.html(SCROLL, unsafe_allow_javascript=True)


def elsewhere() -> None:
    """Metrics, and words of the other pages."""
    st.subheader("Metrics, and other words")
    table("you see", "it means", {**METRICS, **ORDERS, **glossary.ELSEWHERE})


def scopes() -> None:
    """Over what a spread generalises, and how outputs become one number."""
    st.subheader("Over what it holds")
    over = {name: SCOPES[name].over for name in SCOPE_NAMES}
    table("scope", "the spread tells how the number moves for", over, SCOPE_NAMES)
    table("counted", "how outputs become one number", AGGREGATIONS, FORM_NAMES)
    st.markdown("Tasks without an answer count as wrong, everywhere.")


def attempts() -> None:
    """pass_k and vote_k on one output each."""
    st.subheader("pass_k and vote_k")
    left, right = beside("attempts", 2)
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


trap()
spread()
scopes()
attempts()
elsewhere()
scroll()
