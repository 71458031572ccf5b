"""Verdicts: oracles, false alarms, all pairs, letters, and what stands beside them."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from core.errors import UserError
from core.seeds import generator
from core.spread.comparisons import (
    against_baseline,
    compare,
    compare_scope,
    holm,
    pooled_std,
    verdict,
)
from core.spread.letters import grouping_letters
from core.spread.pairs import all_pairs, letters_of_pairs
from core.spread.scopes import run_means, task_means
from core.spread.second_opinions import (
    THESE_CHECKPOINTS,
    paired_tasks,
    permutation_test,
    probability_of_improvement,
    sign_test,
)
from tests.spread.simulations import crossed_scores, unhurried

A, B, C = [87.58, 86.72, 89.27], [85.41, 86.36], [90.0, 92.0, 91.0, 90.5]


def test_the_verdict_is_welchs() -> None:
    found, expected = compare(A, B, level=0.9), stats.ttest_ind(B, A, equal_var=False)
    interval = expected.confidence_interval(0.9)
    assert found.difference == pytest.approx(np.mean(B) - np.mean(A))
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.degrees_of_freedom == pytest.approx(expected.df)
    assert (found.n_a, found.n_b, found.verdict) == (3, 2, "cannot tell")


def test_the_three_words() -> None:
    assert compare([1, 2, 1.5], [5, 6, 5.5]).verdict == "better"
    assert compare([5, 6, 5.5], [1, 2, 1.5]).verdict == "worse"
    assert compare([1, 2, 1.5], [5, 6, 5.5], higher_is_better=False).verdict == "worse"
    assert compare([1, 2, 1.5], [1.2, 2, 1.4]).verdict == "cannot tell"
    assert verdict(1.0, None) == verdict(1.0, 0.05) == verdict(0.0, 0.0) == "cannot tell"


def test_one_run_cannot_tell_but_says_how_many_could() -> None:
    one = compare([1.0, 1.4, 1.1], [1.6])
    assert (one.verdict, one.p, one.low, one.high, one.n_b) == ("cannot tell", None, None, None, 1)
    assert one.runs_needed == compare([1.0, 1.4, 1.1], [1.6], std=99.0).runs_needed == 5
    assert compare([1.0], [2.0]).runs_needed is None
    assert compare([1.0], [2.0], std=0.5).runs_needed == 6
    assert compare([], [1.0]).p is None and np.isnan(compare([], [1.0]).difference)
    assert compare([1.0, np.nan, 2.0], [3.0, 4.0]).n_a == 2


def test_no_spread_gives_the_limits() -> None:
    assert (compare([1, 1], [3, 3]).p, compare([1, 1], [3, 3]).verdict) == (0, "better")
    same = compare([0.1 + 0.2] * 2, [0.3] * 2)
    assert (same.difference, same.p, same.verdict, same.runs_needed) == (0, 1, "cannot tell", None)


def test_holm_by_hand_and_against_the_library() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    p = generator(0, "p").uniform(size=25) ** 3
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])
    assert holm([0.01, np.nan, 0.04]) == pytest.approx([0.02, np.nan, 0.04], nan_ok=True)
    assert holm([]).shape == (0,) and np.isnan(holm([np.nan])).all()


def test_a_table_against_its_baseline() -> None:
    table = against_baseline(
        {"plain": [[v] for v in A], "b": [[v] for v in B], "c": [[v] for v in C], "d": [[1.0]]}, "plain"
    )
    assert list(table) == ["b", "c", "d"]
    single = {"b": compare(A, B), "c": compare(A, C)}
    assert [table[name].p for name in "bc"] == [single[name].p for name in "bc"]
    assert [table[name].p_holm for name in "bc"] == pytest.approx(holm([single["b"].p, single["c"].p]))
    assert (table["d"].p_holm, table["d"].verdict_holm) == (None, None)
    assert (table["c"].verdict, table["c"].verdict_holm) == ("better", "cannot tell")
    assert pooled_std([A, B, C, [1.0]]) == pytest.approx(
        np.sqrt((2 * np.var(A, ddof=1) + np.var(B, ddof=1) + 3 * np.var(C, ddof=1)) / 6)
    )
    assert pooled_std([[1.0], []]) is None
    with pytest.raises(UserError, match="no variant 'x'"):
        against_baseline({"plain": [[1.0]]}, "x")


def test_games_howell_agrees_with_the_library() -> None:
    found = all_pairs({"A": A, "B": B, "C": C})
    expected = stats.tukey_hsd(A, B, C, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert len(found) == 3
    for pair, (i, j) in zip(found, combinations(range(3), 2), strict=True):
        assert pair.difference == pytest.approx(-expected.statistic[i, j])
        assert pair.p == pytest.approx(expected.pvalue[i, j], abs=1e-7)
        assert (pair.low, pair.high) == pytest.approx((-interval.high[i, j], -interval.low[i, j]), rel=1e-5)


def test_two_variants_need_no_correction_and_a_single_run_no_pair() -> None:
    pair, other, third = all_pairs({"A": A, "B": B, "one": [3.0]})
    assert pair.p == pytest.approx(compare(A, B).p) == pytest.approx(pair.p_holm)
    assert (pair.low, pair.high) == pytest.approx((compare(A, B).low, compare(A, B).high))
    assert (other.p, other.low, other.verdict, third.p_welch) == (None, None, "cannot tell", None)
    assert all_pairs({"A": A}) == [] and all_pairs({}) == []
    still = all_pairs({"x": [1, 1], "y": [1, 1], "z": [2, 2]})
    assert [p.p for p in still] == [1, 0, 0] and [p.verdict for p in still] == [
        "cannot tell",
        "better",
        "better",
    ]


def test_letters_by_hand() -> None:
    assert grouping_letters(["x", "y", "z"], [("z", "x")]) == {"x": "a", "y": "ab", "z": "b"}
    assert grouping_letters(["x", "y"], []) == {"x": "a", "y": "a"}
    assert grouping_letters(["x", "y"], [("x", "y")]) == {"x": "a", "y": "b"}
    assert grouping_letters([], []) == {}
    many = [f"v{i}" for i in range(30)]
    apart = grouping_letters(many, combinations(many, 2))
    assert (apart["v0"], apart["v25"], apart["v26"], apart["v29"]) == ("a", "z", "aa", "ad")


@unhurried
@given(st.integers(2, 7), st.data())
def test_a_shared_letter_means_not_distinguishable_and_no_letter_is_spare(
    size: int, data: st.DataObject
) -> None:
    names = [f"v{i}" for i in range(size)]
    every = list(combinations(names, 2))
    apart = [pair for pair in every if data.draw(st.booleans())]
    letters = grouping_letters(names, apart)
    for first, second in every:
        assert bool(set(letters[first]) & set(letters[second])) == ((first, second) not in apart)
    groups = [
        {name for name in names if letter in letters[name]} for letter in set("".join(letters.values()))
    ]
    assert not any(one < other for one in groups for other in groups)


def test_letters_follow_the_means_best_first() -> None:
    runs = {"low": [1, 1.1, 0.9], "high": [5, 5.1, 4.9], "one": [4.0], "also": [1.05, 1.0, 0.95]}
    pairs = all_pairs(runs)
    assert letters_of_pairs(runs, pairs) == {"high": "a", "one": "ab", "low": "b", "also": "b"}
    assert letters_of_pairs(runs, pairs, higher_is_better=False) == {
        "low": "a",
        "also": "a",
        "one": "ab",
        "high": "b",
    }


def test_scopes_of_a_difference() -> None:
    a, b = crossed_scores("scopes", 2, 3, 30, 2)
    checkpoint, recipe, tasks = (
        compare_scope(a, b, scope) for scope in ("checkpoint", "recipe", "new_tasks")
    )
    assert recipe == compare(run_means(a), run_means(b))
    assert checkpoint.difference == pytest.approx(recipe.difference) == pytest.approx(tasks.difference)
    assert (checkpoint.scope, checkpoint.runs_needed, tasks.n_a) == ("checkpoint", None, 3)
    assert checkpoint.degrees_of_freedom == pytest.approx(
        stats.ttest_ind(a.mean(2).ravel(), b.mean(2).ravel()).df - 4, abs=3
    )
    assert compare_scope(a[:1], b, "new_tasks").p is None
    for scope in ("checkpoint", "recipe", "new_tasks"):
        nothing = against_baseline({"a": a, "empty": []}, "a", scope)["empty"]
        assert np.isnan(nothing.difference) and (nothing.p, nothing.n_b) == (None, 0)
    with pytest.raises(UserError, match="values per task"):
        compare_scope([[1.0], [2.0]], [[1.0], [2.0]], "new_tasks")
    with pytest.raises(ValueError, match="same tasks"):
        compare_scope(a[:, :, :20], b, "new_tasks")


def alarms(found: list[float | None]) -> float:
    return float(np.mean([p is not None and p < 0.05 for p in found]))


@pytest.mark.parametrize("runs", [2, 3, 5])
def test_equal_recipes_raise_few_alarms_over_runs_and_many_over_tasks(runs: int) -> None:
    """Both variants share the tasks; each training has an effect of its own."""
    repeats, tasks = 800, 100
    shared = crossed_scores("shared", repeats, 1, tasks, sd_training=0, sd_interplay=0, sd_residual=0)
    first, second = (
        shared + crossed_scores(name, repeats, runs, tasks, sd_task=0, sd_training=0.24)
        for name in ("first", "second")
    )
    pairs = list(zip(first, second, strict=True))
    assert alarms([compare(run_means(a), run_means(b)).p for a, b in pairs]) <= 0.07
    wrong = alarms([paired_tasks(a.mean(axis=(0, 1)), b.mean(axis=(0, 1))).p for a, b in pairs])
    assert 0.33 <= wrong <= 0.47, wrong


def test_new_tasks_and_new_trainings_raise_few_alarms() -> None:
    """Variants differ on each task, by 0 on average over all tasks there are."""
    first, second = (crossed_scores(name, 800, 3, 40, sd_training=0.1) for name in ("left", "right"))
    found = [compare_scope(a, b, "new_tasks").p for a, b in zip(first, second, strict=True)]
    assert alarms(found) <= 0.07
    assert alarms([compare_scope(a, b).p for a, b in zip(first, second, strict=True)]) > 0.12


def test_games_howell_rarely_finds_any_difference_where_there_is_none() -> None:
    rng = generator(1, "tables")
    tables = rng.normal(size=(200, 6, 4)) * np.array([1, 1, 2, 2, 0.5, 0.5])[:, None]
    found = [any(pair.p < 0.05 for pair in all_pairs(dict(enumerate(table)))) for table in tables]  # type: ignore
    assert np.mean(found) <= 0.08


def test_the_paired_test_says_what_it_is() -> None:
    a, b = np.array([0.0, 0.5, 1, 0.2, np.nan, 0.4]), np.array([0.5, 0.5, 0.7, 0.9, 1.0, 0.6])
    found, expected = paired_tasks(a, b), stats.ttest_rel(np.delete(b, 4), np.delete(a, 4))
    assert found.label == THESE_CHECKPOINTS and "these checkpoints" in found.label
    assert (found.p, found.low) == pytest.approx((expected.pvalue, expected.confidence_interval().low))
    assert (found.wins, found.losses, found.ties, found.unknown) == (3, 1, 1, 1)
    assert found.p_sign == pytest.approx(stats.binomtest(3, 4).pvalue)
    reverse = paired_tasks(a, b, higher_is_better=False)
    assert (reverse.wins, reverse.losses) == (1, 3)


def test_the_sign_test_agrees_with_the_library() -> None:
    for wins, losses in [(0, 1), (3, 3), (1, 9), (40, 17), (300, 310)]:
        expected = stats.binomtest(wins, wins + losses).pvalue
        assert sign_test(wins, losses) == pytest.approx(expected, rel=1e-12) == sign_test(losses, wins)


def test_the_paired_test_at_its_edges() -> None:
    assert paired_tasks([0.5], [1.0]).p is None and paired_tasks([], []).p is None
    same = paired_tasks([0.1 + 0.2, 1], [0.3, 1])
    assert (same.p, same.p_sign, same.ties) == (1, 1, 2)
    assert paired_tasks([0, 0], [1, 1]).p == 0
    with pytest.raises(ValueError, match="same tasks"):
        paired_tasks([1], [1, 2])
    a, b = crossed_scores("task means", 2, 3, 4, 2)
    assert task_means(a) == pytest.approx(a.mean(axis=(0, 1)))
    assert paired_tasks(task_means(a), task_means(b)).difference == pytest.approx(b.mean() - a.mean())


def test_the_permutation_test_is_exact_and_knows_its_limit() -> None:
    best = permutation_test([1, 2, 3], [4, 5, 6])
    assert (best.p, best.smallest_p, best.arrangements, best.exact) == (0.1, 0.1, 20, True)
    assert permutation_test([1, 2], [3, 4]).smallest_p == pytest.approx(1 / 3)
    assert permutation_test(A, B).smallest_p == 0.1
    assert permutation_test([1, 1], [1, 1]).p == 1
    assert (permutation_test([], [1]).p, permutation_test([1], [2]).p) == (None, 1)


@unhurried
@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(1, 5))
def test_the_permutation_test_agrees_with_the_library(seed: int, n_a: int, n_b: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 5, n_a) / 10, rng.integers(0, 5, n_b) / 10
    every, hits, ways = np.concatenate([a, b]), 0, list(combinations(range(n_a + n_b), n_a))
    for chosen in ways:
        mine = np.isin(np.arange(n_a + n_b), chosen)
        hits += abs(every[mine].mean() - every[~mine].mean()) >= abs(a.mean() - b.mean()) - 1e-9
    assert permutation_test(a, b).p == pytest.approx(hits / len(ways))


def test_many_runs_are_sampled_with_the_callers_generator() -> None:
    rng = generator(0, "runs")
    a, b = rng.normal(size=14), rng.normal(0.9, 1, size=14)
    with pytest.raises(ValueError, match="pass a generator"):
        permutation_test(a, b)
    found = permutation_test(a, b, generator(5, "deals"))
    assert found == permutation_test(a, b, generator(5, "deals"))
    assert found.p == pytest.approx(compare(a, b).p, abs=0.02) and not found.exact


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
@given(st.integers(0, 2**32), st.floats(-50, 50), st.floats(0.1, 10))
def test_comparisons_ignore_order_and_shift_and_follow_scale(seed: int, shift: float, factor: float) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=4), rng.normal(size=3)
    before, after = compare(a, b), compare(shift + factor * a[::-1], shift + factor * rng.permutation(b))
    assert after.p == pytest.approx(before.p, rel=1e-6)
    assert after.low == pytest.approx(factor * (before.low or 0), rel=1e-6, abs=1e-8)
    assert compare(b, a).difference == pytest.approx(-before.difference)
    assert compare(-a, -b, higher_is_better=False).verdict == before.verdict
    assert permutation_test(a, b).p == permutation_test(b + 1, a + 1).p
    tied = rng.integers(0, 3, size=4), rng.integers(0, 3, size=3)  # nearly always with equal runs
    for x, y in ((a, b), tied):
        better, worse = probability_of_improvement(x, y), probability_of_improvement(y, x)
        assert better.probability == pytest.approx(1 - (worse.probability or 0))
        assert better.low == pytest.approx(1 - (worse.high or 0), abs=1e-9)
        moved = probability_of_improvement(shift + x[::-1], shift + rng.permutation(y))
        assert moved.probability == pytest.approx(better.probability)


@unhurried
@given(st.integers(0, 2**32), st.floats(-50, 50))
def test_all_pairs_and_letters_ignore_order_names_and_shift(seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    before = {f"v{i}": rng.normal(4 * i, 1 + i / 2, size=3 + i) for i in range(4)}
    renamed = {name: f"w{place}" for place, name in enumerate(rng.permutation(list(before)).tolist())}
    after = {renamed[name]: shift + rng.permutation(before[name]) for name in rng.permutation(list(before))}
    old, new = all_pairs(before), {frozenset((p.first, p.second)): p for p in all_pairs(after)}
    assert len(old) == len(new) == 6
    for pair in old:
        other = new[frozenset((renamed[pair.first], renamed[pair.second]))]
        sign = 1 if other.first == renamed[pair.first] else -1
        ends = sorted((sign * (other.low or 0), sign * (other.high or 0)))
        assert sign * other.difference == pytest.approx(pair.difference, abs=1e-9)
        assert ends == pytest.approx([pair.low, pair.high], rel=1e-6, abs=1e-8)
        assert (other.p, other.p_welch, other.p_holm) == pytest.approx(
            (pair.p, pair.p_welch, pair.p_holm), rel=1e-6, abs=1e-9
        )
    letters, others = letters_of_pairs(before, old), letters_of_pairs(after, new.values())
    assert {renamed[name]: letter for name, letter in letters.items()} == others


@unhurried
@given(st.integers(0, 2**32), st.floats(-50, 50))
def test_a_comparison_ignores_the_order_of_runs_evaluations_and_tasks(seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(3, 2, 6)), rng.normal(0.3, 1, size=(4, 3, 6))
    tasks = rng.permutation(6)  # shared, so they move together
    mixed = [
        shift + part[rng.permutation(len(part))][:, rng.permutation(part.shape[1])][:, :, tasks]
        for part in (a, b)
    ]
    for scope in ("checkpoint", "recipe", "new_tasks"):
        before, after = compare_scope(a, b, scope), compare_scope(*mixed, scope)
        assert (after.difference, after.p, after.low, after.degrees_of_freedom) == pytest.approx(
            (before.difference, before.p, before.low, before.degrees_of_freedom), rel=1e-6, abs=1e-9
        )
    paired, again = paired_tasks(a[0, 0], b[0, 0]), paired_tasks(*(shift + x[0, 0][tasks] for x in (a, b)))
    assert (again.p, again.wins, again.losses) == (pytest.approx(paired.p), paired.wins, paired.losses)
