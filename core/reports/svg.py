"""Figures as still pictures: a figure of `core.reports.figures` as SVG, which needs no script and no network.

In comes a Plotly figure, out comes SVG of a few kilobytes: text takes the colour of the page around it, so
light and dark both work and it prints; what a pointer would be told stands in `<title>`. Drawn are the marks
that our figures have (lines, bands, dots, bars, heat maps); another raises `ValueError`. Plotly's own way to
a still picture starts a whole browser for each.
"""

import base64
import html
import io
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

from core.checks.leak_warnings import TEST_TIME
from core.reports.figures import GRID
from core.reports.svg_axes import Axis, axis_of
from core.reports.variant_styles import TEST_TIME_COLOUR

WIDTH = 760
_LETTER, _LINE, _SMALL = 7.0, 18, 11
_LONGEST_LABEL = 34
_VALUE = re.compile(r"%\{(\w+)(?:\[(\d+)\])?(?::([^}]+))?\}")


def svg(figure: go.Figure, title: str) -> str:
    """The figure as an `<svg>` element; `title` is read to people who can't see it."""
    height = float(figure.layout.height or 330)
    legend = _legend(figure)
    x_labels = _tall_labels(figure.layout.xaxis)
    bottom = height - (60 if x_labels else 24) - (_LINE if figure.layout.xaxis.title.text else 0)
    top = 10.0 + _LINE * legend.count('data-line="first"')
    y = axis_of(figure, "y", bottom, top)
    widest = max((len("".join(_name_and_mark(label))) for _, label in y.ticks), default=0)
    left = 14 + _LETTER * widest + (_LINE if figure.layout.yaxis.title.text else 0)
    x = axis_of(figure, "x", left, WIDTH - 16.0)
    marks = "".join(mark for trace in figure.data for mark in _trace(trace, x, y))
    # An inner picture cuts what lies beyond the axes; dots on them stay whole.
    place, size = f"{x.start - 8:.1f} {top - 8:.1f}", (x.end - x.start + 16, bottom - top + 16)
    across, down = place.split()
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{html.escape(title)}"'
        f' xmlns="http://www.w3.org/2000/svg">{legend}{_frame(figure, x, y, x_labels)}'
        f'<svg x="{across}" y="{down}" width="{size[0]:.1f}" height="{size[1]:.1f}"'
        f' viewBox="{place} {size[0]:.1f} {size[1]:.1f}">{marks}</svg></svg>'
    )


def _tall_labels(axis: Any) -> bool:
    return axis.tickangle == -90 and axis.showticklabels is not False


def _frame(figure: go.Figure, x: Axis, y: Axis, tall: bool) -> str:
    """Grid lines, tick labels and titles."""
    left, right = sorted((x.start, x.end))
    top, bottom = sorted((y.start, y.end))
    parts = []
    for value, label in x.ticks:
        place = x.pixel(math.log10(value) if x.logarithmic else value)
        if not left - 0.5 <= place <= right + 0.5:
            continue
        if not x.names:
            parts.append(_stroke(place, top, place, bottom, GRID, 1))
        if tall:
            turned = f'transform="rotate(-90 {place:.1f} {bottom + 6:.1f})"'
            parts.append(_text(place, bottom + 9, label, "end", 8, turned))
        else:
            parts.append(_text(place, bottom + 16, label, "middle"))
    for value, label in y.ticks:
        place = y.pixel(value)
        if not top - 0.5 <= place <= bottom + 0.5:
            continue
        if figure.layout.yaxis.showgrid is not False and not y.names:
            parts.append(_stroke(left, place, right, place, GRID, 1))
        parts.append(_text(left - 8, place + 4, label, "end"))
    x_title, y_title = figure.layout.xaxis.title.text, figure.layout.yaxis.title.text
    if x_title:
        parts.append(_text((left + right) / 2, bottom + (16 + _LINE), x_title, "middle"))
    if y_title:
        middle = (top + bottom) / 2
        parts.append(_text(12, middle, y_title, "middle", _SMALL, f'transform="rotate(-90 12 {middle:.1f})"'))
    return "".join(parts)


