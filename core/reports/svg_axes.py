"""The axes of a still picture: where a value of a Plotly figure lies in pixels, and the ticks beside it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go


@dataclass(frozen=True)
class Axis:
    """Where values lie: from `low` at pixel `start` to `high` at pixel `end`; ticks are (value, label).

    Values of a logarithmic axis are their logarithms to base 10, of an axis of names their places.
    """

    low: float
    high: float
    start: float
    end: float
    ticks: Sequence[tuple[float, str]]
    logarithmic: bool = False
    names: Mapping[str, int] | None = None

    def place(self, value: Any) -> float:
        """The pixel of a value."""
        number = self.names[str(value)] if self.names is not None else float(value)
        if self.logarithmic:
            number = math.log10(number)
        return self.pixel(number)

    def pixel(self, number: float) -> float:
        """The pixel of a number of this axis (a logarithm, a place)."""
        share = (number - self.low) / ((self.high - self.low) or 1.0)
        return self.start + share * (self.end - self.start)


def axis_of(figure: go.Figure, letter: str, start: float, end: float) -> Axis:
    """The axis of a figure, with the range and the ticks that it asks for, else those of its data."""
    wanted = figure.layout[f"{letter}axis"]
    heat = [trace for trace in figure.data if trace.type == "heatmap"]
    if heat:
        names = [str(name) for name in heat[0][letter]]
        places = {name: place for place, name in enumerate(names)}
        ends = (start, end) if wanted.autorange != "reversed" else (end, start)
        shown = wanted.showticklabels is not False
        ticks = [(float(place), name) for name, place in places.items()] if shown else []
        return Axis(-0.5, len(names) - 0.5, *ends, ticks, names=places)
    words = _names(figure, letter)
    if words:
        places = {name: place for place, name in enumerate(words)}
        ticks = [(float(place), name) for name, place in places.items()]
        return Axis(-0.5, len(words) - 0.5, start, end, ticks, names=places)
    logarithmic = wanted.type == "log"
    low, high = wanted.range or _extent(figure, letter, logarithmic, wanted.rangemode == "tozero")
    if wanted.showticklabels is False:
        ticks = []
    elif wanted.tickvals is not None:
        given = zip(wanted.tickvals, wanted.ticktext or map(str, wanted.tickvals), strict=True)
        ticks = [(float(value), str(label)) for value, label in given]
    else:
        suffix = wanted.ticksuffix or ""
        ticks = [(value, f"{label}{suffix}") for value, label in nice_ticks(low, high)]
    return Axis(low, high, start, end, ticks, logarithmic)


def _names(figure: go.Figure, letter: str) -> list[str]:
    """The values of an axis where any of them is a text; none for an axis of numbers."""
    values = [value for trace in figure.data for value in trace[letter] if value is not None]
    return list(dict.fromkeys(map(str, values))) if any(isinstance(one, str) for one in values) else []


def _extent(figure: go.Figure, letter: str, logarithmic: bool, to_zero: bool) -> tuple[float, float]:
    """The least and the largest of all values, with a little room."""
    values = [float(value) for trace in figure.data for value in trace[letter] if value is not None]
    values = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    if any(trace.type == "bar" for trace in figure.data):
        values += [0.0] if letter == "y" else [min(values) - 0.5, max(values) + 0.5]
    if logarithmic:
        values = [math.log10(value) for value in values]
    low, high = min(values), max(values)
    room = 0.05 * (high - low) or 0.5
    if logarithmic:
        return low, high
    return (min(0.0, low) if to_zero else low - room), high + room


def nice_ticks(low: float, high: float, most: int = 7) -> list[tuple[float, str]]:
    """At most so many round numbers from low to high, in steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [(low, f"{low:g}")]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    numbers = [
        step * count for count in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ]
    return [(number, f"{number:.{decimals}f}".replace("-", "−")) for number in numbers]
