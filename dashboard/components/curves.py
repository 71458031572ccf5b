"""Curves of trainings in the colours of their variants: a mean with its band, or a line for each run.

Of very many runs the lines of a variant are one trace, thin and with gaps between the seeds: a thousand
traces take seconds to make, and nobody could tell them apart.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from core.monitoring.curve_bands import Band
from core.number_words import amount
from core.reports.figures import label_ends, legend_fits
from core.reports.variant_styles import chart_text

HEIGHT = 320
DASHES = ("solid", "dash", "dot", "dashdot")
MOST_TRACES = 100
MOST_POINTS = 20_000
"""Points of all lines together: beyond, more of them are not seen, only sent."""
_GRID = "rgba(128, 128, 128, 0.22)"

Line = tuple[str, int, Sequence[int], Sequence[float]]
"""Variant, seed, steps and values of a run."""

LOSS = "loss"
NAMES = {"tokens_per_second": "tokens/s", "memory_bytes": "memory"}
TITLES = {
    LOSS: "loss (nats per token)",
    "validation_loss": "loss on held-out tasks (nats per token)",
    "validation_accuracy": "share of held-out tasks answered right",
    "seen_loss": "loss on seen tasks (nats per token)",
    "seen_accuracy": "share of seen tasks answered right",
    "evaluated_loss": "loss on evaluated tasks (nats per token)",
    "evaluated_accuracy": "share of evaluated tasks answered right",
    "learning_rate": "learning rate",
    "tokens_per_second": "tokens per second",
    "memory_bytes": "memory (bytes)",
}


def curve_chart(
    lines: Sequence[Line],
    bands: Mapping[str, Band],
    colours: Mapping[str, str],
    last_step: int,
    what: str = LOSS,
    *,
    logarithmic: bool = False,
    dashes: Mapping[str, str] | None = None,
) -> go.Figure:
    """The mean of each variant with a band of ± std over its runs, and single runs as lines over them.

    Means are dashed as `dashes` says, where the colours of variants begin anew.

    The axis reaches to `last_step` from the start, so that it stands still while lines grow.
    """
    many = len(lines) > MOST_TRACES
    hover = f"step %{{x:,}}: {what.replace('_', ' ')} %{{y:.4g}}"
    figure = go.Figure()
    for variant, found in bands.items():
        line = {"color": colours[variant], "dash": (dashes or {}).get(variant, "solid")}
        _add_band(figure, variant, found, line, hover)
    for trace in _by_variant(lines, colours) if many else _by_run(lines, colours, what):
        figure.add_scatter(hovertemplate=hover, **trace)
    figure.update_layout(
        height=HEIGHT,
        margin={"l": 8, "r": 16, "t": 8, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hovermode="closest" if many else "x unified",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        showlegend=True,
        uirevision="kept",  # a person's zoom outlives the next poll
    )
    figure.update_xaxes(title="step", gridcolor=_GRID, zeroline=False, range=[0, last_step])
    kind = "log" if logarithmic else "linear"
    figure.update_yaxes(title=TITLES[what], gridcolor=_GRID, zeroline=False, automargin=True, type=kind)
    if not lines and not legend_fits(bands):
        _label_bands(figure, bands, colours, dashes or {}, logarithmic=logarithmic)
    return figure


def _label_bands(
    figure: go.Figure,
    bands: Mapping[str, Band],
    colours: Mapping[str, str],
    dashes: Mapping[str, str],
    *,
    logarithmic: bool,
) -> None:
    """The name of each variant behind its mean, as a legend of so many would leave the curves no room."""

    def place(value: float) -> float:
        return float(np.log10(value)) if logarithmic and value > 0 else float(value)

    ends = {variant: place(found.mean[-1]) for variant, found in bands.items() if len(found.mean)}
    marks = [place(value) for found in bands.values() for value in (found.mean.min(), found.mean.max())]
    label_ends(figure, ends, colours, dashes, min(marks), max(marks))


def _add_band(figure: go.Figure, variant: str, found: Band, line: Mapping[str, Any], hover: str) -> None:
    """Mean as a line, ± std as an area where two runs or more reach."""
    wide = np.isfinite(found.std)
    if wide.any():
        steps, mean, std = found.steps[wide], found.mean[wide], found.std[wide]
        figure.add_scatter(
            x=np.concatenate([steps, steps[::-1]]),
            y=np.concatenate([mean + std, (mean - std)[::-1]]),
            fill="toself",
            fillcolor=line["color"],
            opacity=0.18,
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
            legendgroup=variant,
        )
    most = int(found.runs.max(initial=0))
    figure.add_scatter(
        x=found.steps,
        y=found.mean,
        mode="lines" if len(found.steps) > 1 else "markers",
        name=chart_text(f"{variant} (n = {most})"),
        legendgroup=variant,
        line={**line, "width": 2},
        hovertemplate=hover,
    )


def points_of_each(runs: int, most: int) -> int:
    """How many points each of so many runs may have, at most `most`, at least its ends."""
    return max(2, min(most, MOST_POINTS // max(1, runs)))


def _by_run(lines: Sequence[Line], colours: Mapping[str, str], what: str) -> list[dict[str, Any]]:
    """A trace for each run, the seeds of a variant told apart by their dashes."""
    seeds = {seed: place for place, seed in enumerate(sorted({seed for _, seed, _, _ in lines}))}
    return [
        {
            "x": np.array(steps),
            "y": np.array(values),
            "mode": _mode(what, len(steps)),
            "name": chart_text(f"{variant} · {seed}"),
            "line": {"color": colours[variant], "width": 1.8, "dash": DASHES[seeds[seed] % len(DASHES)]},
        }
        for variant, seed, steps, values in lines
    ]


def _mode(what: str, points: int) -> str:
    """Validations are few and stand as dots too; a single report is a dot."""
    if points == 1:
        return "markers"
    return "lines+markers" if what.startswith(("validation", "seen", "evaluated")) else "lines"


def _by_variant(lines: Sequence[Line], colours: Mapping[str, str]) -> list[dict[str, Any]]:
    """A trace for each variant, its runs one after the other with a gap behind each."""
    found: dict[str, list[Line]] = {}
    for line in lines:
        found.setdefault(line[0], []).append(line)
    return [
        {
            "x": np.array([step for _, _, steps, _ in own for step in (*steps, np.nan)]),
            "y": np.array([value for _, _, _, values in own for value in (*values, np.nan)]),
            "mode": "lines",
            "name": chart_text(f"{variant} · {amount(len(own), 'runs')}"),
            "line": {"color": colours[variant], "width": 1},
            "opacity": 0.5,
        }
        for variant, own in found.items()
    ]
