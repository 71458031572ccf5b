"""Bands are means and stds over runs, whatever steps they report at; smoothing starts without bias."""

import numpy as np
import pytest

from core.monitoring.curve_bands import band, smoothed


def test_a_band_is_mean_and_std_over_runs() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4, 50))
    steps = list(range(1, 51))
    found = band([(steps, row.tolist()) for row in values], 50, stretches=50)
    assert np.allclose(found.steps, steps) and np.allclose(found.mean, values.mean(axis=0))
    assert np.allclose(found.std, values.std(axis=0, ddof=1)) and set(found.runs.tolist()) == {4}


def test_a_run_that_reports_oftener_counts_once() -> None:
    found = band([([1, 2, 3, 4], [1.0, 1.0, 1.0, 1.0]), ([2], [3.0])], 10, stretches=1)
    assert found.mean.tolist() == [2.0] and found.runs.tolist() == [2]
    assert found.std[0] == pytest.approx(2**0.5)


def test_a_single_run_has_no_std_and_nothing_no_band() -> None:
    found = band([([5], [2.0])], 10)
    assert found.mean.tolist() == [2.0] and np.isnan(found.std).all()
    assert band([], 10).mean.size == 0
    assert band([([1], [float("nan")])], 10).mean.size == 0


def test_smoothing_is_a_weighted_mean_of_the_past() -> None:
    values = [4.0, 1.0, 7.0, 2.0]
    weights = [0.9 ** (3 - place) for place in range(4)]
    assert smoothed(values, 0.9)[-1] == pytest.approx(np.average(values, weights=weights))
    assert smoothed(values, 0.0).tolist() == values and smoothed([3.0], 0.9).tolist() == [pytest.approx(3.0)]