def _legend(figure: go.Figure) -> str:
    """The named traces in rows above the chart; nothing where there is only one."""
    named = [trace for trace in figure.data if trace.name and trace.showlegend is not False]
    if len(named) < 2:
        return ""
    parts, across, row = [], 40.0, 0
    for number, trace in enumerate(named):
        label = str(trace.name)
        wide = 44 + _LETTER * len("".join(_name_and_mark(label)))
        if number and across + wide > WIDTH:
            across, row = 40.0, row + 1
        first = ' data-line="first"' if across == 40.0 else ""
        down = 12 + _LINE * row
        in_lines = trace.type == "scatter" and trace.mode == "lines"
        colour = (trace.line.color if in_lines else trace.marker.color) or "gray"
        parts.append(f"<g{first}>{_stroke(across, down - 4, across + 22, down - 4, colour, 3)}")
        parts.append(f"{_text(across + 28, down, label, 'start')}</g>")
        across += wide
    return "".join(parts)


def _trace(trace: Any, x: Axis, y: Axis) -> Iterator[str]:
    if trace.type == "heatmap":
        yield _heat(trace, x, y)
    elif trace.type == "bar":
        yield from _bars(trace, x, y)
    elif trace.type != "scatter":
        raise ValueError(f"a trace of the kind '{trace.type}' can't be drawn")
    elif trace.fill:
        points = " ".join(f"{x.place(a):.1f},{y.place(b):.1f}" for a, b in zip(trace.x, trace.y, strict=True))
        opacity = 1 if trace.opacity is None else trace.opacity
        yield f'<polygon points="{points}" fill="{_colour(trace.fillcolor)}" opacity="{opacity:g}"/>'
    else:
        if "lines" in trace.mode:
            yield from _lines(trace, x, y)
        if "markers" in trace.mode:
            yield from _dots(trace, x, y)


def _bars(trace: Any, x: Axis, y: Axis) -> Iterator[str]:
    """A rectangle from 0 for each value, as wide as the room of one place allows."""
    colours = trace.marker.color
    wide = 0.85 * abs(x.end - x.start) / max(1.0, abs(x.high - x.low))
    for number, (a, b) in enumerate(zip(trace.x, trace.y, strict=True)):
        if a is None or b is None:
            continue
        low, high = sorted((y.place(0), y.place(b)))
        colour = colours if colours is None or isinstance(colours, str) else colours[number]
        yield (
            f'<rect x="{x.place(a) - wide / 2:.1f}" y="{low:.1f}" width="{wide:.1f}"'
            f' height="{high - low:.1f}" fill="{_colour(colour)}"/>'
        )


def _lines(trace: Any, x: Axis, y: Axis) -> Iterator[str]:
    """A stroke for each stretch without a gap."""
    stretch: list[str] = []
    opacity = 1 if trace.opacity is None else trace.opacity
    style = f'fill="none" stroke="{_colour(trace.line.color)}" stroke-width="{trace.line.width or 2:g}"'
    for a, b in [*zip(trace.x, trace.y, strict=True), (None, None)]:
        if a is not None and b is not None:
            stretch.append(f"{x.place(a):.1f},{y.place(b):.1f}")
        elif stretch:
            yield f'<polyline points="{" ".join(stretch)}" {style} opacity="{opacity:g}"/>'
            stretch = []


def _dots(trace: Any, x: Axis, y: Axis) -> Iterator[str]:
    radius = (trace.marker.size or 8) / 2
    more = trace.customdata if trace.customdata is not None else [()] * len(trace.x)
    for a, b, known in zip(trace.x, trace.y, more, strict=True):
        hovered = hint(trace.hovertemplate or "", {"x": a, "y": b, "customdata": known})
        words = "\n".join(filter(None, (trace.name, hovered)))
        shape = _shape(trace.marker.symbol or "circle", x.place(a), y.place(b), radius)
        yield (
            f'<path class="dot" d="{shape}" fill="{_colour(trace.marker.color)}" stroke="white"'
            f' stroke-width="1.2"><title>{html.escape(words)}</title></path>'
        )


