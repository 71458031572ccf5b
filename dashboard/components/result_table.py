"""The table of results as HTML: a line per variant, in its colour, with a tooltip behind every number.

In come the rows of one judged metric and the cells of all shown metrics; out comes HTML for `st.html`,
which drops scripts but keeps `title`.
"""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from core.results.verdicts import Row
from core.results.wording import (
    OVER,
    UNKNOWN,
    decimals_for,
    difference,
    mean_and_std,
    metric_sentence,
    percent,
)

MOST_RUNS_NAMED = 10_000

STYLE = """<style>
.results-scroll { overflow-x: auto; }
table.results {
  border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 0.95rem;
}
table.results th, table.results td {
  padding: 0.42rem 0.9rem 0.42rem 0; text-align: left; white-space: nowrap;
}
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


def _head(
    rows: Sequence[Row], metrics: Sequence[str], judged: str, baseline: str, split: bool
) -> Sequence[str]:
    heads = [_cell("variant", "One recipe; each dot in the chart is one training of it.", tag="th")]
    for metric in metrics:
        kind = "judged" if metric == judged else ""
        heads.append(_cell(html.escape(f"{metric}, %"), metric_sentence(metric), kind, tag="th"))
    if any(row.letters for row in rows):
        words = (
            f"Variants that share a letter can't be told apart in {judged}"
            " (all pairs of trainings at once, Games–Howell)."
        )
        heads.append(_cell("letters", words, tag="th"))
    heads.append(
        _cell(
            f"{html.escape(judged)} against {html.escape(baseline)}, points",
            "Difference from the baseline with its interval; the verdict (Welch's test) answers for"
            " the whole table (Holm).",
            tag="th",
        )
    )
    if split:
        heads.append(
            _cell("training std", f"How much {judged} differs between trainings of this recipe.", tag="th")
        )
        heads.append(
            _cell("evaluation std", f"How much {judged} differs between evaluations of one model.", tag="th")
        )
    return heads


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
    for metric in metrics:
        record = cells[row.variant, metric]
        text = mean_and_std(record).replace(" (n", ' <span class="quiet">(n') + "</span>"
        kind = "judged" if metric == judged else ""
        found.append(_cell(text if "<span" in text else UNKNOWN, _over(record, scope), kind))
    if row.letters is not None:
        found.append(_cell(row.letters, "Variants that share a letter can't be told apart."))
    found.append(_against(row, baseline))
    if split:
        found.append(_cell(_points(row.sd_training), "Between trainings, evaluation noise taken out."))
        found.append(_cell(_points(row.sd_evaluation), "Between evaluations of one trained model."))
    return found


def _over(record: Mapping[str, Any], scope: str) -> str:
    """What a number generalises over, and its interval."""
    if record["mean"] is None:
        return "Nothing is evaluated yet, or the metric is undefined for so few attempts."
    if record["low"] is None:
        return f"{record['n']} run: the std is unknown, not 0. Generalises over nothing but this run."
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
    return _cell(f"{words} {badge} {_runs_that_would(row)}", _p_sentence(row))


def _runs_that_would(row: Row) -> str:
    """How many runs would tell, where these can't."""
    found = row.comparison
    if found is None or row.verdict != "cannot tell":
        return ""
    if found.runs_needed is None:
        text = "" if min(found.n_a, found.n_b) > 1 else "2 runs or more each are needed"
    elif found.runs_needed > MOST_RUNS_NAMED:
        text = f"more than {MOST_RUNS_NAMED:,} runs would"
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
