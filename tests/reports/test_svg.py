"""Still pictures: every mark stands where its axis says, and is named."""

import re

import plotly.graph_objects as go
import pytest

from core.reports.svg import WIDTH, hint, svg
from core.reports.svg_axes import nice_ticks


def figure(**traces: object) -> go.Figure:
    made = go.Figure(go.Scatter(mode="markers", marker={"color": "#0072B2"}, **traces))
    return made.update_layout(height=300)


def dots(text: str) -> list[tuple[float, float]]:
    """Centres of the dots, from where their outlines begin and how wide they are."""
    found = re.findall(r'class="dot" d="M([\d.-]+),([\d.-]+)a([\d.]+)', text)
    return [(float(x) + float(radius), float(y)) for x, y, radius in found]


def test_dots_stand_at_their_values() -> None:
    made = figure(x=[0, 5, 10], y=[1, 2, 3]).update_xaxes(range=[0, 10]).update_yaxes(range=[0, 4])
    (x0, y1), (x5, y2), (x10, y3) = dots(svg(made, "three"))
    assert x5 == pytest.approx((x0 + x10) / 2, abs=0.1) and y2 == pytest.approx((y1 + y3) / 2, abs=0.1)
    assert 0 < x0 < x10 <= WIDTH and y1 > y3 > 0


def test_a_logarithmic_axis_doubles_evenly() -> None:
    made = figure(x=[1, 2, 4], y=[1, 1, 1]).update_xaxes(type="log", tickvals=[1, 4], ticktext=["1", "4"])
    places = [x for x, _ in dots(svg(made, "doubling"))]
    assert places[1] - places[0] == pytest.approx(places[2] - places[1], abs=0.15)
    assert places[2] - places[0] > 300


def test_what_is_unknown_leaves_a_gap() -> None:
    made = go.Figure(go.Scatter(x=[0, 1, None, 2, 3], y=[0, 1, None, 1, 0], mode="lines"))
    assert svg(made, "gap").count("<polyline") == 2


def test_a_heat_map_has_a_pixel_for_each_cell() -> None:
    import base64
    import io

    from PIL import Image

    scale = [[0, "rgba(10, 20, 30, 0.5)"], [1, "#FF0000"]]
    heat = go.Heatmap(z=[[0, 1], [None, 0.5]], x=["a", "b"], y=["p", "q"], colorscale=scale, zmin=0, zmax=1)
    text = svg(go.Figure(heat).update_yaxes(autorange="reversed"), "cells")
    data = re.search(r'base64,([^"]+)"', text)
    assert data is not None
    picture = Image.open(io.BytesIO(base64.b64decode(data[1])))
    assert [picture.getpixel(place) for place in ((0, 0), (1, 0), (0, 1))] == [
        (10, 20, 30, 128),
        (255, 0, 0, 255),
        (0, 0, 0, 0),
    ]
    across = [float(re.findall(rf'y="([\d.]+)"[^>]*>{name}<', text)[0]) for name in "pq"]
    assert across[0] < across[1], "the first row is on top"


def test_names_are_text_and_long_ones_are_cut() -> None:
    made = figure(x=[1, 2], y=[0, 1], name="<b>a</b>").update_yaxes(tickvals=[0], ticktext=["<i>" + "x" * 50])
    text = svg(made, '"title" <u>')
    assert "<b>" not in text and "<i>" not in text and "<u>" not in text
    assert "…" in text and "&lt;i&gt;" + "x" * 50 in text


def test_other_marks_are_refused() -> None:
    with pytest.raises(ValueError, match="'box' can't be drawn"):
        svg(go.Figure(go.Box(x=[1], y=[1])), "box")


def test_bars_stand_on_zero_and_may_have_names() -> None:
    made = go.Figure(go.Bar(x=["a", "<b>"], y=[2, -1], marker={"color": ["#112233", "gray"]}))
    made.update_layout(height=300)
    text = svg(made, "bars")
    up, down = (
        [float(value) for value in found]
        for found in re.findall(r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', text)
    )
    assert up[1] + up[3] == pytest.approx(down[1], abs=0.2)  # both begin at 0
    assert up[3] == pytest.approx(2 * down[3], abs=0.2) and up[0] + up[2] < down[0]
    assert "#112233" in text and "&lt;b&gt;" in text


@pytest.mark.parametrize(
    "low, high, labels",
    [
        (0, 10, ["0", "2", "4", "6", "8", "10"]),
        (0.281, 0.284, ["0.2810", "0.2815", "0.2820", "0.2825", "0.2830", "0.2835", "0.2840"]),
        (-3, 2, ["−3", "−2", "−1", "0", "1", "2"]),
        (97, 1203, ["200", "400", "600", "800", "1000", "1200"]),
        (5, 5, ["5"]),
    ],
)
def test_ticks_are_round(low: float, high: float, labels: list[str]) -> None:
    assert [label for _, label in nice_ticks(low, high)] == labels


def test_hints_hold_the_text_of_the_tooltip() -> None:
    template = "%{x:.1f} %<br>seed %{customdata[1]}<extra>%{y}</extra>"
    assert hint(template, {"x": 1.26, "y": 2, "customdata": [3, 4]}) == "1.3 %\nseed 4"
