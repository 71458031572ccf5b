"""Results: which recipe is better, and is it real? The latest experiment's answer stands there at once."""

import shlex

import streamlit as st

from core.errors import UserError
from core.results import curves, exports, notes, planning, tables, verdicts, wording
from core.results.experiment import latest_evaluated, list_experiments
from core.results.loading import Scores, load_scores, scores_stamp
from core.spread.intervals import SCOPES
from core.spread.metrics import AGGREGATIONS
from dashboard.components import charts
from dashboard.components.result_table import result_table
from dashboard.root import project_root

root = project_root()

MOST_VOTES_UNASKED = 100_000
Stamp = tuple[int, int, int]


@st.cache_resource(max_entries=4, show_spinner="Reading the scores …")
def scores_of(name: str, stamp: Stamp) -> Scores:
    """The scores, read again when a file changed; shared by all sessions and never written to."""
    return load_scores(root, name)


@st.cache_data(max_entries=64, show_spinner=False)
def rows_of(name: str, stamp: Stamp, metric: str, form: str, scope: str, baseline: str) -> list[verdicts.Row]:
    return verdicts.verdict_rows(scores_of(name, stamp), metric, form, scope, baseline)


@st.cache_data(max_entries=64, show_spinner=False)
def records_of(name: str, stamp: Stamp, metrics: tuple[str, ...], form: str, scope: str) -> list[dict]:
    return tables.records_of(scores_of(name, stamp), metrics, form, scope)


@st.cache_data(max_entries=64, show_spinner=False)
def noise_of(name: str, stamp: Stamp, metric: str, form: str) -> verdicts.Noise:
    return verdicts.noise(scores_of(name, stamp), metric, form)


@st.cache_data(max_entries=16, show_spinner="Counting votes …")
def curves_of(name: str, stamp: Stamp, kind: str, form: str) -> list[dict]:
    scores = scores_of(name, stamp)
    if kind == "pass_k":
        return curves.pass_curves(scores, form)
    return curves.vote_curves(root, scores, int(kind.removeprefix("vote_")), form)


def choose_experiment(names: list[str]) -> str:
    """The experiment of the address, else the latest with results; it stays in the address from then on.

    Not bound to the address by Streamlit, which leaves defaults out: the latest changes, an address must not.
    """
    if st.session_state.get("chosen experiment") not in names:
        asked = st.query_params.get("experiment")
        st.session_state["chosen experiment"] = (
            asked if asked in names else latest_evaluated(root) or names[0]
        )
    chosen = st.selectbox("experiment", names, key="chosen experiment")
    if st.query_params.get("experiment") != chosen:
        st.query_params["experiment"] = chosen
    return chosen


def choose(scores: Scores) -> tuple[str, str, str, str]:
    """Metric, scope, aggregation and baseline, all in the address."""
    spec = scores.experiment
    scopes = [
        name for name in ("recipe", "checkpoint", "new_tasks") if name != "new_tasks" or not spec.imported
    ]
    forms = [name for name in AGGREGATIONS if name == "by_task" or not spec.imported]
    boxes = st.columns(4)
    metric = boxes[0].selectbox(
        "metric",
        tables.offered_metrics(scores),
        key="metric",
        bind="query-params",
        help="The table is sorted by it; chart and verdicts are about it.",
    )
    scope = boxes[1].selectbox(
        "scope",
        scopes,
        key="scope",
        bind="query-params",
        help="Over what the spread generalises." + listed({one: SCOPES[one] for one in scopes}),
    )
    form = boxes[2].selectbox(
        "aggregation",
        forms,
        key="aggregation",
        bind="query-params",
        help="How outputs become one number." + listed({one: AGGREGATIONS[one] for one in forms}),
    )
    baseline = boxes[3].selectbox(
        "baseline",
        scores.variants,
        index=scores.variants.index(spec.baseline),
        key="baseline",
        bind="query-params",
    )
    return metric, scope, form, baseline


def listed(hints: dict[str, str]) -> str:
    """Words and what they mean, as a Markdown list."""
    return "".join(f"\n- **{word}**: {meaning}" for word, meaning in hints.items())


def choose_columns(scores: Scores, metric: str) -> list[str]:
    """The metrics of the table, the judged one first."""
    chosen = st.multiselect(
        "columns of the table",
        tables.offered_metrics(scores),
        default=list(scores.experiment.metrics),
        key="columns",
        bind="query-params",
    )
    return list(dict.fromkeys([metric, *chosen]))


def show_experiment(names: list[str]) -> None:
    """Table, chart, noise, curves and strip of one experiment."""
    first, others = st.columns([3, 8])
    with first:
        name = choose_experiment(names)
    stamp = scores_stamp(root, name)
    scores = scores_of(name, stamp)
    if not scores.evaluations:
        waiting(name, scores)
        return
    with others:
        metric, scope, form, baseline = choose(scores)
    heading(scores, metric)
    place = st.container()
    rows = rows_of(name, stamp, metric, form, scope, baseline)
    left, right = st.columns([3, 2], gap="large") if scores.columns else (st.container(), None)
    with left:
        show_runs(scores, rows, metric, form, name, stamp)
    if right is not None:
        with right:
            show_curves(scores, name, stamp, form)
    with st.expander("Columns, files and the command"):
        columns = choose_columns(scores, metric)
        records = records_of(name, stamp, tuple(columns), form, scope)
        downloads(name, rows, records, scope, form)
    with place:
        show_table(scores, rows, records, columns, metric, baseline, scope, form)
    if scores.columns:
        show_solved(scores)


