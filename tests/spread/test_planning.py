"""Planning: published numbers of runs, the library as oracle, costs, and the pilot's own uncertainty."""

import numpy as np
import pytest
from scipy import special, stats
from statsmodels.stats.power import TTestIndPower

from core.errors import UserError
from core.seeds import generator
from core.spread.comparisons import compare
from core.spread.distributions import (
    binomial,
    studentized_range_quantile,
    studentized_range_tail,
    t_test_power,
)
from core.spread.planning import (
    best_evaluations,
    detectable_difference,
    fractional_runs,
    plan,
    power,
    runs_needed,
    spend,
    std_interval,
    std_of_run,
)


@pytest.mark.parametrize(("d", "runs"), [(0.5, 63.77), (1, 16.72), (2, 5.09)])
def test_runs_needed_gives_the_published_numbers(d: float, runs: float) -> None:
    assert fractional_runs(d, 1.0) == pytest.approx(runs, abs=0.01)
    assert runs_needed(d, 1.0) == int(np.ceil(runs))
    assert runs_needed(-3 * d, 3.0) == int(np.ceil(runs))


@pytest.mark.parametrize(("runs", "d"), [(3, 3.07), (5, 2.02)])
def test_the_detectable_difference_gives_the_published_numbers(runs: int, d: float) -> None:
    found = detectable_difference(1.0, runs)
    assert found == pytest.approx(d, abs=0.005)
    assert float(power(found or 0, 1.0, runs)) == pytest.approx(0.8)
    assert detectable_difference(2.5, runs) == pytest.approx(2.5 * (found or 0))


@pytest.mark.parametrize("d", [0.05, 0.5, 1, 2, 4])
@pytest.mark.parametrize(("runs", "other"), [(2, 2), (3, 3), (3, 9), (20, 20), (500, 500)])
def test_power_agrees_with_the_library(d: float, runs: int, other: int) -> None:
    expected = TTestIndPower().power(d, runs, 0.05, ratio=other / runs)
    assert float(power(d, 1.0, runs, other_runs=other)) == pytest.approx(expected, abs=1e-9)


def test_power_at_its_edges() -> None:
    assert float(power(0, 1, 5)) == pytest.approx(0.05)
    assert power([1, 1e9], [0, 1], 3) == pytest.approx([1, 1])
    assert np.isnan(power([1, np.nan, 1], [1, 1, np.nan], [1, 5, 5])).all()
    assert float(power(2.8e-4 * np.sqrt(2), 1, 10**8)) == pytest.approx(
        float(stats.norm.cdf(2.8 - 1.96)), abs=1e-4
    )


def test_runs_needed_is_the_first_number_that_is_enough() -> None:
    tried = [runs_needed(d, 1.0, wanted) for d in (0.3, 0.9, 1.7, 3.5) for wanted in (0.5, 0.8, 0.95)]
    assert len(tried) == 12
    for d, wanted in ((d, wanted) for d in (0.3, 0.9, 1.7, 3.5) for wanted in (0.5, 0.8, 0.95)):
        found = runs_needed(d, 1.0, wanted) or 0
        assert float(power(d, 1.0, found)) >= wanted
        assert found == 2 or float(power(d, 1.0, found - 1)) < wanted


def test_what_no_number_of_runs_can_answer_is_none() -> None:
    assert runs_needed(0, 1.0) is None and runs_needed(1.0, float("nan")) is None
    assert runs_needed(1.0, 0.0) == 2 and fractional_runs(100, 1.0) == 2
    assert detectable_difference(1.0, 1) is None and detectable_difference(float("nan"), 5) is None
    assert detectable_difference(0.0, 3) == 0
    assert (runs_needed(1e-5, 1.0) or 0) > 10**11 and runs_needed(1e-9, 1.0) is None
    with pytest.raises(UserError, match="power 80 is no share"):
        runs_needed(1, 1, 80)


def test_the_planned_runs_find_the_difference_as_often_as_promised() -> None:
    rng = generator(4, "promise")
    runs = runs_needed(1.5, 1.0) or 0
    found = [
        compare(rng.normal(size=runs), rng.normal(1.5, 1, size=runs)).verdict == "better" for _ in range(600)
    ]
    assert 0.75 <= np.mean(found) <= 0.87


def test_the_pilots_std_is_uncertain_and_so_are_the_runs() -> None:
    low, high = std_interval(1.0, 4)
    assert (low, high) == pytest.approx((np.sqrt(4 / 11.1433), np.sqrt(4 / 0.484419)), rel=1e-5)
    assert std_interval(1.0, 0) == (None, None)
    found = plan(2.0, 1.0, 0.6, evaluations=3, freedom=4)
    assert found.std == pytest.approx(np.sqrt(1.2))
    assert found.runs == runs_needed(2.0, found.std) and (found.power or 0) >= 0.8
    assert (found.runs_low or 0) < (found.runs or 0) < (found.runs_high or 0)
    assert (plan(2.0, 1.0).runs_low, plan(2.0, 1.0).std_high) == (None, None)
    assert plan(2.0, -0.5).runs == 2


def test_best_evaluations_follow_the_costs() -> None:
    found = best_evaluations(1.0, 4.0, 60, 5)
    assert (found.evaluations, found.unrounded) == (7, pytest.approx(np.sqrt(12 * 4)))
    efforts = [(60 + 5 * e) * (1 + 4 / e) for e in range(1, 50)]
    assert int(np.argmin(efforts)) + 1 == found.evaluations
    assert (found.cost, found.std) == (95, pytest.approx(std_of_run(1, 4, 7)))
    assert best_evaluations(1.0, 0.01, 60, 5).evaluations == 1
    assert best_evaluations(1.0, -0.3, 60, 5).evaluations == 1
    assert best_evaluations(-0.1, 1.0, 60, 5, most=8).evaluations == 8
    assert best_evaluations(1.0, 1.0, 60, 0, most=8).evaluations == 8
    with pytest.raises(UserError, match="Costs"):
        best_evaluations(1, 1, 0, 0)


def test_a_budget_is_spent_on_what_detects_most() -> None:
    found = spend(600, 1.0, 4.0, 60, 5)
    assert found is not None and found.cost <= 600
    every = [
        (detectable_difference(std_of_run(1, 4, e), int(600 // (60 + 5 * e))) or 0, e)
        for e in range(1, 49)
        if 600 // (60 + 5 * e) >= 2
    ]
    assert (found.detectable, found.evaluations) == pytest.approx(min(every))
    assert spend(100, 1.0, 4.0, 60, 5) is None


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


def test_the_power_integral_agrees_with_the_noncentral_t() -> None:
    shift = np.array([0, 0.5, 3, 10])
    for freedom in (2, 9, 60):
        bound = special.stdtrit(freedom, 0.975)
        expected = 1 - special.nctdtr(freedom, shift, bound) + special.nctdtr(freedom, shift, -bound)
        assert t_test_power(shift, freedom, bound) == pytest.approx(expected, abs=1e-10)


def test_the_binomial_agrees_with_the_library() -> None:
    trials = np.array([0, 1, 8, 64, 1000])
    successes = np.arange(1002)[:, None]
    for chance in (0.01, 0.5, 0.9):
        expected = stats.binom.pmf(successes, trials, chance)
        assert binomial(successes, trials, chance) == pytest.approx(expected, rel=1e-10, abs=1e-290)
    assert binomial(5, 4, 0.5) == 0
