"""The table of results as HTML: a line per variant, in its colour, with a tooltip behind every number.

In come the rows of one judged metric and the cells of all shown metrics; out comes HTML for `st.html`,
which drops scripts but keeps `title`.
"""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from core.results.number_format import (
    ALONE,
    OVER,
    UNKNOWN,
    decimals_for,
    difference,
    mean_and_std,
    metric_sentence,
    percent,
)
from core.results.verdicts import Row

MOST_RUNS_NAMED = 10_000
MORE_WOULD = "a few more runs would"
"""Said where as many runs as there are would tell in 4 of 5 cases, and this is the fifth, or one of unequal
spreads or of many variants (Holm), which ask for more."""

STYLE = """<style>
.results-scroll { overflow-x: auto; }
table.results {
  border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 0.95rem;
}
table.results th, table.results td {
  padding: 0.42rem 0.8rem 0.42rem 0; text-align: left;
}
table.results td > *, table.results td:first-child { white-space: nowrap; }
table.results td .quiet, table.results td .verdict { display: inline-block; }
table.results th {
  font-weight: 600; opacity: 0.72; font-size: 0.82rem; border-bottom: 1px solid rgba(128, 128, 128, 0.4);
}
table.results td { border-bottom: 1px solid rgba(128, 128, 128, 0.18); }
table.results .judged { font-weight: 600; opacity: 1; }
table.results .quiet { opacity: 0.62; font-weight: 400; }
table.results .swatch {
  display: inline-block; width: 0.7rem; height: 0.7rem; border-radius: 50%; margin-right: 0.5rem;
}
table.results [title] { cursor: help; }
table.results .verdict { padding: 0.1rem 0.5rem; border-radius: 1rem; font-weight: 600; font-size: 0.85rem; }
table.results .better { background: rgba(0, 158, 115, 0.18); }
table.results .worse { background: rgba(213, 94, 0, 0.2); }
table.results .cannot { background: rgba(128, 128, 128, 0.16); font-weight: 500; }
</style>"""


