"""The free chart of a query: groups in colours, and no more of them than a browser draws."""

import time

from core.reports.variant_styles import PALETTE
from dashboard.components.charts import MOST_GROUPS, Axes, first_axes, free_chart
from tests.patience import slowness


def test_rows_of_a_group_share_a_colour() -> None:
    figure = free_chart([1, 2, 3], [4, 5, 6], ["b", None, "b"], "dots", "x", "y", {"b": "#123456"})
    assert [(one.name, list(one.x), list(one.y)) for one in figure.data] == [
        ("b", [1, 3], [4, 6]),
        ("", [2], [5]),
    ]
    assert [one.marker.color for one in figure.data] == ["#123456", PALETTE[1]]
    assert figure.layout.showlegend


def test_a_column_of_all_different_values_makes_one_group() -> None:
    """A trace for each of ten thousand rows took 10 s here, and longer in the browser."""
    rows = list(range(10_000))
    began = time.process_time()
    figure = free_chart(rows, rows, rows, "line", "x", "y", {})
    assert time.process_time() - began < 3 * slowness()
    (only,) = figure.data
    assert len(only.x) == len(rows) and not figure.layout.showlegend
    several = rows[:MOST_GROUPS]
    assert len(free_chart(several, several, several, "bars", "x", "y", {}).data) == MOST_GROUPS


def test_seeds_are_lines_of_their_own_from_left_to_right() -> None:
    columns = {
        "variant": ["a"] * 4 + ["b"] * 2,
        "train_seed": [0, 1, 0, 1, 0, 0],
        "step": [2, 1, 1, 2, 1, 2],
        "loss": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    }
    axes = first_axes(columns)
    assert axes == Axes("step", "loss", "variant", "line", ("train_seed",))
    seeds = [(seed,) for seed in columns["train_seed"]]
    figure = free_chart(columns["step"], columns["loss"], columns["variant"], "line", "", "", {}, seeds)
    drawn = [(one.name, list(one.x), list(one.y), one.showlegend) for one in figure.data]
    assert drawn == [
        ("a", [1, 2], [3.0, 1.0], True),
        ("a", [1, 2], [2.0, 4.0], False),
        ("b", [1, 2], [5.0, 6.0], True),
    ]


def test_a_table_is_first_drawn_by_what_it_measures() -> None:
    trainings = {"variant": ["a", "b"], "train_seed": [0, 0], "vote_2": [1.0, 2.0], "evaluations": [2, 2]}
    assert first_axes(trainings) == Axes("variant", "vote_2", "variant", "dots")
    assert first_axes({"source": ["x", "y"], "tasks": [1, 2]}) == Axes("source", "tasks", "source", "dots")
    assert first_axes({"i": [1, 2]}) is None and first_axes({"a": ["x"], "b": ["y"]}) is None
    many = list(range(1_000))
    (dots,) = free_chart(many, many, None, "line", "", "", {}, [(one,) for one in many]).data
    assert dots.mode == "markers"
