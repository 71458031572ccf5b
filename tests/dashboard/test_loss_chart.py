"""Loss curves: a line for each run, and of very many runs one trace for each variant, with every point."""

import numpy as np

from dashboard.components.curves import MOST_POINTS, MOST_TRACES, curve_chart, points_of_each

COLOURS = {"a": "#111111", "b": "#222222"}


def test_a_run_is_a_line() -> None:
    figure = curve_chart([("a", 0, [1, 2], [3.0, 2.0]), ("b", 5, [1], [1.0])], {}, COLOURS, 10)
    first, second = figure.data
    assert (list(first.x), list(first.y), first.mode) == ([1, 2], [3.0, 2.0], "lines")
    assert (second.name, second.mode, second.line.color) == ("b · 5", "markers", "#222222")
    assert first.line.dash != second.line.dash


def test_many_runs_are_a_trace_for_each_variant_with_gaps_between_them() -> None:
    seeds = range(MOST_TRACES)
    lines = [("ab"[seed % 2], seed, [1, 2], [float(seed), -float(seed)]) for seed in seeds]
    assert len(curve_chart(lines, {}, COLOURS, 10).data) == MOST_TRACES
    figure = curve_chart([*lines, ("a", 1000, [7], [8.0])], {}, COLOURS, 10)
    a, b = figure.data
    assert (a.name, b.name) == (f"a · {MOST_TRACES // 2 + 1} runs", f"b · {MOST_TRACES // 2} runs")
    assert np.isnan(b.y[2::3]).all() and list(b.y[0::3]) == [float(seed) for seed in seeds if seed % 2]
    assert list(a.x[-2:-1]) == [7] and list(a.y[-2:-1]) == [8.0]


def test_few_runs_keep_their_points_and_many_share_them() -> None:
    assert points_of_each(4, 400) == points_of_each(MOST_POINTS // 400, 400) == 400
    assert points_of_each(1000, 400) == MOST_POINTS // 1000
    assert points_of_each(10**6, 400) == 2
