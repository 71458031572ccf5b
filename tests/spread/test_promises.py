"""Promises beside the verdict, against draws of tables and tasks that share no code with them."""

import numpy as np
import pytest
from scipy import stats

from core.seeds import generator
from core.spread.companion_tests import paired_tasks, probability_of_improvement
from core.spread.judging_variance import BorrowedNoise, Resolution
from core.spread.planning import noise_interval, runs_needed
from core.spread.power_simulation import RunNoise
from core.spread.scopes import summarize_scope
from core.spread.verdict import judge


def test_five_metrics_find_something_in_about_one_of_five_tables() -> None:
    """By Student's test of two variants with five runs; metrics of the same answers hang together."""
    rng, tables, runs = generator(1, "promises"), 2000, 5
    for common in (0.0, 0.5):
        shared = common**0.5 * rng.normal(size=(tables, 1, 2, runs))
        scores = shared + (1 - common) ** 0.5 * rng.normal(size=(tables, 5, 2, runs))
        p = stats.ttest_ind(scores[:, :, 0], scores[:, :, 1], axis=2).pvalue
        assert 0.16 <= float((p < 0.05).any(axis=1).mean()) <= 0.24


@pytest.mark.parametrize(("tasks", "both", "one"), [(29, 0.02, 0.07), (29, 0.3, 0.1), (400, 0.05, 0.02)])
def test_the_paired_test_holds_for_these_models_on_new_tasks(tasks: int, both: float, one: float) -> None:
    """Two models that are equally good: `both` solve a task, or either alone with the chance `one`."""
    rng, alarms = generator(2, "promises"), []
    for kinds in rng.choice(4, p=[1 - both - 2 * one, both, one, one], size=(1000, tasks)):
        p = paired_tasks((kinds == 1) | (kinds == 2), (kinds == 1) | (kinds == 3)).p
        alarms.append(p is not None and p < 0.05)
    assert np.mean(alarms) <= 0.07


def test_few_runs_tell_the_chance_to_beat_another_training() -> None:
    rng = generator(3, "promises")
    for a, b, shift in ((2, 2, 0.0), (2, 2, 2.0), (2, 10, 1.0), (10, 2, 0.0)):
        truth, held = float(stats.norm.cdf(shift / 2**0.5)), []
        for _ in range(200):
            found = probability_of_improvement(rng.normal(size=a), rng.normal(shift, 1, size=b))
            held.append((found.low or 0) <= truth <= (found.high or 0))
        assert np.mean(held) >= 0.91, (a, b, shift)


def test_rare_counts_are_judged_with_borrowed_noise() -> None:
    """Single runs of 29 tasks, with the noise of two other variants with three runs each."""
    rng, alarms = generator(4, "promises"), []
    for rate in (0.02, 0.2):
        for _ in range(100):
            lent = float((rng.binomial(29, rate, (2, 3)) / 29).var(axis=1, ddof=1).mean())
            if lent > 0:
                single = {name: rng.binomial(29, rate, 1) / 29 for name in "abc"}
                table = judge(single, "a", resolution=Resolution(1 / 29), borrowed=BorrowedNoise(lent, 4))
                alarms.append(any(table.between("a", name).verdict != "cannot tell" for name in "bc"))
    assert len(alarms) > 150 and np.mean(alarms) <= 0.09


def test_a_seed_that_all_runs_share_is_named_where_it_is_the_only_one() -> None:
    """With one evaluation seed the interval holds for its views; with two for any seeds, as the page says."""
    rng, held = generator(5, "promises"), {1: [], 2: []}
    for seeds, found in held.items():
        for _ in range(250):
            views = 0.5 * rng.normal(size=seeds)
            mean = summarize_scope(0.3 * rng.normal(size=(4, 1, 1)) + views[:, None], shared=True)
            truth = float(views[0]) if seeds == 1 else 0.0
            assert mean.low is not None and mean.high is not None
            found.append(mean.low <= truth <= mean.high)
    assert all(np.mean(found) >= 0.93 for found in held.values())


def test_the_runs_that_the_truth_needs_lie_between_those_that_are_named() -> None:
    """`runs_needed_low` to `runs_needed_high` of `compare --json`: the far end of the difference with
    the least noise, and the near end with the most."""
    rng, runs, held = generator(6, "promises"), 5, []
    true = runs_needed(2.0, RunNoise(1.0)) or 0
    for _ in range(80):
        table = judge({"a": rng.normal(size=runs), "b": rng.normal(2.0, 1, size=runs)}, "a")
        found = table.between("a", "b")
        assert table.std is not None and found.low is not None and found.high is not None
        least, most = noise_interval(RunNoise(table.std, table.freedom))
        assert least is not None and most is not None
        low = runs_needed(max(abs(found.low), abs(found.high)), least) or 2
        near = 0.0 if found.low <= 0 <= found.high else min(abs(found.low), abs(found.high))
        high = runs_needed(near, most)
        held.append(low <= true and (high is None or true <= high))
    assert np.mean(held) >= 0.95
