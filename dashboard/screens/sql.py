"""SQL: let me ask myself. A useful query stands there, answered; beside it the schema."""

import html
from pathlib import Path
from typing import Any

import streamlit as st

from core.errors import UserError
from core.reports import text_tables
from core.reports.figures import variant_colours
from core.sql.ask import cut_sentence, first_query, known_variants, records, start
from core.sql.sandbox import LIMITS, Answer, Question
from core.sql.saved import list_queries, read_query, save_query
from core.sql.tables import PHRASES, schema
from core.warnings.leak_warnings import query_leaks
from dashboard.components import charts, sql_links
from dashboard.components.files import file_row
from dashboard.components.rights import may_change, permitted
from dashboard.components.sentences import fragment
from dashboard.components.wording import plain
from dashboard.root import project_root

root = project_root()

TEXT = "query text"
KINDS = ["dots", "line", "bars"]
LONGEST_ADDRESS = 4_000

state = st.session_state


def opening() -> str:
    """The query of the address, the one behind a chart seen since, the last one asked, a saved one by name,
    or one worth starting from."""
    sql_links.leave()
    behind = state.pop(sql_links.BEHIND, None)
    asked = st.query_params.get("query") or behind or state.get("sql asked")
    if asked:
        return str(asked)
    saved = st.query_params.get("saved")
    if saved in list_queries(root):
        return read_query(root, saved)
    return first_query(root, st.query_params.get("experiment"))


def ask() -> None:
    """Start the query of the editor, in place of one that still runs; the address repeats it."""
    stop()
    text = state[TEXT]
    state["sql asked"] = text
    state["sql problem"] = state["sql answer"] = None
    if len(text) <= LONGEST_ADDRESS:
        st.query_params["query"] = text
    try:
        state["sql question"] = start(root, text)
    except UserError as problem:
        state["sql problem"] = str(problem)


def stop() -> None:
    """End the query that runs, if any."""
    question = state.get("sql question")
    if question is not None:
        question.cancel()


def open_saved() -> None:
    """Put the chosen saved query into the editor and ask it."""
    try:
        state[TEXT] = read_query(root, state["saved query"])
    except UserError as problem:
        state["sql problem"] = str(problem)
        return
    ask()


def save() -> None:
    """Save the editor's text under the given name."""
    try:
        path = permitted(save_query, root, state["query name"].strip(), state[TEXT])
        state["sql saved"] = f"Saved as {path.relative_to(root)}."
    except UserError as problem:
        state["sql problem"] = str(problem)


def editor() -> None:
    """The text, and what can be done with it."""
    st.html("<style>.stTextArea textarea { font-family: monospace; font-size: 0.85rem; }</style>")
    st.text_area("query", key=TEXT, height=320, label_visibility="collapsed")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.button("Run", type="primary", key="run", on_click=ask, shortcut="Ctrl+Enter")
        names = list_queries(root)
        if names:
            st.selectbox("saved", names, index=None, key="saved query", placeholder="open a saved query",
                         on_change=open_saved, label_visibility="collapsed", width=220)  # fmt: skip
        st.text_input("name", key="query name", placeholder="name to save it under", width=220,
                      label_visibility="collapsed")  # fmt: skip
        st.button("Save", key="save", on_click=save, disabled=not may_change())
    st.caption(
        f"One SELECT, up to {LIMITS.rows:,} rows, {LIMITS.seconds:g} s and {LIMITS.memory // 2**20:,} MB."
        " Nothing can be changed. Ctrl+Enter runs it."
    )


def side() -> None:
    """Tables and columns, as a query names them."""
    with st.container(height=400, border=True):
        for name, columns in schema().items():
            with st.expander(name, expanded=name == "scores"):
                st.caption(PHRASES[name])
                items = "".join(
                    f"<tr><td><code>{html.escape(column)}</code></td><td>{word}</td></tr>"
                    for column, word in columns
                )
                st.html(f'<table style="font-size:0.85rem" class="columns">{items}</table>')


