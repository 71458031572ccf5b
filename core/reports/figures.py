"""Figures of an experiment: variants always in the same colour, every run a dot, every mean with its spread.

In come rows and records of this room, out come Plotly figures, which the pages hand to the browser and a lab
note draws as still pictures (`core.reports.svg`); nothing is computed but places and colours. Backgrounds
and the colour of text are left to whoever shows them, so that light and dark both work.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from core.checks.leak_warnings import TEST_TIME
from core.reports.variant_styles import (
    DASHES,
    LETTERS,
    chart_text,
    variant_colours,
    variant_dashes,
    variant_markers,
    variant_text,
)
from core.results.loading import SHARE
from core.results.number_format import scale_of, titled, unit_words

ROW_HEIGHT = 64
LONGEST_LEGEND = 110
"""Letters of a legend that stands above a chart in two lines at most."""
LEGEND_LINE = 20
LONGEST_LABEL, LABELS_ABOVE_EACH_OTHER = 22, 17
"""Letters of a name at the end of a curve, and how many such names a chart has room for."""
_JITTER = 0.16
FONT = 13
GRID = "rgba(128, 128, 128, 0.22)"
MOST_NAMED_TASKS = 45
NEVER, RARELY, OFTEN, ALWAYS = (
    "rgba(128, 128, 128, 0.16)",
    "rgba(213, 120, 0, 0.3)",
    "rgba(213, 120, 0, 1)",
    "#0072B2",
)
"""Of a cell of the map. What is between rarely and often covers more of the background, light or dark."""
_SOLVED = [[0.0, NEVER], [1e-6, RARELY], [0.999999, OFTEN], [1.0, ALWAYS]]


def run_chart(
    rows: Sequence[Any],
    runs: Iterable[Mapping[str, Any]],
    variants: Sequence[str],
    baseline: str,
    metric: str,
    test_time: Collection[str] = (),
) -> go.Figure:
    """Every run as a dot, mean ± std as a bar, the interval as a whisker; one line per variant, best on top.

    `rows` are `core.results.verdicts.Row`, in order; `runs` are records of
    `core.results.run_values.dot_records`; `test_time` names the variants that were trained at test time.
    """
    unit = rows[0].unit if rows else SHARE
    scale = scale_of(unit)
    colours, markers = variant_colours(variants, baseline), variant_markers(variants, baseline)
    figure = go.Figure()
    by_variant: dict[str, list[Mapping[str, Any]]] = {}
    for run in runs:
        if run["value"] is not None:
            by_variant.setdefault(run["variant"], []).append(run)
    for place, row in enumerate(rows):
        own = by_variant.get(row.variant, [])
        add_summary(figure, place, row.summary, colours[row.variant], scale)
        _add_dots(figure, place, row.variant, own, colours[row.variant], markers[row.variant], unit)
    figure.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=[variant_text(row.variant, test_time) for row in rows],
        range=[len(rows) - 0.4, -0.6],
        showgrid=False,
        zeroline=False,
    )
    figure.update_xaxes(range=_possible_range(rows, by_variant) if unit == SHARE else None)
    return finished(figure, titled(metric, unit), 70 + ROW_HEIGHT * max(2, len(rows)))


def _possible_range(
    rows: Sequence[Any], runs: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[float] | None:
    """The axis from the lowest to the highest of all marks, but not far beyond 0 and 100 %.

    An interval of a mean near 0 reaches below it; the axis cuts it there.
    """
    marks = [run["value"] for own in runs.values() for run in own]
    for summary in (row.summary for row in rows):
        ends = [summary.low, summary.high]
        if summary.std is not None:
            ends += [summary.mean - summary.std, summary.mean + summary.std]
        marks += [end for end in ends if end is not None]
    if not marks or any(run["value"] < 0 or run["value"] > 1 for own in runs.values() for run in own):
        return None
    low, high = 100 * max(0.0, min(marks)), 100 * min(1.0, max(marks))
    pad = 0.03 * (high - low) or 1.0
    return [low - pad, high + pad]


def add_summary(figure: go.Figure, place: int, summary: Any, colour: str, scale: float = 100) -> None:
    """Bar (mean ± std), whisker (interval) and a stroke at the mean, as lines without dots."""
    mean = scale * summary.mean
    if summary.std is not None:
        spread = scale * summary.std
        _line(figure, [mean - spread, mean + spread], [place, place], colour, 22, 0.28)
    if summary.low is not None and summary.high is not None:
        low, high = scale * summary.low, scale * summary.high
        cap = 0.13
        x = [low, high, None, low, low, None, high, high]
        y = [place, place, None, place - cap, place + cap, None, place - cap, place + cap]
        _line(figure, x, y, colour, 1.6, 0.9)
    if mean == mean:
        _line(figure, [mean, mean], [place - 0.24, place + 0.24], colour, 3, 1)


def _line(figure: go.Figure, x: list[Any], y: list[Any], colour: str, width: float, opacity: float) -> None:
    line = {"color": colour, "width": width}
    figure.add_scatter(x=x, y=y, mode="lines", line=line, opacity=opacity, hoverinfo="skip", showlegend=False)


def _add_dots(
    figure: go.Figure,
    place: int,
    variant: str,
    runs: Sequence[Mapping[str, Any]],
    colour: str,
    marker: str,
    unit: str,
) -> None:
    spread = [_JITTER * (((2 * number + 1) / len(runs)) - 1) for number in range(len(runs))]
    figure.add_scatter(
        x=[scale_of(unit) * run["value"] for run in runs],
        y=[place + shift for shift in spread],
        mode="markers",
        name=chart_text(variant),
        customdata=[[run["hint"], f"{variant}/{run['train_seed']}"] for run in runs],
        hovertemplate=f"%{{x:.3f}} {unit_words(unit)}<br>%{{customdata[0]}}",
        marker={
            "color": colour,
            "symbol": marker,
            "size": 10 if len(runs) <= 30 else 6,
            "line": {"width": 1.2, "color": "rgba(255, 255, 255, 0.9)"},
        },
        showlegend=False,
    )


def curve_chart(
    records: Sequence[Mapping[str, Any]],
    variants: Sequence[str],
    baseline: str,
    title: str,
    test_time: Collection[str] = (),
) -> go.Figure:
    """Curves over the number of attempts with a band of ± std over runs; records: variant, k, mean, std.

    The baseline lies widest and lowest, so that a curve that agrees with it does not hide it.
    """
    colours, dashes = variant_colours(variants, baseline), variant_dashes(variants, baseline)
    figure = go.Figure()
    ends = {}
    for variant in sorted(variants, key=lambda one: one != baseline):
        own = [record for record in records if record["variant"] == variant]
        if own:
            width = 5.0 if variant == baseline else 2.5
            line = {"color": colours[variant], "dash": dashes[variant], "width": width}
            _add_curve(figure, variant, own, line, test_time)
            ends[variant] = 100 * own[-1]["mean"]
    ks = sorted({record["k"] for record in records})
    shown = [k for k in ks if k & (k - 1) == 0 or k == ks[-1]]
    figure.update_xaxes(type="log", tickvals=shown, ticktext=[str(k) for k in shown], title="attempts")
    fits = legend_fits(variants)
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
    figure.update_layout(showlegend=fits, legend=legend)
    figure.update_yaxes(gridcolor=GRID, ticksuffix=" %", rangemode="tozero")
    marked = [f"{one} {TEST_TIME}" if one in test_time else one for one in variants]
    lines = len(variants) if fits and not legend_fits(marked) else 0  # a narrow window needs one for each
    finished(figure, "attempts", 330 + LEGEND_LINE * lines, title)
    if not fits:  # many or long names leave no room for the curves above them
        top = max(100 * (one["mean"] + (one["std"] or 0)) for one in records)
        label_ends(figure, ends, colours, dashes, 0.0, top)
    return figure


def legend_fits(names: Collection[str]) -> bool:
    """Whether a legend above a chart has room for these names; else they stand at the ends of the curves."""
    return sum(len(name) + 6 for name in names) <= LONGEST_LEGEND


def label_ends(
    figure: go.Figure,
    ends: Mapping[str, float],
    colours: Mapping[str, str],
    dashes: Mapping[str, str],
    low: float,
    top: float,
) -> None:
    """The name of each curve at its right end, behind a mark in its colour; names are pushed apart where
    curves meet. `ends`, `low` and `top` are places on the y axis (logarithms where it is one)."""
    gap = ((top - low) or 1.0) / max(LABELS_ABOVE_EACH_OTHER, len(ends))
    at = dict(sorted(ends.items(), key=lambda end: end[1]))
    lowest = low - gap
    for variant, end in at.items():
        lowest = at[variant] = max(end, lowest + gap)
    highest = max(top, max(ends.values(), default=low)) + gap
    for variant in reversed(at):
        highest = at[variant] = min(at[variant], highest - gap)
    for variant, place in at.items():
        name = variant if len(variant) <= LONGEST_LABEL else f"{variant[: LONGEST_LABEL - 1]}…"
        mark = LETTERS[DASHES.index(dashes.get(variant, DASHES[0])) % len(LETTERS)]
        figure.add_annotation(
            x=1.01,
            xref="paper",
            xanchor="left",
            y=place,
            text=f'<span style="color:{colours[variant]}">{mark}</span> {chart_text(name)}',
            font={"size": FONT - 1},
            showarrow=False,
            hovertext=chart_text(variant),
        )
    longest = max((min(len(variant), LONGEST_LABEL) for variant in ends), default=0)
    figure.update_layout(margin={"r": 30 + round(6.6 * longest)}, showlegend=False)


def _add_curve(
    figure: go.Figure,
    variant: str,
    own: Sequence[Mapping[str, Any]],
    line: Mapping[str, Any],
    test_time: Collection[str],
) -> None:
    ks = [record["k"] for record in own]
    if all(record["std"] is not None for record in own):
        high = [100 * (record["mean"] + record["std"]) for record in own]
        low = [100 * (record["mean"] - record["std"]) for record in own]
        figure.add_scatter(
            x=ks + ks[::-1],
            y=high + low[::-1],
            fill="toself",
            fillcolor=line["color"],
            line={"width": 0},
            mode="lines",
            opacity=0.2,
            hoverinfo="skip",
            showlegend=False,
            legendgroup=variant,
        )
    figure.add_scatter(
        x=ks,
        y=[100 * record["mean"] for record in own],
        mode="lines",
        name=variant_text(variant, test_time),
        legendgroup=variant,
        line=dict(line),
        customdata=[record["n"] for record in own],
        hovertemplate="%{y:.2f} % with %{x} attempts (%{customdata} runs)",
    )


def solved_chart(solved: Any, test_time: Collection[str] = ()) -> go.Figure:
    """A strip of runs × tasks (`core.results.curves.Solved`): grey never, orange sometimes, blue always."""
    runs = [
        chart_text(f"{variant} · {seed}") + (f" · {TEST_TIME}" if variant in test_time else "")
        for variant, seed in solved.runs
    ]
    figure = go.Figure(
        go.Heatmap(
            z=solved.share,
            x=[chart_text(task) for _, task in solved.tasks],
            y=runs,
            customdata=solved.right,
            text=solved.attempts,
            hovertemplate="task %{x}<br>%{y}<br>%{customdata} of %{text} attempts right<extra></extra>",
            colorscale=_SOLVED,
            zmin=0,
            zmax=1,
            xgap=1 if len(solved.tasks) <= 150 else 0,
            ygap=1 if len(runs) <= 40 else 0,
            showscale=False,
        )
    )
    height = 110 + min(620, max(18 if len(runs) <= 40 else 6, 160 // max(1, len(runs))) * len(runs))
    finished(figure, "", height)
    named = len(solved.tasks) <= MOST_NAMED_TASKS
    figure.update_xaxes(type="category", showticklabels=named, tickangle=-90, showgrid=False)
    figure.update_xaxes(tickfont={"size": FONT - 2})
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def finished(figure: go.Figure, x_title: str, height: int, y_title: str = "") -> go.Figure:
    """Fonts, margins and quiet grid lines, the same for every chart."""
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 16, "t": 24, "b": 8},
        font={"size": FONT},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hoverlabel={"align": "left"},
    )
    figure.update_xaxes(
        title=chart_text(x_title) or None, showgrid=True, gridcolor=GRID, zeroline=False, automargin=True
    )
    figure.update_yaxes(title=chart_text(y_title) or None, zeroline=False, automargin=True)
    return figure
