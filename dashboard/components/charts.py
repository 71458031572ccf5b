"""Charts of single pages: tasks by difference, the trap of "How to read this", any two columns of a query.

In come records from `core.results`, out come Plotly figures in the manner of `core.reports.figures`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from core.reports.figures import GRID, add_summary, finished
from core.reports.variant_styles import DASHES, MARKERS, PALETTE, chart_text, variant_text
from core.results.loading import SHARE
from core.results.number_format import scale_of, unit_words

MOST_GROUPS = 100
"""So many colours of a free chart: beyond the palette with its markers, and quickly drawn."""
MOST_LINES = 500

ACROSS = ("step", "k", "time")
"""Columns that run along an axis: what is measured along them is a line."""
PLACES = ("experiment", "variant", "train_seed", "eval_seed", "stage")
"""Columns that tell lines apart."""
_NO_MEASURE = {
    *ACROSS,
    *PLACES,
    "total",
    "test_index",
    "attempt",
    "pair_index",
    "symmetry",
    "n",
    "evaluations",
}


@dataclass(frozen=True)
class Axes:
    """How the columns of a query are drawn: `colour` is a column or None, `parted` those of which each
    combination is a line of its own."""

    x: str
    y: str
    colour: str | None
    form: str
    parted: tuple[str, ...] = ()


def first_axes(columns: Mapping[str, Sequence[Any]]) -> Axes | None:
    """How a table is drawn at first: a measure along its steps as lines, else a measure by what is named
    first. None where no column holds numbers or none is left to draw it along."""
    names = list(columns)
    numbers = [name for name in names if is_numeric(columns[name])]
    if not numbers or len(names) < 2:
        return None
    y = next((name for name in numbers if name not in _NO_MEASURE), numbers[-1])
    others = [name for name in names if name != y]
    along = next((name for name in ACROSS if name in others), None)
    x = along or next((name for name in ("variant", *others) if name in others), others[0])
    texts = [name for name in others if name not in numbers and name != along]
    colour = "variant" if "variant" in others else next(iter(texts), None)
    parted = tuple(name for name in PLACES if name in others and name not in (x, colour)) if along else ()
    return Axes(x, y, colour, "line" if along else "dots", parted)


def difference_chart(
    differences: Sequence[Any],
    a: str,
    b: str,
    colours: Mapping[str, str],
    test_time: Collection[str] = (),
) -> go.Figure:
    """Every task as a bar of b − a (`core.results.differences.TaskDifference`), where b is furthest ahead
    first."""
    shown = sorted(differences, key=lambda one: -one.lead)
    ahead = [colours[b if one.lead > 0 else a] for one in shown]
    unit = shown[0].unit if shown else SHARE
    scale, of_value = scale_of(unit), unit_words(unit)
    of_difference = unit_words(unit, of_difference=True)
    figure = go.Figure(
        go.Bar(
            x=list(range(1, len(shown) + 1)),
            y=[scale * one.difference for one in shown],
            marker={
                "color": ahead,
                "line": {"width": 0},
            },
            customdata=[[chart_text(one.task_id), scale * one.a, scale * one.b] for one in shown],
            hovertemplate=f"%{{customdata[0]}}<br>{chart_text(a)} %{{customdata[1]:.1f}} {of_value}"
            f"<br>{chart_text(b)} %{{customdata[2]:.1f}} {of_value}<extra></extra>",
        )
    )
    figure.update_layout(bargap=0.15 if len(shown) <= 150 else 0)
    figure.update_xaxes(showticklabels=False, showgrid=False)
    figure.update_yaxes(gridcolor=GRID, zeroline=True, zerolinecolor=GRID)
    figure = finished(figure, "", 250, ", ".join(filter(None, (f"{b} − {a}", of_difference))))
    return figure.update_xaxes(title=f"tasks, {variant_text(b, test_time)} ahead on the left")


def trap_chart(judgements: Sequence[Any]) -> go.Figure:
    """Two ways to judge the same recipes (`core.reports.glossary.Judgement`): every figure a dot."""
    figure = go.Figure()
    lines: list[str] = []
    for judgement in judgements:
        for name, figures in judgement.figures.items():
            colour, place = PALETTE[list(judgement.figures).index(name)], len(lines)
            lines.append(f"{name}, {judgement.unit}")
            add_summary(figure, place, judgement.summaries[name], colour)
            marker = {
                "color": colour,
                "size": 10,
                "line": {"width": 1.2, "color": "rgba(255, 255, 255, 0.9)"},
            }
            figure.add_scatter(
                x=list(figures),
                y=[place] * len(figures),
                mode="markers",
                marker=marker,
                hovertemplate="%{x:.2f} %<extra></extra>",
                showlegend=False,
            )
    figure.update_yaxes(
        tickvals=list(range(len(lines))),
        ticktext=[chart_text(line) for line in lines],
        range=[len(lines) - 0.4, -0.6],
        showgrid=False,
    )
    return finished(figure, "outputs of the right size, %", 330)


def is_numeric(values: Sequence[Any]) -> bool:
    """Whether a column holds numbers, and nothing else but unknowns."""
    known = [value for value in values if value is not None]
    return bool(known) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in known
    )


def free_chart(
    x: Sequence[Any],
    y: Sequence[Any],
    groups: Sequence[Any] | None,
    kind: str,
    x_title: str,
    y_title: str,
    colours: Mapping[str, str],
    lines: Sequence[Any] | None = None,
    markers: Mapping[str, str] | None = None,
) -> go.Figure:
    """Two columns against each other as "dots", "line" or "bars".

    Rows of one group share a colour and a shape: those of `colours` and `markers`, or some by its place. More
    groups than `MOST_GROUPS` are drawn as one, as a browser chokes on thousands of them. A line joins, from
    left to right, the rows of one group for which `lines` holds the same; more than `MOST_LINES` become dots.
    """
    labels = ["" if group is None else str(group) for group in groups or [""] * len(x)]
    names = list(dict.fromkeys(labels))
    if len(names) > MOST_GROUPS:
        names, labels = [""], [""] * len(labels)
    members: dict[tuple[str, Any], list[int]] = {}
    for number, label in enumerate(labels):
        members.setdefault((label, lines[number] if lines and kind == "line" else None), []).append(number)
    if len(members) > MOST_LINES:
        kind, members = "dots", {(name, None): [] for name in names}
        for number, label in enumerate(labels):
            members[label, None].append(number)
    is_number = is_numeric(x)
    across = x if is_number else [chart_text(value) for value in x]
    figure = go.Figure()
    seen: set[str] = set()
    for (name, _), rows in members.items():
        if kind == "line" and is_number:
            rows.sort(key=lambda row: (across[row] is None, across[row] or 0))
        place = names.index(name)
        colour = colours.get(name, PALETTE[place % len(PALETTE)])
        entry = {"name": chart_text(name), "legendgroup": name, "showlegend": name not in seen}
        seen.add(name)
        xs, ys = [across[row] for row in rows], [y[row] for row in rows]
        if kind == "bars":
            figure.add_bar(x=xs, y=ys, marker_color=colour, **entry)
        else:
            mode = "markers" if kind == "dots" else "lines+markers" if len(rows) <= 30 else "lines"
            symbol = (markers or {}).get(name, MARKERS[place // len(PALETTE) % len(MARKERS)])
            marker = {"color": colour, "size": 9 if kind == "dots" else 5, "symbol": symbol}
            dash = DASHES[MARKERS.index(symbol) % len(DASHES)]
            line = {"color": colour, "dash": dash}
            figure.add_scatter(x=xs, y=ys, mode=mode, marker=marker, line=line, **entry)
    crowded = not 1 < len(names) <= 30
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
    figure.update_layout(showlegend=not crowded, legend=legend, barmode="group")
    figure.update_yaxes(gridcolor=GRID)
    return finished(figure, x_title, 400, y_title)
