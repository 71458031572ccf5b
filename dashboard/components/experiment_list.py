"""The list of all experiments as HTML to click on; every name is also a link that opens in a tab of its own.

In come records of `core.reports.experiment_index`, out comes HTML for `picker.pick`; every text is escaped.
"""

import html
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from dashboard.components.wording import unbroken

OPEN, PIN, ARCHIVE, DELETE = "open", "pin", "archive", "delete"

STYLE = """<style>
.experiments { font-size: 0.9rem; font-variant-numeric: tabular-nums; color: var(--st-text-color); }
.experiments .row {
  display: grid; gap: 0.3rem 1rem; align-items: start;
  grid-template-columns: minmax(11rem, 2fr) minmax(12rem, 3fr) 9.5rem 6.5rem minmax(9rem, 1fr) 6.2rem 8.6rem;
  padding: 0.55rem 0.4rem; border-top: 1px solid var(--st-border-color);
}
.experiments .row:hover { background: var(--st-secondary-background-color); }
.experiments .head { font-size: 0.8rem; border: 0; padding-block: 0.1rem; }
.experiments .head:hover { background: none; }
.experiments .quiet, .experiments .head {
  color: color-mix(in srgb, var(--st-text-color) 72%, var(--st-background-color));
}
.experiments .quiet { font-size: 0.82rem; }
.experiments a { color: inherit; font-weight: 600; text-decoration: none; overflow-wrap: anywhere; }
.experiments a:hover { text-decoration: underline; }
.experiments a:focus-visible, .experiments button:focus-visible {
  outline: 2px solid var(--st-primary-color); outline-offset: 2px;
}
.experiments .tag {
  display: inline-block; font-size: 0.76rem; padding: 0 0.5rem; margin: 0.1rem 0.25rem 0 0;
  border-radius: 1rem; background: rgba(128, 128, 128, 0.2);
}
.experiments .bar { height: 5px; border-radius: 3px; background: var(--st-border-color); margin-top: 0.3rem; }
.experiments .bar i { display: block; height: 100%; border-radius: 3px; background: var(--st-primary-color); }
.experiments [data-state="done"] i { background: var(--st-green-text-color); }
.experiments [data-state="failed"] i, .experiments [data-state="broken"] i {
  background: var(--st-red-text-color);
}
.experiments [data-state="failed"] b, .experiments .problem { color: var(--st-red-text-color); }
.experiments .acts { display: flex; gap: 0.15rem; justify-content: flex-end; }
.experiments button {
  font: inherit; font-size: 0.8rem; color: inherit; background: none; cursor: pointer;
  padding: 0.05rem 0.4rem; border: 1px solid transparent; border-radius: 6px;
}
.experiments button:hover { border-color: var(--st-border-color); background: var(--st-background-color); }
.experiments button[aria-pressed="true"] { font-weight: 600; }
.experiments .unit { display: none; }
@media (max-width: 1150px) {
  .experiments .head { display: none; }
  .experiments .unit { display: inline; }
  .experiments .row { grid-template-columns: 2fr 2fr 9rem; }
  .experiments .acts { justify-content: flex-start; }
}
@media (max-width: 600px) { .experiments .row { grid-template-columns: 1fr; } }
</style>"""


def experiment_rows(records: Sequence[Mapping[str, Any]], *, awake: bool) -> str:
    """One row per experiment; `awake` is whether this person may pin and put away."""
    heads = ("experiment", "answer", "state", "variants × runs", "best", "date", "")
    head = f'<div class="row head">{"".join(f"<div>{word}</div>" for word in heads)}</div>'
    rows = "".join(_row(record, awake) for record in records)
    return f'{STYLE}<div class="experiments">{head}{rows}</div>'


def _row(record: Mapping[str, Any], awake: bool) -> str:
    name = html.escape(record["experiment"])
    address = html.escape(f"results?experiment={quote(record['experiment'])}")
    tags = "".join(f'<span class="tag">{html.escape(tag)}</span>' for tag in record["tags"])
    pin = "★ " if record["pinned"] else ""
    answer = unbroken(html.escape(record.get("answer") or ""))
    if record["problem"]:
        answer = f'<span class="problem">{html.escape(record["problem"])}</span>'
    elif record.get("answer") is None:
        answer = '<span class="quiet">reading the scores …</span>'
    state = f"<b>{record['state']}</b>"
    progress = html.escape(record["progress"])
    if record["state"] in ("done", "imported"):
        progress = ""
    bar = f'<div class="bar"><i style="width:{100 * record["share"]:.0f}%"></i></div>'
    count = f"{record['variants']}{_unit('variants', record['variants'])}"
    count += f" × {record['trainings']}{_unit('runs', record['trainings'])}" if record["trainings"] else ""
    best = html.escape(record.get("best") or "–")
    value = f'<div class="quiet">{html.escape(record.get("metric") or "")} {record.get("value") or ""}</div>'
    owner = f'<div class="quiet">{html.escape(record["owner"])}</div>'
    return (
        f'<div class="row" data-experiment="{name}"><div><a href="{address}" data-pick="{OPEN} {name}">{pin}'
        f'{name}</a><div class="quiet">{html.escape(record["question"])}</div>{tags}</div>'
        f'<div class="answer">{answer}</div>'
        f'<div data-state="{record["state"]}">{state}{bar}<div class="quiet">{progress}</div></div>'
        f"<div>{count}</div><div>{best}{value if record.get('value') else ''}</div>"
        f"<div>{record['date']}{owner}</div>{_acts(name, record, awake)}</div>"
    )


def _unit(things: str, count: Any) -> str:
    """A word that a narrow window shows, where no column has a head."""
    return f'<span class="unit"> {things.removesuffix("s") if str(count) == "1" else things}</span>'


def _acts(name: str, record: Mapping[str, Any], awake: bool) -> str:
    if not awake:
        return "<div></div>"
    busy = record["state"] in ("running", "waiting")
    rest = ' disabled title="Stop it first."' if busy else ""
    pressed = str(bool(record["pinned"])).lower()
    return (
        f'<div class="acts"><button data-pick="{PIN} {name}" aria-pressed="{pressed}"'
        f' title="Pinned experiments stand first.">{"unpin" if record["pinned"] else "pin"}</button>'
        f'<button data-pick="{ARCHIVE} {name}"{rest}>archive</button>'
        f'<button data-pick="{DELETE} {name}"{rest}>delete</button></div>'
    )
