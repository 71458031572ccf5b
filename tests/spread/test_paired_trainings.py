"""Variants that share their trainings: intervals hold what they promise, and pairing saves noise."""

import numpy as np
import pytest
from scipy import stats

from core.spread.paired_trainings import paired_trainings

TABLES = 1000


def test_it_is_students_paired_t() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 6))
    known = stats.ttest_rel(b, a)
    found = paired_trainings(a, b)
    ends = known.confidence_interval()
    assert found.p == pytest.approx(known.pvalue)
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high))
    assert found.verdict == "cannot tell" and found.n == 6


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_the_interval_holds_the_true_difference_where_trainings_are_shared(n: int) -> None:
    """Normal scores: trainings vary by 2, their response to what follows by 1, evaluations by .5."""
    rng = np.random.default_rng(n)
    held, alarms, narrower = 0, 0, 0
    for _ in range(TABLES):
        trained = rng.normal(0, 2, n)
        a = trained + rng.normal(0, 0.5, n)
        b = trained + rng.normal(0, 1, n) + rng.normal(0, 0.5, n)
        found = paired_trainings(a, b)
        assert found.low is not None and found.high is not None
        assert found.std is not None and found.apart_std is not None
        held += found.low <= 0 <= found.high
        alarms += found.verdict != "cannot tell"
        narrower += found.std < found.apart_std
    assert held / TABLES == pytest.approx(0.95, abs=0.024)  # 3.5 standard errors of the simulation
    assert alarms == TABLES - held
    assert narrower > 0.7 * TABLES


@pytest.mark.parametrize("chance", [0.02, 0.2, 0.5])
@pytest.mark.parametrize("n", [2, 3, 5])
def test_counts_of_few_tasks_raise_no_more_alarms_than_promised(n: int, chance: float) -> None:
    """29 tasks, each with its own chance of being solved by a trained model; b solves others, not more."""
    rng = np.random.default_rng(int(100 * chance) + n)
    alarms = 0
    for _ in range(TABLES):
        chances = rng.beta(chance, 1 - chance, (n, 29))
        a, b = (rng.random((n, 29)) < chances).mean(axis=1), (rng.random((n, 29)) < chances).mean(axis=1)
        alarms += paired_trainings(a, b, step=1 / 29).verdict != "cannot tell"
    assert alarms / TABLES <= 0.07


def test_what_is_unknown_stays_unknown() -> None:
    assert paired_trainings([0.1], [0.2]).low is None
    same = paired_trainings([0.1, 0.1], [0.2, 0.2])
    assert (same.low, same.p, same.std, same.verdict) == (None, None, 0.0, "cannot tell")
    floored = paired_trainings([0.1, 0.1], [0.2, 0.2], step=0.02)
    assert floored.std == pytest.approx(0.01) and floored.low is not None and floored.low < 0.2
    assert paired_trainings([0.1, np.nan, 0.3], [0.2, 0.2, 0.5]).n == 2
    assert paired_trainings([3.0, 3.1, 3.0], [1.0, 1.2, 1.1], higher_is_better=False).verdict == "better"
    with pytest.raises(ValueError, match="same trainings"):
        paired_trainings([1.0], [1.0, 2.0])
