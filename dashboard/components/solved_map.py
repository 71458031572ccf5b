"""The map of tasks × runs: how often each run solved each task; cells are clicked."""

import base64
import html
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from core.checks.leak_warnings import TEST_TIME
from core.reports.figures import ALWAYS, NEVER, OFTEN, RARELY
from core.reports.variant_styles import TEST_TIME_COLOUR
from core.results.curves import Solved
from dashboard.components.picker import pick, task_name

LEGEND = "Grey: never right · orange: sometimes, the fuller the oftener · blue: in every attempt."
_MAP_HEIGHT = 240
_LARGEST_CELL = 16
_NAME_HEIGHT = 15
"""Pixels that the name of a variant needs, which stands beside the lines of its runs."""

_STYLE = """<style>
.map { display: grid; grid-template-columns: max-content 1fr; column-gap: 0.6rem; font-size: 0.78rem; }
.map .field { position: relative; }
.map canvas { display: block; width: 100%; height: 100%; image-rendering: pixelated; cursor: pointer; }
.map .mark {
  position: absolute; top: -3px; bottom: -3px; outline: 2px solid var(--st-text-color); min-width: 3px;
  pointer-events: none;
}
.map .mark[hidden] { display: none; }
.map-save {
  font: inherit; font-size: 0.78rem; color: inherit; background: none; cursor: pointer; float: right;
  border: 1px solid transparent; border-radius: 6px; padding: 0.1rem 0.5rem; margin-top: 0.3rem;
}
.map-save:hover, .map-save:focus-visible { border-color: var(--st-border-color); }
.map .names { display: flex; flex-direction: column; }
.map .names div {
  display: flex; align-items: center; gap: 0.4rem; border-bottom: 1px solid transparent; overflow: hidden;
}
.dot { display: inline-block; width: 0.65rem; height: 0.65rem; border-radius: 50%; flex: none; }
</style>"""


def show_solved_map(
    page: str,
    strip: Solved,
    colours: Mapping[str, str],
    chosen: str,
    take: Callable[[str, int | None], None],
    test_time: Collection[str] = (),
) -> None:
    """All tasks (columns) × runs (lines); `take` gets the task of a clicked cell and the place of its run.
    `test_time` names the variants that were trained at test time."""
    content, chart = _solved_map(strip, colours, test_time, f"{page} map.png")
    pick(page, content, chosen, take, chart)


def _solved_map(
    solved: Solved, colours: Mapping[str, str], test_time: Collection[str], file_name: str
) -> tuple[str, dict[str, Any]]:
    """The map's HTML, and what the browser draws."""
    lines = Counter(variant for variant, _ in solved.runs)
    fits = min(_LARGEST_CELL, _MAP_HEIGHT // max(1, len(solved.runs)))
    cell = max(2, fits, -(-_NAME_HEIGHT // min(lines.values(), default=1)))
    names = []
    for variant, count in lines.items():
        height = cell * count
        dot = f'<span class="dot" style="background:{colours[variant]}"></span>'
        names.append(f'<div style="height:{height - 1}px">{dot}{_name(variant, test_time)}</div>')
    content = (
        f'{_STYLE}<div class="map"><div class="names">{"".join(names)}</div>'
        f'<div class="field" style="height:{cell * len(solved.runs)}px"><canvas></canvas>'
        f'<div class="mark" hidden></div></div></div>'
        f'<button class="map-save" data-save="{html.escape(file_name)}" title="The map as PNG.">PNG</button>'
    )
    chart = {
        "tasks": [task_name(task) for task in solved.tasks],
        "runs": [f"{variant} · train seed {seed}" for variant, seed in solved.runs],
        "right": _packed(solved.right),
        "attempts": _packed(solved.attempts),
        "colours": [NEVER, RARELY, OFTEN, ALWAYS],
    }
    return content, chart


def _name(variant: str, test_time: Collection[str]) -> str:
    colour = f"color-mix(in srgb, {TEST_TIME_COLOUR} 55%, currentColor)"  # readable in light and dark
    mark = f' <span style="color:{colour}">{TEST_TIME}</span>' if variant in test_time else ""
    return html.escape(variant) + mark


def _packed(counts: npt.NDArray[np.int64]) -> str:
    return base64.b64encode(counts.astype("<u4").tobytes()).decode("ascii")
