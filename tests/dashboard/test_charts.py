"""The free chart of a query: groups in colours, and no more of them than a browser draws."""

import time

from core.reports.figures import PALETTE
from dashboard.components.charts import MOST_GROUPS, free_chart
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
