"""SQL: let me ask myself. A useful query stands there, answered; beside it the schema."""

import html
from pathlib import Path
from typing import Any

import streamlit as st

from core.checks.leak_warnings import queried_experiments
from core.errors import UserError
from core.reports import text_tables
from core.reports.variant_styles import variant_colours, variant_markers
from core.results.number_format import common_decimals
from core.sql.ask import cut_sentence, first_query, known_variants, records, start
from core.sql.examples import example_queries
from core.sql.sandbox import LIMITS, Answer, Question
from core.sql.saved import list_queries, read_query, save_query
from core.sql.tables import PHRASES, all_columns, schema
from dashboard.components import charts, sql_links
from dashboard.components.error_guard import fragment
from dashboard.components.experiment_choice import there
from dashboard.components.files import file_row
from dashboard.components.leak_notice import leak_notice
from dashboard.components.responsive_columns import beside
from dashboard.components.rights import may_change, permitted
from dashboard.components.wording import plain
from dashboard.root import project_root

root = project_root()

TEXT = "query text"
TYPED = "query typed and not asked"
KINDS = ["dots", "line", "bars"]
LONGEST_ADDRESS = 4_000
STYLE = """<style>
.stTextArea textarea { font-family: monospace; font-size: 0.85rem; }
table.columns, table.columns code { font-size: 0.85rem; white-space: normal; overflow-wrap: anywhere; }
</style>"""
ASKED, MOST_ASKED, LONGEST_NAME = "sql asked before", 20, 70

state = st.session_state


def opening() -> str:
    """The query of the address, the one behind a chart seen since, the last one asked, a saved one by name,
    or one worth starting from."""
    sql_links.leave()
    behind = state.pop(sql_links.BEHIND, None)
    asked = st.query_params.get("query") or behind or state.get(TYPED) or state.get("sql asked")
    if asked:
        return str(asked)
    saved = st.query_params.get("saved")
    if saved in list_queries(root):
        return read_query(root, saved)
    return first_query(root, st.query_params.get("experiment"))


def ask() -> None:
    """Start the query of the editor, in place of one that still runs; the address repeats it."""
    stop()
    text = state.get(TEXT, "")
    state["sql asked"] = text
    state.pop(TYPED, None)
    remember(text)
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


def remember(text: str) -> None:
    """Keep a query among those to begin with, the last one first."""
    state[ASKED] = [*(one for one in state.get(ASKED, []) if one != text), text][-MOST_ASKED:]


def put(text: str) -> None:
    """Another query in place of the editor's text, which is kept among those to begin with; ask it."""
    if state.get(TEXT, "").strip():
        remember(state[TEXT])
    state[TEXT] = text
    ask()


def open_saved() -> None:
    """Put the chosen saved query into the editor and ask it."""
    if state["saved query"] is None:
        return
    try:
        text = read_query(root, state["saved query"])
    except UserError as problem:
        state["sql problem"] = str(problem)
        return
    put(text)


def begin_with() -> dict[str, str]:
    """Queries by name: those asked on this page, the last one first, then examples."""
    before = {shortened(text): text for text in reversed(state.get(ASKED, []))}
    return {**before, **examples(st.query_params.get("experiment"))}


@st.cache_data(max_entries=16, ttl=60, show_spinner=False)
def examples(experiment: str | None) -> dict[str, str]:
    """The example queries; what has scores may change while runs go on."""
    return example_queries(root, experiment)


def shortened(text: str) -> str:
    """A query in a line."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_NAME else f"{line[:LONGEST_NAME]}…"


def begin() -> None:
    """Put the chosen query into the editor and ask it."""
    found = begin_with().get(state["begun"])
    if found is not None:
        put(found)
    state["begun"] = None  # choosing it again asks again


def save() -> None:
    """Save the editor's text under the given name."""
    try:
        path = permitted(save_query, root, state.get("query name", "").strip(), state.get(TEXT, ""))
        state["sql saved"] = f"Saved as {path.relative_to(root)}."
    except UserError as problem:
        state["sql problem"] = str(problem)


def keep_typed() -> None:
    """Keep what was typed while another page is looked at."""
    state[TYPED] = state[TEXT]


