"""What a launch will run and cost, as the Launch page shows it: quiet tables made from core's numbers."""

import html
from collections.abc import Mapping, Sequence

from core.preflight.cost import Measured
from core.preflight.size import Size
from core.specs.differing_settings import Difference
from dashboard.components.wording import amount, bytes_in_words, seconds_in_words

STYLE = """<style>
.quiet-table, .costs { font-variant-numeric: tabular-nums; }
.quiet-table { width: 100%; border-collapse: collapse; font-size: 0.875rem; }
.quiet-table th, .quiet-table td {
  text-align: left; padding: 7px 14px 7px 0; vertical-align: top;
  border-bottom: 1px solid rgba(128, 128, 128, 0.22);
}
.quiet-table th { font-weight: 500; }
.quiet-table td.setting { white-space: nowrap; opacity: 0.75; cursor: help; }
.quiet-table td.changed { font-weight: 600; }
.quiet-table .dot {
  display: inline-block; width: 9px; height: 9px; border-radius: 50%; margin-right: 7px;
  background: var(--colour);
}
.costs { display: grid; grid-template-columns: repeat(auto-fit, minmax(7.5rem, 1fr)); gap: 14px 18px; }
.costs .number { font-size: 1.35rem; font-weight: 600; line-height: 1.3; white-space: nowrap; }
.costs .number.unknown { font-size: 0.95rem; font-weight: 400; line-height: 1.85; opacity: 0.65; }
.costs .name, .costs .detail { font-size: 0.8rem; opacity: 0.65; line-height: 1.35; }
</style>"""


def differences_table(found: Sequence[Difference], baseline: str, colours: Mapping[str, str]) -> str:
    """One row per setting that differs, one column per variant; what departs from the baseline is bold."""
    heads = "".join(
        f'<th><span class="dot" style="--colour: {colour}"></span>{html.escape(variant)}'
        f"{' (baseline)' if variant == baseline else ''}</th>"
        for variant, colour in colours.items()
    )
    rows = "".join(_difference_row(one, baseline, colours) for one in found)
    if not rows:
        rows = f'<tr><td colspan="{len(colours) + 1}">Nothing differs between the variants.</td></tr>'
    table = f'<table class="quiet-table differences"><tr><th></th>{heads}</tr>{rows}</table>'
    return f'{STYLE}<div style="overflow-x: auto">{table}</div>'


def _difference_row(one: Difference, baseline: str, colours: Mapping[str, str]) -> str:
    cells = "".join(
        f'<td class="{"changed" if one.values[variant] != one.values[baseline] else ""}">'
        f"{html.escape(one.values[variant])}</td>"
        for variant in colours
    )
    name = html.escape(one.key.replace(".", " › ").replace("_", " "))
    return f'<tr><td class="setting" title="{html.escape(one.description)}">{name}</td>{cells}</tr>'


def costs(
    size: Size,
    known: Measured,
    seconds: float | None,
    kept: float | None,
    free: int,
    per_task: float | None = None,
) -> str:
    """Six numbers: runs, tasks, attempts, tokens, time (of each task beside it), disk."""
    unknown, ahead = "not measured yet", "not known ahead"
    no_time = ahead if size.searches else unknown
    reason = "a search asks as often as answers branch" if size.searches else "known after the first run"
    measured = f"from {known.runs} earlier run{'s' if known.runs != 1 else ''} of this base model"
    measured += "" if known.alike else ", all of other sizes: roughly"
    if per_task is not None:
        measured += f"; ≈ {per_task:.2g} s for each task of a run"
    numbers = [
        ("runs", f"{size.runs}", "one training each"),
        ("evaluated tasks", f"{size.tasks:,}", f"test outputs: {size.outputs:,}"),
        (
            "searched views" if size.searches else "attempts",
            amount(size.attempts),
            "over all evaluations",
        ),
        (
            "tokens",
            f"≈ {amount(size.training_tokens + size.adaptation_tokens + size.inference_tokens)}",
            _tokens_in_words(size),
        ),
        ("time", no_time if seconds is None else f"≈ {seconds_in_words(seconds)}",
         measured if seconds is not None else reason),
        ("disk", unknown if kept is None else f"≈ {bytes_in_words(kept)}", f"{bytes_in_words(free)} free"),
    ]  # fmt: skip
    tiles = "".join(
        f'<div><div class="name">{name}</div>'
        f'<div class="number{" unknown" if number in (unknown, ahead) else ""}">{number}</div>'
        f'<div class="detail">{detail}</div></div>'
        for name, number, detail in numbers
    )
    return f'{STYLE}<div class="costs">{tiles}</div>'


def _tokens_in_words(size: Size) -> str:
    adapting = f" {amount(size.adaptation_tokens)} at test time," if size.adaptation_tokens else ""
    return f"{amount(size.training_tokens)} to train,{adapting} {amount(size.inference_tokens)} to answer"
