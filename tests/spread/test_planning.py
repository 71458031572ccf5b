"""Planning: the library and drawn tables as oracles, the pilot's own uncertainty."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestIndPower

from core.errors import UserError
from core.seeds import generator
from core.spread.distributions import (
    studentized_range_quantile,
    studentized_range_tail,
)
from core.spread.planning import (
    detectable_difference,
    power,
    runs_needed,
    std_interval,
)
from core.spread.power_simulation import RunNoise
from core.spread.verdict import judge

NOISE = RunNoise(1.0)


@pytest.mark.parametrize(
    ("variants", "runs", "d"),
    [
        *((2, 2, 6.0), (2, 3, 3.0), (2, 5, 2.0), (2, 10, 1.3)),
        *((6, 2, 4.5), (6, 3, 3.0), (6, 5, 2.2), (6, 10, 1.5), (12, 5, 2.0)),
    ],
)
def test_the_planned_power_is_that_of_the_verdict(variants: int, runs: int, d: float) -> None:
    """Against tables that are drawn and judged one by one."""
    rng, tables = generator(4, "promise", variants, runs), 500
    drawn = rng.normal(size=(tables, variants, runs))
    drawn[:, -1] += d
    names = [f"v{place}" for place in range(variants)]
    found = [
        judge(dict(zip(names, table, strict=True)), "v0").between("v0", names[-1]).verdict == "better"
        for table in drawn
    ]
    assert power(d, NOISE, runs, variants) == pytest.approx(np.mean(found), abs=0.07)


def test_no_verdict_of_a_table_is_sharper_than_students_test() -> None:
    for runs in (2, 3, 10):
        for variants in (2, 6):
            bound = TTestIndPower().power(2.5, runs, 0.05)
            assert (power(2.5, NOISE, runs, variants) or 0) <= bound + 0.02


def test_runs_needed_is_the_first_number_that_is_enough() -> None:
    for d, wanted, variants in ((0.9, 0.8, 2), (1.7, 0.5, 6), (3.5, 0.95, 6)):
        found = runs_needed(d, NOISE, variants, wanted) or 0
        assert (power(d, NOISE, found, variants) or 0) >= wanted
        assert (power(d, NOISE, found - 1, variants) or 0) < wanted
        assert runs_needed(-3 * d, RunNoise(3.0), variants, wanted) == found
        detected = detectable_difference(NOISE, found, variants, wanted) or 0
        assert detected <= d and power(detected, NOISE, found, variants) == pytest.approx(wanted, abs=0.002)


def test_what_no_number_of_runs_can_answer_is_none() -> None:
    assert runs_needed(0, NOISE) is None and runs_needed(1.0, RunNoise(float("nan"))) is None
    assert runs_needed(1.0, RunNoise(0.0)) is None and detectable_difference(RunNoise(0.0), 3) is None
    assert power(1.0, RunNoise(0.0), 3) is None and power(1.0, NOISE, 1) is None
    assert (
        detectable_difference(NOISE, 1) is None and detectable_difference(RunNoise(float("nan")), 5) is None
    )
    assert runs_needed(1e-5, NOISE) is None
    assert runs_needed(1e-300, RunNoise(1e15)) is None and runs_needed(5e-324, RunNoise(1e300)) is None
    with pytest.raises(UserError, match="power 80 is no share"):
        runs_needed(1, NOISE, 2, 80)


def test_what_is_counted_in_tasks_is_not_detected_below_a_task() -> None:
    fine, coarse = (detectable_difference(RunNoise(0.01, step=step), 3) for step in (None, 1 / 29))
    assert fine is not None and coarse is not None and coarse > 1 / 29 > 0.01 and coarse > fine


def test_the_pilots_std_is_uncertain() -> None:
    low, high = std_interval(1.0, 4)
    assert (low, high) == pytest.approx((np.sqrt(4 / 11.1433), np.sqrt(4 / 0.484419)), rel=1e-5)
    assert std_interval(1.0, 0) == (None, None)


@pytest.mark.parametrize("groups", [2, 3, 20])
@pytest.mark.parametrize("freedom", [2, 7.3, 200])
def test_the_studentized_range_agrees_with_the_library(groups: int, freedom: float) -> None:
    q = np.array([0.5, 3.0, 8.0])
    assert studentized_range_tail(q, groups, freedom) == pytest.approx(
        stats.studentized_range.sf(q, groups, freedom), abs=3e-9
    )
    quantile = float(studentized_range_quantile(0.95, groups, freedom))
    assert float(studentized_range_tail(quantile, groups, freedom)) == pytest.approx(0.05, abs=1e-9)


def test_the_range_of_two_is_students_t_even_with_one_degree_of_freedom() -> None:
    q = np.array([0.01, 1, 10, 100])
    for freedom in (1, 1.4, 30):
        expected = 2 * stats.t.sf(q / np.sqrt(2), freedom)
        assert studentized_range_tail(q, 2, freedom) == pytest.approx(expected, rel=1e-6, abs=1e-9)
    with pytest.raises(ValueError, match="two groups"):
        studentized_range_tail(1.0, 1, 5)
