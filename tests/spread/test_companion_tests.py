"""What stands beside the verdict: the paired test of these checkpoints, and the probability of
improvement.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from core.seeds import generator
from core.spread.companion_tests import (
    THESE_CHECKPOINTS,
    paired_tasks,
    probability_of_improvement,
)
from core.spread.scopes import task_means
from tests.spread.simulations import crossed_scores, unhurried

A, C = [87.58, 86.72, 89.27], [90.0, 92.0, 91.0, 90.5]


def test_the_paired_test_is_labelled() -> None:
    a, b = np.array([0.0, 0.5, 1, 0.2, np.nan, 0.4]), np.array([0.5, 0.5, 0.7, 0.9, 1.0, 0.6])
    found, expected = paired_tasks(a, b), stats.ttest_rel(np.delete(b, 4), np.delete(a, 4))
    assert found.label == THESE_CHECKPOINTS and "these checkpoints" in found.label
    assert (found.p, found.low) == pytest.approx((expected.pvalue, expected.confidence_interval().low))
    assert (found.wins, found.losses, found.ties, found.unknown) == (3, 1, 1, 1)
    reverse = paired_tasks(a, b, higher_is_better=False)
    assert (reverse.wins, reverse.losses) == (1, 3)


def test_the_paired_test_at_its_edges() -> None:
    assert paired_tasks([0.5], [1.0]).p is None and paired_tasks([], []).p is None
    same = paired_tasks([0.1 + 0.2, 1], [0.3, 1])
    assert (same.p, same.ties) == (None, 2)
    assert paired_tasks([0, 0], [1, 1]).p is None
    with pytest.raises(ValueError, match="same tasks"):
        paired_tasks([1], [1, 2])
    a, b = crossed_scores("task means", 2, 3, 4, 2)
    assert task_means(a) == pytest.approx(a.mean(axis=(0, 1)))
    assert paired_tasks(task_means(a), task_means(b)).difference == pytest.approx(b.mean() - a.mean())


def test_probability_of_improvement() -> None:
    found = probability_of_improvement(A, C)
    statistic = stats.mannwhitneyu(C, A).statistic
    assert found.probability == pytest.approx(statistic / 12)
    assert found.high == 1 and found.low is not None and 0 < found.low < 1
    assert "new trainings" in found.label
    tied = probability_of_improvement([1, 2, 3], [2, 3, 1])
    assert (tied.probability, (tied.low or 0) + (tied.high or 0)) == pytest.approx((0.5, 1))
    assert probability_of_improvement(A, C, higher_is_better=False).probability == 0
    assert probability_of_improvement([1], [2, 3]).low is None
    assert probability_of_improvement([], [2, 3]).probability is None


@pytest.mark.parametrize(("runs", "shift"), [(3, 0.0), (3, 1.0), (5, 2.0)])
def test_the_interval_of_the_probability_covers_it(runs: int, shift: float) -> None:
    rng = generator(2, "improvement", runs)
    truth = float(stats.norm.cdf(shift / np.sqrt(2)))
    found = [
        probability_of_improvement(rng.normal(size=runs), rng.normal(shift, 1, size=runs)) for _ in range(500)
    ]
    assert np.mean([(one.low or 0) <= truth <= (one.high or 0) for one in found]) >= 0.93


@unhurried
@given(st.integers(0, 2**32), st.floats(-50, 50))
def test_the_probability_of_improvement_ignores_order_and_shift(seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=4), rng.normal(size=3)
    tied = rng.integers(0, 3, size=4), rng.integers(0, 3, size=3)  # nearly always with equal runs
    for x, y in (normal, tied):
        better, worse = probability_of_improvement(x, y), probability_of_improvement(y, x)
        assert better.probability == pytest.approx(1 - (worse.probability or 0))
        assert better.low == pytest.approx(1 - (worse.high or 0), abs=1e-9)
        moved = probability_of_improvement(shift + x[::-1], shift + rng.permutation(y))
        assert moved.probability == pytest.approx(better.probability)