def hint(template: str, values: Mapping[str, Any]) -> str:
    """What Plotly would say at a point: `%{x:.3f}` and `%{customdata[0]}` filled in, tags left out."""

    def filled(found: re.Match[str]) -> str:
        value = values.get(found[1])
        if found[2] is not None:
            value = value[int(found[2])] if value is not None else None
        return "" if value is None else format(value, found[3] or "")

    text = re.sub(r"<extra>.*?</extra>", "", template).replace("<br>", "\n")
    return _VALUE.sub(filled, text)


_SHAPES = {
    "diamond": ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
    "square": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
    "triangle-up": ((0, -1.2), (1.15, 0.8), (-1.15, 0.8)),
    "x": tuple(
        (1.2 * math.cos(turn) * far, 1.2 * math.sin(turn) * far)
        for turn, far in ((math.pi / 4 * step, 1 if step % 2 else 0.45) for step in range(8))
    ),
    "star": tuple(
        (1.3 * far * math.sin(math.pi * step / 5), -1.3 * far * math.cos(math.pi * step / 5))
        for step, far in ((step, 0.45 if step % 2 else 1) for step in range(10))
    ),
}


def _shape(symbol: str, x: float, y: float, radius: float) -> str:
    if symbol == "circle":
        arc = f"a{radius:g},{radius:g} 0 1,0"
        return f"M{x - radius:.1f},{y:.1f}{arc} {2 * radius:g},0{arc} {-2 * radius:g},0Z"
    corners = (f"{x + radius * right:.1f},{y + radius * down:.1f}" for right, down in _SHAPES[symbol])
    return f"M{'L'.join(corners)}Z"


def _heat(trace: Any, x: Axis, y: Axis) -> str:
    """A heat map as a picture of one pixel per cell, enlarged without smoothing."""
    from PIL import Image

    stops = [(float(place), _channels(colour)) for place, colour in trace.colorscale]
    places, colours = [place for place, _ in stops], np.array([channels for _, channels in stops])
    share = (np.asarray(trace.z, dtype=float) - trace.zmin) / (trace.zmax - trace.zmin)
    known = np.clip(np.nan_to_num(share), 0, 1)
    pixels = np.stack([np.interp(known, places, colours[:, channel]) for channel in range(4)], axis=-1)
    pixels[np.isnan(share)] = 0
    if y.start > y.end:
        pixels = pixels[::-1]
    file = io.BytesIO()
    Image.fromarray(np.round(pixels).astype(np.uint8), "RGBA").save(file, "PNG")
    address = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
    left, top = min(x.start, x.end), min(y.start, y.end)
    return (
        f'<image x="{left:.1f}" y="{top:.1f}" width="{abs(x.end - x.start):.1f}" preserveAspectRatio="none"'
        f' height="{abs(y.end - y.start):.1f}" style="image-rendering: pixelated" href="{address}"/>'
    )


def _channels(colour: str) -> tuple[float, float, float, float]:
    """Red, green, blue and opacity, 0 to 255, of `#RRGGBB` or `rgba(…)`."""
    if colour.startswith("#"):
        return (*(float(int(colour[at : at + 2], 16)) for at in (1, 3, 5)), 255.0)  # type: ignore[return-value]
    red, green, blue, opacity = (float(part) for part in re.findall(r"[\d.]+", colour))
    return red, green, blue, 255 * opacity


def _colour(value: Any) -> str:
    return html.escape(str(value or "gray"))


def _stroke(x1: float, y1: float, x2: float, y2: float, colour: str, width: float) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{_colour(colour)}"'
        f' stroke-width="{width:g}"/>'
    )


def _text(x: float, y: float, text: str, anchor: str, size: float = _SMALL, more: str = "") -> str:
    name, mark = _name_and_mark(text)
    whole = f"<title>{html.escape(text)}</title>" if name + mark != text and not mark else ""
    marked = f'<tspan fill="{TEST_TIME_COLOUR}">{mark}</tspan>' if mark else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size:g}" fill="currentColor"'
        f"{' ' + more if more else ''}>{html.escape(name)}{marked}{whole}</text>"
    )


def _name_and_mark(text: str) -> tuple[str, str]:
    """A label as it is drawn, and behind it the mark of test-time training, where it has one."""
    name, tag, _ = text.partition(" <span")
    return _short(name), f" {TEST_TIME}" if tag else ""


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_LABEL else f"{text[: _LONGEST_LABEL - 1]}…"