@fragment(run_every=0.4)
def waiting(question: Question) -> None:
    """How long it takes so far, and a way out; the page goes on once the answer is there."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f":material/hourglass_top: running for {question.running_seconds:.1f} s …")
        st.button("Cancel", key="cancel", on_click=question.cancel)
    if question.done:
        st.rerun()


def collect(question: Question) -> None:
    """Keep the answer, or the sentence that came instead."""
    state["sql question"] = None
    try:
        state["sql answer"] = question.answer()
    except UserError as problem:
        state["sql problem"] = str(problem)


def result(answer: Answer) -> None:
    """Time and rows, the table, a chart of it, and the file."""
    left, right = st.columns([3, 2], gap="large")
    with left:
        rows = answer.table.num_rows
        st.markdown(f"**{rows:,} {'row' if rows == 1 else 'rows'}** in {answer.seconds:.2f} s")
        if answer.cut:
            st.warning(plain(cut_sentence(answer)), icon=":material/content_cut:")
        for sentence in query_leaks(root, answer_text()):
            st.warning(plain(sentence), icon=":material/water_drop:")
        found = records(answer)
        names = answer.table.column_names
        columns = {name: [row[name] for row in found] for name in names}
        st.dataframe(columns, key="result", height=min(420, 38 + 35 * max(1, rows)))
        line = text_tables.command("sql", answer_text())
        file_row(text_tables.free_table(names, found, line), "query", "query")
    with right:
        chart(columns)


def answer_text() -> str:
    """The query that the shown answer belongs to."""
    return str(state.get("sql asked", ""))


def chart(columns: dict[str, list[Any]]) -> None:
    """Any two columns against each other, coloured by a third."""
    names = list(columns)
    numbers = [name for name in names if charts.is_numeric(columns[name])]
    if not numbers or len(names) < 2 or not columns[names[0]]:
        st.caption("A chart needs a column of numbers and another one.")
        return
    y_first = next((name for name in numbers if name not in ("train_seed", "eval_seed")), numbers[-1])
    others = [name for name in names if name != y_first]
    boxes = [*st.columns(2), *st.columns(2)]
    x = boxes[0].selectbox("x", names, index=names.index(others[0]), key="x", bind="query-params")
    y = boxes[1].selectbox("y", numbers, index=numbers.index(y_first), key="y", bind="query-params")
    colour = boxes[2].selectbox("colour", ["none", *names], key="colour", bind="query-params",
                                index=1 + names.index(others[0]))  # fmt: skip
    kind = boxes[3].selectbox("form", KINDS, key="form", bind="query-params")
    groups = None if colour == "none" else columns[colour]
    if groups is not None and len(set(map(str, groups))) > charts.MOST_GROUPS:
        st.caption(f"{plain(colour)} has more than {charts.MOST_GROUPS} values: all are drawn in one colour.")
    colours = variant_colours(*known_variants(root, columns[colour])) if colour == "variant" else {}
    st.plotly_chart(charts.free_chart(columns[x], columns[y], groups, kind, x, y, colours), key="sql chart",
                    config={"displayModeBar": False})  # fmt: skip


def show(project: Path) -> None:
    """The whole page; what it opens with is answered at once."""
    if TEXT not in state:
        state[TEXT] = opening()
        ask()
    left, right = st.columns([3, 1], gap="large")
    with right:
        side()
    with left:
        editor()
    question = state.get("sql question")
    if question is not None and question.done:
        collect(question)
        question = None
    if message := state.pop("sql saved", None):
        st.success(message)
    if question is not None:
        waiting(question)
    elif state.get("sql problem"):
        st.error(plain(state["sql problem"]))
    if state.get("sql answer") is not None:
        result(state["sql answer"])


try:
    show(root)
except UserError as problem:
    st.error(plain(problem))