def result_table(
    rows: Sequence[Row],
    cells: Mapping[tuple[str, str], Mapping[str, Any]],
    metrics: Sequence[str],
    judged: str,
    baseline: str,
    scope: str,
    colours: Mapping[str, str],
) -> str:
    """The table: `rows` in order, `cells` the record of each (variant, metric), `metrics` the columns."""
    split = any(row.sd_training is not None for row in rows)
    head = "".join(_head(rows, metrics, judged, baseline, split))
    body = "".join(
        f"<tr>{''.join(_line(row, cells, metrics, judged, baseline, scope, colours, split))}</tr>"
        for row in rows
    )
    return (
        f'{STYLE}<div class="results-scroll"><table class="results"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _head(rows: Sequence[Row], metrics: Sequence[str], judged: str, baseline: str, split: bool) -> list[str]:
    """The judged metric with all that is said of it, then the other metrics."""
    heads = [_cell("variant", "One recipe; each dot in the chart is one training of it.", tag="th")]
    heads.append(_metric_head(judged, "judged"))
    if any(row.letters for row in rows):
        words = (
            f"Variants that share a letter can't be told apart in {judged}"
            " (all pairs of trainings at once, Games–Howell)."
        )
        heads.append(_cell("letters", words, tag="th"))
    words = (
        "Difference from the baseline with its 95 % interval; the verdict (Welch's test) answers for the"
        " whole table (Holm)."
    )
    against = f"{html.escape(judged)} against {html.escape(baseline)}, points"
    heads.append(_cell(against, words, tag="th"))
    if split:
        words = f"How much {judged} differs between"
        heads.append(_cell("training std", f"{words} trainings of this recipe, in points.", tag="th"))
        heads.append(_cell("evaluation std", f"{words} evaluations of one model, in points.", tag="th"))
    return [*heads, *(_metric_head(metric) for metric in metrics if metric != judged)]


def _metric_head(metric: str, kind: str = "") -> str:
    return _cell(html.escape(f"{metric}, %"), metric_sentence(metric), kind, tag="th")


def _line(
    row: Row,
    cells: Mapping[tuple[str, str], Mapping[str, Any]],
    metrics: Sequence[str],
    judged: str,
    baseline: str,
    scope: str,
    colours: Mapping[str, str],
    split: bool,
) -> list[str]:
    swatch = f'<span class="swatch" style="background:{colours[row.variant]}"></span>'
    found = [_cell(swatch + html.escape(row.variant), "")]
    found.append(_number(cells[row.variant, judged], scope, "judged"))
    if row.letters is not None:
        found.append(_cell(row.letters, "Variants that share a letter can't be told apart."))
    found.append(_against(row, baseline))
    if split:
        found.append(_cell(_points(row.sd_training), "Between trainings, evaluation noise taken out."))
        found.append(_cell(_points(row.sd_evaluation), "Between evaluations of one trained model."))
    return [*found, *(_number(cells[row.variant, metric], scope) for metric in metrics if metric != judged)]


def _number(record: Mapping[str, Any], scope: str, kind: str = "") -> str:
    """One mean ± std with its n in the background."""
    number, bracket, n = mean_and_std(record).partition(" (n")
    quiet = f' <span class="quiet">(n{n}</span>' if bracket else ""
    return _cell(f"<span>{number}</span>{quiet}", _over(record, scope), kind)


def _over(record: Mapping[str, Any], scope: str) -> str:
    """What a number generalises over, and its interval."""
    if record["mean"] is None:
        return "Nothing is evaluated yet, or the metric is undefined for so few attempts."
    if record["low"] is None:
        return f"{ALONE[scope]}: the std is unknown, not 0. Generalises over nothing but what was measured."
    decimals = decimals_for(50 * (record["high"] - record["low"])) + 1
    low, high = percent(record["low"], decimals), percent(record["high"], decimals)
    return f"95 % interval of the mean: {low} to {high}. Generalises over: {OVER[scope]}."


def _against(row: Row, baseline: str) -> str:
    if row.variant == baseline:
        return _cell('<span class="quiet">baseline</span>', "")
    found = row.comparison
    if found is None or row.verdict is None:
        return _cell(UNKNOWN, "Not compared.")
    kind = {"better": "better", "worse": "worse"}.get(row.verdict, "cannot")
    words = difference(found.difference, found.low, found.high)
    badge = f'<span class="verdict {kind}">{row.verdict}</span>'
    return _cell(f"<span>{words}</span> {badge} {_runs_that_would(row)}", _p_sentence(row))


def _runs_that_would(row: Row) -> str:
    """How many runs would tell, where these can't."""
    found = row.comparison
    if found is None or row.verdict != "cannot tell":
        return ""
    if found.runs_needed is None:
        text = "" if min(found.n_a, found.n_b) > 1 else "2 runs or more each are needed"
    elif found.runs_needed > MOST_RUNS_NAMED:
        text = f"more than {MOST_RUNS_NAMED:,} runs would"
    elif found.runs_needed <= min(found.n_a, found.n_b):
        text = MORE_WOULD
    else:
        text = f"{found.runs_needed:,} runs would"
    return f'<span class="quiet">{text}</span>'


def _p_sentence(row: Row) -> str:
    found = row.comparison
    if found is None or found.p is None:
        return "Too few runs for a test. Add train seeds to the spec and launch again."
    single = f"p = {found.p:.2g} for this pair alone"
    table = "" if found.p_holm is None else f", {found.p_holm:.2g} for the whole table (Holm)"
    needed = ""
    if found.runs_needed is not None:
        needed = f" {found.runs_needed:,} runs per variant find so large a difference in 4 of 5 cases."
    return f"{single}{table}.{needed} The interval is that of this pair alone."


def _points(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return "≈ 0" if value == 0 else percent(value, decimals_for(100 * value))


def _cell(text: str, title: str, kind: str = "", tag: str = "td") -> str:
    """One cell; `text` is HTML already, `title` is plain."""
    named = f' class="{kind}"' if kind else ""
    hint = f' title="{html.escape(title)}"' if title else ""
    return f"<{tag}{named}{hint}>{text}</{tag}>"