def heading(scores: Scores, metric: str) -> None:
    """The question, what was evaluated, and what to be careful with."""
    st.subheader(scores.experiment.question or scores.experiment.name)
    st.caption(notes.honest_sentence(root, scores))
    cautions = notes.warnings(scores, metric)
    if cautions:
        st.warning("  \n".join(cautions), icon=":material/info:")


def show_table(
    scores: Scores,
    rows: list[verdicts.Row],
    records: list[dict],
    columns: list[str],
    metric: str,
    baseline: str,
    scope: str,
    form: str,
) -> None:
    """The table, and over what its numbers generalise."""
    cells = {(record["variant"], record["metric"]): record for record in records}
    colours = charts.variant_colours(scores.variants, scores.experiment.baseline)
    st.html(result_table(rows, cells, columns, metric, baseline, scope, colours))
    st.caption(wording.scope_sentence(scores, scope, form))


def show_runs(
    scores: Scores, rows: list[verdicts.Row], metric: str, form: str, name: str, stamp: Stamp
) -> None:
    """Every run's dot; below it, where the noise comes from and what so many runs can detect."""
    st.markdown(
        f"**{metric}** of every run",
        help="Dots are runs, the bar is mean ± std, the whisker the 95 % interval of the mean.",
    )
    runs = tables.run_records(scores, metric, form)
    figure = charts.run_chart(rows, runs, scores.variants, scores.experiment.baseline, f"{metric}, %")
    st.plotly_chart(figure, key="runs chart", config={"displayModeBar": False})
    st.caption(
        wording.noise_sentence(noise_of(name, stamp, metric, form)),
        help="How much the mean of one run would move with another evaluation seed, another training, or"
        " other tasks of the same kind (std, pooled over variants).",
    )
    st.caption(planning.detectable_sentence(scores, metric, form))


def show_curves(scores: Scores, name: str, stamp: Stamp, form: str) -> None:
    """pass_k and vote_k over the number of attempts."""
    kind = st.segmented_control(
        "curve", ["pass_k", "vote_1", "vote_2"], default="pass_k", required=True, key="curve",
        bind="query-params", label_visibility="collapsed",
    )  # fmt: skip
    made = int(scores.columns["attempts"].sum())
    if kind != "pass_k" and made > MOST_VOTES_UNASKED and not st.toggle(f"Count {made:,} votes", key="votes"):
        return
    sentences = {
        "pass_k": "Chance that at least one of so many attempts is right; band: ± std over runs.",
        "vote_1": "Chance that the most voted answer is right; ties at random; band: ± std over runs.",
        "vote_2": "Chance that one of the two most voted answers is right; band: ± std over runs.",
    }
    records = curves_of(name, stamp, kind, form)
    figure = charts.curve_chart(records, scores.variants, scores.experiment.baseline, f"{kind}, %")
    st.plotly_chart(figure, key="curves chart", config={"displayModeBar": False})
    st.caption(sentences[kind])


def show_solved(scores: Scores) -> None:
    """The strip runs × tasks."""
    strip = curves.solved(scores)
    never, sometimes, always = strip.kinds
    st.markdown(
        f"**Tasks by run**: {always} always solved, {sometimes} sometimes, {never} never",
        help="A column is a task, a line a run: grey never right, orange sometimes, blue in every attempt.",
    )
    st.plotly_chart(charts.solved_chart(strip), key="solved chart", config={"displayModeBar": False})


def downloads(name: str, rows: list[verdicts.Row], records: list[dict], scope: str, form: str) -> None:
    """The table as files, and the command that prints the same."""
    order = {row.variant: place for place, row in enumerate(rows)}
    sorted_records = sorted(records, key=lambda record: order[record["variant"]])
    header, lines = exports.table_of(sorted_records)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button("Markdown", exports.markdown(header, lines), f"{name}.md", key="markdown")
        st.download_button("LaTeX", exports.latex(header, lines), f"{name}.tex", key="latex")
        st.download_button("CSV", exports.csv_text(sorted_records), f"{name}.csv", "text/csv", key="csv")
        named = [f"--metric {shlex.quote(record['metric'])}" for record in sorted_records[: len(header) - 1]]
        options = [
            "" if form == "by_task" else f"--aggregation {form}",
            "" if scope == "recipe" else f"--scope {scope}",
        ]
        st.code(" ".join(filter(None, ["python -m core results", name, *named, *options])), language="bash")


def waiting(name: str, scores: Scores) -> None:
    """What to do while nothing is evaluated."""
    st.subheader(scores.experiment.question or name)
    st.info(
        f"{tables.progress_sentence(scores) or 'No run is evaluated yet'}. The table appears with the first."
    )
    st.code(f"python -m core runs list {name}", language="bash")


def empty() -> None:
    """What to do while there is no experiment."""
    st.subheader("No results yet")
    st.write("Launch an experiment, and its table and chart appear here:")
    st.code("python -m core launch demo --wait", language="bash")


try:
    names = list_experiments(root)
    if names:
        show_experiment(names)
    else:
        empty()
except UserError as problem:
    st.error(str(problem))
