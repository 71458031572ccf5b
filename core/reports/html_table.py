"""The table of results as HTML: a line per variant, in its colour, with a tooltip behind every number.

In come the rows of one judged metric and the cells of all shown metrics; out comes HTML for `st.html`,
which drops scripts but keeps `title`.
"""

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

from core.checks.leak_warnings import TEST_TIME
from core.reports.glossary import meaning
from core.results.number_format import (
    UNKNOWN,
    difference,
    interval,
    metric_sentence,
    p_text,
    p_value,
    spread_texts,
    table_texts,
    titled,
    unit_words,
)
from core.results.verdicts import Row
from core.spread.scopes import SCOPES

_ONCE = "evaluation noise in it, as each was evaluated once"
_ALARMS = {
    True: "about 5 of 100 tables show any difference (up to 10 where the baseline varies twice as much as the"
    " others)",
    False: "at most about 5 of 100 tables show any difference where all variants have as many"
    " runs and evaluations, and up to 20 where some have five times as many as others",
}
"""How often tables of recipes, and of other scopes, show a difference that is none."""
FIGURE_SPACE = "\u2007"
"""As wide as a digit, and kept by a browser beside another space."""

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
table.results a { color: inherit; text-decoration: none; }
table.results a:hover { text-decoration: underline; }
table.results a:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
table.results .judged { font-weight: 600; opacity: 1; }
table.results .quiet { opacity: 0.62; font-weight: 400; }
table.results .swatch {
  display: inline-block; width: 0.7rem; height: 0.7rem; border-radius: 50%; margin-right: 0.5rem;
}
table.results .number { text-align: right; white-space: nowrap; }
table.results [title] { cursor: help; }
table.results .verdict { padding: 0.1rem 0.5rem; border-radius: 1rem; font-weight: 600; font-size: 0.85rem; }
table.results .better { background: rgba(0, 158, 115, 0.18); }
table.results .worse { background: rgba(213, 94, 0, 0.2); }
table.results .test-time { background: rgba(142, 95, 191, 0.2); font-weight: 500; }
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
    labels: Mapping[str, str] | None = None,
    *,
    links: Mapping[str, str] | None = None,
    dictionary: str | None = None,
) -> str:
    """The table: `rows` in order, `cells` the record of each (variant, metric), `metrics` the columns.
    `labels` are those of variants with test-time training.

    On a page, `links` holds the address that the name of a variant leads to, and `dictionary` the address
    that explains a word appended to it.
    """
    split = any(row.sd_training is not None for row in rows)
    units = {metric: str(record.get("unit", "share")) for (_, metric), record in cells.items()}
    head = "".join(_head(rows, metrics, units, judged, baseline, scope, split, dictionary))
    names = {row.variant: _name(row.variant, colours, (links or {}).get(row.variant)) for row in rows}
    shown = [cells[row.variant, metric] for row in rows for metric in metrics]
    texts, known = table_texts(shown), labels or {}
    stds = _spreads(rows) if split else {}
    lines = (_line(row, cells, texts, metrics, judged, baseline, scope, names, stds, known) for row in rows)
    body = "".join(f"<tr>{''.join(line)}</tr>" for line in lines)
    return (
        f'{STYLE}<div class="results-scroll"><table class="results"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _spreads(rows: Sequence[Row]) -> dict[str, tuple[str, str]]:
    """For each variant the std between its trainings and between their evaluations, as two columns."""
    unit = rows[0].unit
    columns = (
        spread_texts([row.sd_training for row in rows], unit),
        spread_texts([row.sd_evaluation for row in rows], unit),
    )
    return dict(zip((row.variant for row in rows), zip(*columns, strict=True), strict=True))


def _head(
    rows: Sequence[Row],
    metrics: Sequence[str],
    units: Mapping[str, str],
    judged: str,
    baseline: str,
    scope: str,
    split: bool,
    dictionary: str | None,
) -> list[str]:
    """The judged metric with all that is said of it, then the other metrics."""
    dot = "one evaluation of a training" if scope == "checkpoint" else "one training"
    heads = [_cell("variant", f"One recipe; each dot in the chart is {dot} of it.", tag="th")]
    heads.append(_metric_head(judged, rows[0].unit if rows else "share", dictionary, "judged"))
    heads.append(_cell("n", f"So many {SCOPES[scope].counts} stand behind each number.", "number", tag="th"))
    if any(row.letters for row in rows):
        words = (
            f"Variants that share a letter can't be told apart in {judged}, by the same verdict as beside it."
        )
        heads.append(_cell(_word("letters", "letters", dictionary), words, tag="th"))
    words = (
        "Difference from the baseline with its 95 % interval, and the verdict on it. Both answer for the"
        f" whole table: where nothing differs, {_ALARMS[scope == 'recipe']}."
    )
    unit = unit_words(rows[0].unit, of_difference=True) if rows else ""
    against = ", ".join(
        filter(None, (f"{html.escape(judged)} against {html.escape(baseline)}", html.escape(unit)))
    )
    heads.append(_cell(_word(against, "verdict", dictionary), words, tag="th"))
    if split:
        words = f"How much {judged} differs between"
        for of, over in (("training", "trainings of this recipe"), ("evaluation", "evaluation seeds")):
            heads.append(_cell(_word(f"{of} std", "std", dictionary), f"{words} {over}.", "number", tag="th"))
    return [
        *heads,
        *(_metric_head(metric, units[metric], dictionary) for metric in metrics if metric != judged),
    ]


def _word(text: str, word: str, dictionary: str | None) -> str:
    """A word of the head, which leads to its place in the dictionary where there is one."""
    return text if dictionary is None else f'<a href="{html.escape(dictionary + word)}">{text}</a>'


def _name(variant: str, colours: Mapping[str, str], link: str | None) -> str:
    """A variant in its colour, which leads on where there is a link."""
    swatch = f'<span class="swatch" style="background:{colours[variant]}"></span>'
    name = html.escape(variant)
    return swatch + (f'<a href="{html.escape(link)}">{name}</a>' if link else name)


def _metric_head(metric: str, unit: str, dictionary: str | None, kind: str = "") -> str:
    named = f"number {kind}".strip()
    own = html.escape(titled(metric, unit))
    shown = _word(own, metric, dictionary) if meaning(metric) else own  # imported metrics are not explained
    return _cell(shown, metric_sentence(metric), named, tag="th")


def _line(
    row: Row,
    cells: Mapping[tuple[str, str], Mapping[str, Any]],
    texts: Mapping[tuple[str, str], str],
    metrics: Sequence[str],
    judged: str,
    baseline: str,
    scope: str,
    names: Mapping[str, str],
    stds: Mapping[str, tuple[str, str]],
    labels: Mapping[str, str],
) -> list[str]:
    label = labels.get(row.variant, "")
    mark = f' <span class="verdict test-time">{TEST_TIME}</span>' if label else ""
    found = [_cell(names[row.variant] + mark, label)]
    main = cells[row.variant, judged]

    def number(metric: str, kind: str = "") -> str:
        return _number(cells[row.variant, metric], texts[row.variant, metric], main["n"], scope, kind)

    found += [number(judged, "judged"), _cell(str(main["n"]), "", "number")]
    if row.letters is not None:
        found.append(_cell(row.letters, "Variants that share a letter can't be told apart."))
    found.append(_against(row, baseline))
    if stds:
        words = "evaluation noise taken out" if row.sd_evaluation is not None else _ONCE
        training, evaluation = stds[row.variant]
        found.append(_cell(training, f"Between trainings, {words}.", "number"))
        found.append(_cell(evaluation, "Between evaluation seeds.", "number"))
    return [*found, *(number(metric) for metric in metrics if metric != judged)]


def _number(record: Mapping[str, Any], text: str, usual: int, scope: str, kind: str = "") -> str:
    """One mean ± std; its n stands behind it where it is not that of the whole line."""
    quiet = f' <span class="quiet">(n = {record["n"]})</span>' if record["n"] != usual else ""
    padded = re.sub(r"(?<= ) | (?= )| $", FIGURE_SPACE, text)
    return _cell(f"<span>{padded}</span>{quiet}", _over(record, scope), f"number {kind}".strip())


def _over(record: Mapping[str, Any], scope: str) -> str:
    """What a number generalises over, and its interval."""
    if record["mean"] is None:
        return "Nothing is evaluated yet, or the metric is undefined for so few attempts."
    if record["low"] is None and record["std"] == 0:
        return "All are equal: how much others would differ can't be seen, but it is not 0."
    if record["low"] is None:
        alone = SCOPES[scope].alone
        return f"{alone}: the std is unknown, not 0. Generalises over nothing but what was measured."
    ends = (
        interval(record["low"], record["high"], unit=record.get("unit", "share"))
        .strip("[]")
        .replace(", ", " to ")
    )
    return f"95 % interval of the mean: {ends}. Generalises over: {SCOPES[scope].over}."


def _against(row: Row, baseline: str) -> str:
    if row.variant == baseline:
        return _cell('<span class="quiet">baseline</span>', "")
    found = row.comparison
    if found is None or row.verdict is None:
        return _cell(UNKNOWN, "Not compared.")
    kind = {"better": "better", "worse": "worse"}.get(row.verdict, "cannot")
    words = difference(found.difference, found.low, found.high, row.unit)
    badge = f'<span class="verdict {kind}">{row.verdict}</span>'
    reason = f'<span class="quiet">{_reason(row)}</span>' if _reason(row) else ""
    return _cell(f"<span>{words}</span> {badge} {reason}", _p_sentence(row))


def _reason(row: Row) -> str:
    """Why a difference doesn't count that a reader would have counted, or can't be judged at all."""
    found = row.comparison
    if found is None or row.verdict != "cannot tell":
        return ""
    if found.lost_by_correction:
        return "would count alone, not beside the others"
    if found.p is None:
        if found.scope == "checkpoint":
            return "several evaluations of each, and some noise, are needed"
        return "2 runs or more each are needed" if min(found.n_a, found.n_b) < 2 else "no noise was seen"
    return ""


def _p_sentence(row: Row) -> str:
    found = row.comparison
    if found is None or found.p is None or found.p_alone is None:
        if found is not None and found.scope == "checkpoint":
            return "Nothing tells how large the noise between evaluations is. Add eval seeds."
        lend = ", or borrow another experiment's noise" if found is None or found.scope == "recipe" else ""
        return f"Nothing tells how large the noise is. Add train seeds{lend}."
    return (
        f"{p_text(found.p)} for the whole table, {p_value(found.p_alone)} had nothing else been compared;"
        f" {found.degrees_of_freedom:g} degrees of freedom. The interval is that of the whole table."
    )


def _cell(text: str, title: str, kind: str = "", tag: str = "td") -> str:
    """One cell; `text` is HTML already, `title` is plain."""
    named = f' class="{kind}"' if kind else ""
    hint = f' title="{html.escape(title)}"' if title else ""
    return f"<{tag}{named}{hint}>{text}</{tag}>"