def editor() -> None:
    """The text, and what can be done with it."""
    st.html(STYLE)
    st.text_area(
        "query", state[TEXT], key=TEXT, height=320, label_visibility="collapsed", on_change=keep_typed
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.button("Run", type="primary", key="run", on_click=ask, shortcut="Ctrl+Enter")
        names = list_queries(root)
        st.selectbox("begin with", list(begin_with()), index=None, key="begun", width=250,
                     placeholder="an example, or asked before", on_change=begin,
                     label_visibility="collapsed")  # fmt: skip
        st.selectbox("saved", names, index=None, key="saved query", on_change=open_saved, disabled=not names,
                     placeholder="open a saved query" if names else "no saved query yet",
                     label_visibility="collapsed", width=190)  # fmt: skip
        st.text_input("name", key="query name", placeholder="name to save it under", width=190,
                      label_visibility="collapsed")  # fmt: skip
        st.button("Save", key="save", on_click=save, disabled=not may_change())
    st.caption(
        f"One SELECT, up to {LIMITS.rows:,} rows, {LIMITS.seconds:g} s and {LIMITS.memory // 2**20:,} MB."
        " Nothing can be changed. Ctrl+Enter runs it."
    )


def side() -> None:
    """Tables and columns, as a query names them; a button writes them all into the editor."""
    with st.container(height=400, border=True):
        for name, columns in schema().items():
            with st.expander(name, expanded=name == "scores"):
                st.caption(PHRASES[name])
                items = "".join(
                    f"<tr><td><code>{html.escape(column)}</code></td><td>{word}</td></tr>"
                    for column, word in columns
                )
                st.html(f'<table class="columns">{items}</table>')
                text = all_columns(name, st.query_params.get("experiment"))
                st.button("SELECT them", key=f"select {name}", on_click=put, args=(text,),
                          help="A query with all these names, to take away from.")  # fmt: skip


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
    before = state.get("sql columns")
    try:
        state["sql answer"] = question.answer()
        state["sql columns"] = state["sql answer"].table.column_names
    except UserError as problem:
        state["sql problem"] = str(problem)
    if before is not None and before != state["sql columns"]:  # another table is drawn in its own way
        axes = charts.first_axes(columns_of(records(state["sql answer"]), state["sql columns"]))
        if axes is not None:
            state.update(x=axes.x, y=axes.y, colour=axes.colour or "none", form=axes.form)


def columns_of(rows: list[dict[str, Any]], names: list[str]) -> dict[str, list[Any]]:
    """The values of each column, as the table and the chart show them."""
    return {name: [row[name] for row in rows] for name in names}


def result(answer: Answer) -> None:
    """Time and rows, the table, a chart of it, and the file."""
    left, right = beside("result", [3, 2])
    with left:
        rows = answer.table.num_rows
        st.markdown(f"**{rows:,} {'row' if rows == 1 else 'rows'}** in {answer.seconds:.2f} s")
        if answer.cut:
            st.warning(plain(cut_sentence(answer)), icon=":material/content_cut:")
        for name in queried_experiments(root, answer_text()):
            leak_notice(root, name, named=True)
        found, names = records(answer), answer.table.column_names
        columns = columns_of(found, names)
        formats = number_columns(columns)
        st.dataframe(columns, key="result", height=min(420, 38 + 35 * max(1, rows)), column_config=formats)
        line = text_tables.command("sql", answer_text())
        file_row(lambda: text_tables.free_table(names, found, line), line, "query", "query")
    with right:
        chart(columns)


def number_columns(columns: dict[str, list[Any]]) -> dict[str, Any]:
    """How a column with fractions is written: one number of decimals from top to bottom."""
    found = {}
    for name, values in columns.items():
        if charts.is_numeric(values) and any(isinstance(value, float) for value in values):
            decimals = common_decimals(values)
            if decimals is not None:
                found[name] = st.column_config.NumberColumn(format=f"%.{decimals}f")
    return found


def answer_text() -> str:
    """The query that the shown answer belongs to."""
    return str(state.get("sql asked", ""))


def first(key: str, options: list[str], value: str) -> int:
    """Which option a box begins with; one that has a value keeps it."""
    return 0 if key in state else options.index(value)


def chart(columns: dict[str, list[Any]]) -> None:
    """Any two columns against each other, coloured by a third; lines are parted by more."""
    axes = charts.first_axes(columns)
    if axes is None:
        st.caption("A chart needs a column of numbers and another one.")
        return
    names = list(columns)
    numbers = [name for name in names if charts.is_numeric(columns[name])]
    boxes = [*st.columns(2), *st.columns(2)]
    x = boxes[0].selectbox("x", names, first("x", names, axes.x), key="x", bind="query-params")
    y = boxes[1].selectbox("y", numbers, first("y", numbers, axes.y), key="y", bind="query-params")
    listed = ["none", *names]
    colour = boxes[2].selectbox("colour", listed, first("colour", listed, axes.colour or "none"),
                                key="colour", bind="query-params")  # fmt: skip
    kind = boxes[3].selectbox("form", KINDS, first("form", KINDS, axes.form), key="form", bind="query-params")
    parted = [name for name in names if name not in (x, y, colour)]
    if kind == "line":
        parted = st.multiselect("a line for each", parted, [one for one in axes.parted if one in parted],
                                key=f"lines {parted}")  # fmt: skip
    groups = None if colour == "none" else columns[colour]
    if groups is not None and len(set(map(str, groups))) > charts.MOST_GROUPS:
        st.caption(f"{plain(colour)} has more than {charts.MOST_GROUPS} values: all are drawn in one colour.")
    variants = known_variants(root, columns[colour]) if colour == "variant" else ((), "")
    colours, markers = variant_colours(*variants), variant_markers(*variants)
    lines = list(zip(*(columns[name] for name in parted), strict=True)) if parted else None
    figure = charts.free_chart(columns[x], columns[y], groups, kind, x, y, colours, lines, markers)
    st.plotly_chart(figure, key="sql chart", config=sql_links.picture_button("query"))
    sql_links.svg_button(lambda: figure, "query")


def show(project: Path) -> None:
    """The whole page; what it opens with is answered at once."""
    if TEXT not in state:
        state[TEXT] = opening()
        ask()
    left, right = beside("editor", [3, 1])
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
    wanted = st.query_params.get("experiment")
    if wanted is None or there(root, wanted):
        show(root)
except UserError as problem:
    st.error(plain(problem))
