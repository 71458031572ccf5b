"""Mean ± std: tables, edges, invariances, and whether the intervals cover what they claim."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from core.errors import UserError
from core.seeds import generator
from core.spread.intervals import (
    Estimate,
    satterthwaite,
    summarize,
    wilson,
)
from core.spread.scopes import run_means, scope_estimate, summarize_scope, task_means
from tests.spread.simulations import crossed_scores, unhurried

scores = st.lists(st.floats(-100, 100).map(lambda x: round(x, 3)), min_size=2, max_size=8)


@pytest.mark.parametrize(("runs", "t"), [(2, 12.7062), (3, 4.30265), (5, 2.77645)])
def test_the_interval_is_students(runs: int, t: float) -> None:
    summary = summarize(np.arange(runs))
    assert summary.std is not None and summary.high is not None and summary.low is not None
    half = (summary.high - summary.low) / 2
    assert half / (summary.std / runs**0.5) == pytest.approx(t, abs=5e-5)
    assert (summary.n, summary.degrees_of_freedom) == (runs, runs - 1)


def test_the_interval_agrees_with_the_library() -> None:
    values = [0.31, 0.27, 0.45, 0.39]
    summary = summarize(values, level=0.9)
    expected = stats.t.interval(0.9, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (summary.low, summary.high) == pytest.approx(expected)
    assert summary.std == pytest.approx(np.std(values, ddof=1))


def test_unknown_is_none_and_is_counted() -> None:
    one, none = summarize([0.4]), summarize([])
    assert (one.mean, one.std, one.n, one.low, one.high) == (0.4, None, 1, None, None)
    assert np.isnan(none.mean) and (none.std, none.n, none.low) == (None, 0, None)
    partly = summarize([np.nan, 1, 3])
    assert (partly.mean, partly.n, partly.unknown) == (2, 2, 1)
    with pytest.raises(ValueError, match="infinite"):
        summarize([1, np.inf])
    with pytest.raises(UserError, match="Give a share between 0 and 1"):
        summarize([1, 2], level=95)


def test_equal_runs_have_no_spread_at_all() -> None:
    summary = summarize([0.1] * 3)
    assert (summary.mean, summary.std, summary.low, summary.high) == (0.1, 0.0, 0.1, 0.1)
    assert summarize([0.1 + 0.2, 0.3]).std == 0


@unhurried
@given(scores, st.floats(-1000, 1000), st.floats(0.1, 10))
def test_a_summary_moves_with_its_values(values: list[float], shift: float, factor: float) -> None:
    before, after = summarize(values), summarize([shift + factor * value for value in reversed(values)])
    assert after.mean == pytest.approx(shift + factor * before.mean, abs=1e-6)
    assert after.std == pytest.approx(factor * (before.std or 0), abs=1e-6)
    assert after.low == pytest.approx(shift + factor * (before.low or 0), abs=1e-5)


@pytest.mark.parametrize(
    ("hits", "expected"), [(16, (0.10095, 0.24420)), (0, (0, 0.03699)), (100, (0.96301, 1))]
)
def test_wilson(hits: int, expected: tuple[float, float]) -> None:
    low, high = wilson(hits, 100)
    assert (float(low), float(high)) == pytest.approx(expected, abs=5e-6)
    assert (float(low), float(high)) == pytest.approx(
        proportion_confint(hits, 100, method="wilson"), abs=1e-12
    )


def test_wilson_broadcasts_and_knows_nothing_from_nothing() -> None:
    low, high = wilson([0, 1], [0, 2], level=0.9)
    assert np.isnan([low[0], high[0]]).all() and 0 < low[1] < 0.5 < high[1] < 1
    with pytest.raises(ValueError, match="between"):
        wilson(3, 2)


def test_scopes_by_hand_on_unbalanced_runs() -> None:
    runs = [[1.0, 3.0], [5.0], [6.0, 7.0, 8.0]]
    assert run_means(runs).tolist() == [2, 5, 7]
    checkpoint = summarize_scope(runs, "checkpoint")
    assert checkpoint.std == pytest.approx(np.sqrt((2 + 2) / 3))
    assert (checkpoint.n, checkpoint.degrees_of_freedom) == (6, 3)
    assert scope_estimate(runs, "checkpoint").variance == pytest.approx(4 / 3 * (1 / 2 + 1 + 1 / 3) / 9)
    recipe = summarize_scope(runs)
    assert recipe == summarize([2, 5, 7])
    assert checkpoint.mean == recipe.mean == pytest.approx(14 / 3)


def test_one_run_is_unknown_beyond_its_checkpoint() -> None:
    runs = np.array([[[0.1, 0.5, 0.3], [0.2, 0.6, 0.2]]])
    assert summarize_scope(runs, "checkpoint").std is not None
    for scope in ("recipe", "new_tasks"):
        summary = summarize_scope(runs, scope)
        assert (summary.std, summary.low, summary.high, summary.n) == (None, None, None, 1)
    assert summarize_scope(np.zeros((3, 1, 1)), "new_tasks").low is None
    assert summarize_scope([[0.1], [0.2]], "checkpoint").std is None


def test_scopes_refuse_what_they_cannot_answer() -> None:
    with pytest.raises(UserError, match="Unknown scope 'tasks'"):
        summarize_scope([[1.0]], "tasks")
    with pytest.raises(UserError, match="needs values per task"):
        summarize_scope([[1.0], [2.0]], "new_tasks")
    with pytest.raises(ValueError, match="one number for each of the tasks"):
        summarize_scope([np.zeros((1, 3)), np.zeros((1, 4))])
    with pytest.raises(UserError, match="no values per task"):
        task_means([[1.0]])


def test_unknown_evaluations_are_left_out_and_counted() -> None:
    runs = [[[0.0, 1.0], [np.nan, 1.0]], [[1.0, 1.0]], [[np.nan, np.nan]]]
    summary = summarize_scope(runs)
    assert (summary.n, summary.unknown, summary.mean) == (2, 2, 0.75)
    assert np.isnan(run_means(runs)).tolist() == [False, False, True]
    assert task_means(runs).tolist() == [0.5, 1.0]


@unhurried
@given(st.integers(0, 2**32))
def test_scopes_ignore_the_order_of_everything(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(3, 2, 6))
    mixed = scores[rng.permutation(3)][:, rng.permutation(2)][:, :, rng.permutation(6)] + 5
    for scope in ("checkpoint", "recipe", "new_tasks"):
        before, after = summarize_scope(scores, scope), summarize_scope(mixed, scope)
        assert after.mean == pytest.approx(before.mean + 5)
        assert after.std == pytest.approx(before.std, rel=1e-6)
        assert after.high == pytest.approx((before.high or 0) + 5)


def test_equal_mean_squares_leave_nothing_to_the_order() -> None:
    """Solved or not, as tasks are: trainings and interplay have the same mean square, but for rounding."""
    scores = np.array([[0, 1, 1, 0], [0, 0, 1, 0], [0, 1, 1, 0]], dtype=float)
    rng = np.random.default_rng(0)
    for _ in range(30):
        mixed = scores[rng.permutation(3)][:, rng.permutation(4)]
        found = scope_estimate(list(mixed[:, None, :]), "new_tasks")
        assert found.degrees_of_freedom == pytest.approx(3)


@unhurried
@given(st.integers(0, 2**32))
def test_a_wider_scope_never_has_a_smaller_variance_than_recipe(seed: int) -> None:
    scores = np.random.default_rng(seed).normal(size=(3, 1, 5))
    narrow, wide = scope_estimate(scores), scope_estimate(scores, "new_tasks")
    assert narrow.variance is not None and wide.variance is not None
    assert wide.variance >= narrow.variance * (1 - 1e-9)


def test_satterthwaite_is_welchs_rule_and_copes_with_no_spread() -> None:
    assert satterthwaite([(2.0, 4.0)]) == pytest.approx(4)
    assert satterthwaite([(1.0, 4.0), (1.0, 4.0)]) == pytest.approx(8)
    assert satterthwaite([(0.0, 4.0), (0.0, 1.0)]) == 5
    assert satterthwaite([]) is None and Estimate(1.0).interval() == (None, None)


@pytest.mark.parametrize("runs", [3, 5, 10])
def test_the_recipe_interval_covers_new_trainings(runs: int) -> None:
    """True recipe mean: that of the drawn tasks, as the tasks are fixed at this scope. Normal scores, so the
    coverage is .95 exactly; with the std of ddof = 0 it would be .928, .932 and .940. Every hundredth
    interval is held against the one that is written out here, which covers in all of the repeats."""
    repeats = 20_000
    tasks = crossed_scores("tasks", repeats, 1, 2, sd_training=0, sd_interplay=0, sd_residual=0)
    data = tasks + crossed_scores("coverage", repeats, runs, 2, sd_task=0)
    means = data.mean(axis=(2, 3))
    centre = means.mean(axis=1)
    half = stats.t.ppf(0.975, runs - 1) * means.std(axis=1, ddof=1) / runs**0.5
    for place in range(0, repeats, 100):
        found = summarize_scope(data[place])
        expected = (centre[place] - half[place], centre[place] + half[place])
        assert (found.low, found.high) == pytest.approx(expected, rel=1e-9)
    hits = np.abs(centre - tasks.mean(axis=(1, 2, 3))) <= half
    assert np.mean(hits) == pytest.approx(0.95, abs=0.005)  # three standard errors of so many repeats


def test_the_new_tasks_interval_covers_new_trainings_and_tasks() -> None:
    data = crossed_scores("new tasks", 1500, 3, 40)
    wide = [covers(summarize_scope(one, "new_tasks"), 0.0) for one in data]
    assert 0.93 <= np.mean(wide) <= 0.99


@pytest.mark.parametrize(("runs", "seeds"), [(3, 2), (5, 4), (10, 3)])
def test_the_new_tasks_interval_covers_the_seeds_that_all_runs_share(runs: int, seeds: int) -> None:
    """Each evaluation seed lifts all runs of a table by as much; nested evaluations would not see it."""
    views = 0.3 * generator(0, "views", runs, seeds).normal(size=(400, 1, seeds, 1))
    data = crossed_scores("shared seeds", 400, runs, 40, seeds) + views
    hits = {
        shared: np.mean([covers(summarize_scope(one, "new_tasks", shared=shared), 0.0) for one in data])
        for shared in (False, True)
    }
    assert hits[True] >= 0.93 and hits[False] < 0.92, hits


@pytest.mark.parametrize("scope", ["checkpoint", "recipe"])
def test_a_run_that_still_lacks_an_evaluation_hides_nothing_of_the_shared_seeds(scope: str) -> None:
    """Four runs with two seeds in common, of which one run has the first alone so far."""
    rng, covered, tables = generator(0, "one lacks"), 0, 1500
    for _ in range(tables):
        seeds, trainings = rng.normal(size=2), rng.normal(size=4)
        runs = [5 + training + seeds + 0.3 * rng.normal(size=2) for training in trainings]
        runs[1] = runs[1][:1]
        found = summarize_scope(runs, scope, shared=True)
        assert found.low is not None and found.high is not None
        covered += found.low <= 5 + (trainings.mean() if scope == "checkpoint" else 0) <= found.high
    assert covered / tables >= 0.93


def test_the_checkpoint_interval_covers_other_evaluations_and_nothing_else() -> None:
    trained = crossed_scores("trained", 800, 2, 20, sd_residual=0)
    noise = crossed_scores(
        "evaluated", 800, 2, 20, 3, sd_task=0, sd_training=0, sd_interplay=0, sd_evaluation=0.2
    )
    intervals = [summarize_scope(one, "checkpoint") for one in trained + noise]
    hits = [covers(one, float(truth.mean())) for one, truth in zip(intervals, trained, strict=True)]
    assert 0.93 <= np.mean(hits) <= 0.97
    assert np.mean([covers(one, 0.0) for one in intervals]) < 0.7


def covers(summary: object, truth: float) -> bool:
    low, high = summary.low, summary.high  # type: ignore[attr-defined]
    return bool(low <= truth <= high)
