"""A table of results from elsewhere, sent through the page: the same import as the verb's, with its errors.

What the file holds is read first, so that baseline, units and directions are chosen from what is in it.
"""

from pathlib import Path

import streamlit as st

from core.errors import UserError
from core.exchange.import_scores import import_results, is_import, unit_of
from core.exchange.read_scores import ScoreTable, read_scores
from core.number_words import amount
from core.results.loading import SHARE
from core.scoring.metrics import higher_is_better
from core.storage.upload_file import sent_file
from dashboard.components.draft_field import forget, kept_text
from dashboard.components.experiment_choice import go_to
from dashboard.components.file_field import empty_field, file_field
from dashboard.components.rights import attempt, may_change
from dashboard.components.wording import plain

FIELD, NAME = "scores file", "scores name"
DONE = "scores imported"
LAYOUTS = (
    "CSV, a table in Markdown, or parquet. One row per evaluation: variant, train_seed, eval_seed and any"
    " metrics; without seeds each row counts as a training. Or one row per variant, as papers print them:"
    " variant, mean, std, n, and metric where there are several; or variant, n and metrics in cells such as"
    " 21.4 ± 1.2."
)


def score_upload(root: Path) -> None:
    """The form: file, name, and how its numbers are meant."""
    if DONE in st.session_state:
        st.success(plain(st.session_state.pop(DONE)))
    sent = file_field("table of results", ["csv", "tsv", "txt", "md", "parquet"], FIELD, LAYOUTS)
    name = kept_text(st.text_input, "name of the experiment", key=NAME, placeholder="my-results").strip()
    percent = st.checkbox("the numbers are percent", key="scores percent")
    if sent is None:
        st.caption(LAYOUTS)
        return
    data = sent.getvalue()
    try:
        with sent_file(sent.name, data) as path:
            table = read_scores(path, percent)
    except UserError as problem:
        st.error(plain(problem))
        return
    for remark in table.remarks:
        st.caption(plain(remark))
    choices = _choices(table)
    replace = is_import(root, name) and st.checkbox(
        f"replace what was imported as {plain(name)} before", key="scores replace"
    )
    if st.button("Import", type="primary", key="scores import", disabled=not may_change()):
        _import(root, sent.name, data, name, percent=percent, replace=replace, **choices)


def _choices(table: ScoreTable) -> dict[str, object]:
    """Baseline, directions and units, each first as the names of the metrics say."""
    baseline = st.selectbox("baseline", table.variants, key="scores baseline")
    falling = [metric for metric in table.metrics if not higher_is_better(metric)]
    lower = st.multiselect("lower is better", table.metrics, default=falling, key="scores lower")
    units = {metric: unit_of(metric) for metric in table.metrics}
    no_shares = [metric for metric, unit in units.items() if unit != SHARE]
    numbers = st.multiselect(
        "plain numbers, no shares", table.metrics, default=no_shares, key="scores numbers",
        help="A share lies between 0 and 1 (0 and 100 %) and is shown in percent.",
    )  # fmt: skip
    kept = {metric: unit if unit != SHARE else "number" for metric, unit in units.items()}
    return {
        "baseline": baseline,
        "lower_is_better": lower,
        "higher_is_better": [metric for metric in falling if metric not in lower],
        "units": {metric: kept[metric] if metric in numbers else SHARE for metric in table.metrics},
    }


def _import(root: Path, file_name: str, data: bytes, name: str, **options: object) -> None:
    """Import, then show the new table."""

    def import_() -> None:
        if not name:
            raise UserError("The experiment needs a name. Type one above, as in my-results.")
        with sent_file(file_name, data) as path:
            table = import_results(root, path, name, **options)  # type: ignore[arg-type]
        st.session_state[DONE] = f"{amount(table.rows, 'rows')} imported as {name}."

    if attempt(import_):
        empty_field(FIELD)
        forget(NAME)
        go_to(name)
        st.rerun()
