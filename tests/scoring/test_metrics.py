"""What an output is worth: published values, edges, and the columns of the scores."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UserError
from core.scoring.attempt_budgets import expected_vote_curve, pass_k_curve
from core.scoring.metrics import (
    METRICS,
    describe,
    expected_vote_k,
    higher_is_better,
    output_metric,
    parse_metric,
    pass_k,
    task_values,
    vote_k,
)
from tests.scoring.aggregate import aggregate
from tests.spread.simulations import unhurried


@pytest.mark.parametrize(
    ("n", "c", "k", "expected"),
    [
        (10, 3, 1, 0.3),
        (10, 3, 5, 0.9166667),
        (10, 3, 8, 1),
        (64, 1, 32, 0.5),
        (64, 2, 32, 0.7539683),
        (100, 10, 10, 0.6695238),
        (200, 5, 100, 0.9703084),
        (5, 0, 1, 0),
        (5, 5, 5, 1),
        (10**6, 3, 1, 3e-6),
    ],
)
def test_pass_k_gives_the_published_values(n: int, c: int, k: int, expected: float) -> None:
    assert float(pass_k(n, c, k)) == pytest.approx(expected, abs=5e-8)


def test_pass_k_is_undefined_beyond_the_attempts_and_where_a_count_is_unknown() -> None:
    found = pass_k([4, 4, np.nan, 4, 0], [1, 1, 1, np.nan, 0], [5, 4, 2, 2, 1])
    assert np.isnan(found).tolist() == [True, False, True, True, True]


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, -1, 1), (4, 1, 0), (4, 1, 1.5)])
def test_pass_k_refuses_impossible_counts(n: int, c: int, k: float) -> None:
    with pytest.raises(ValueError, match="must"):
        pass_k(n, c, k)


@unhurried
@given(st.integers(1, 12), st.data())
def test_pass_k_is_the_share_of_subsets_with_a_right_attempt(n: int, data: st.DataObject) -> None:
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    subsets = [any(place < c for place in subset) for subset in combinations(range(n), k)]
    assert float(pass_k(n, c, k)) == pytest.approx(np.mean(subsets), abs=1e-12)


def test_pass_k_curve_adds_an_axis_and_never_falls() -> None:
    curve = pass_k_curve([[8, 8], [8, 4]], [[0, 3], [8, 1]], [1, 2, 4, 8])
    assert curve.shape == (2, 2, 4)
    assert (np.diff(curve[0]) >= 0).all()
    assert np.isnan(curve[1, 1]).tolist() == [False, False, False, True]


@pytest.mark.parametrize(
    ("above", "tied", "k", "expected"),
    [
        (0, 2, 1, 0.5),
        (0, 2, 2, 1),
        (0, 3, 1, 1 / 3),
        (0, 3, 2, 2 / 3),
        (2, 1, 1, 0),
        (2, 1, 2, 0),
        (1, 2, 2, 0.5),
        (0, 0, 1, 0),
    ],
)
def test_expected_vote_k_by_hand(above: int, tied: int, k: int, expected: float) -> None:
    assert float(expected_vote_k(above, tied, k)) == pytest.approx(expected)


def test_vote_k_counts_places_and_takes_an_absent_truth_as_wrong() -> None:
    assert vote_k([1, 2, 3, 0, -1, np.nan], 2).tolist() == [1, 1, 0, 0, 0, 0]


def brute_vote(attempts: int, truth: int, others: list[int], k: int, budget: int) -> float:
    answers = [0] * truth + [1 + i for i, votes in enumerate(others) for _ in range(votes)]
    answers += [-1] * (attempts - len(answers))
    values = []
    for drawn in combinations(answers, budget):
        mine, rivals = drawn.count(0), [drawn.count(1 + i) for i in range(len(others))]
        above, tied = sum(r > mine for r in rivals), 1 + sum(r == mine for r in rivals)
        values.append(min(max((k - above) / tied, 0), 1) if mine else 0)
    return float(np.mean(values))


@pytest.mark.parametrize(
    ("truth", "others", "k"),
    [(3, [2, 2, 1], 1), (2, [3, 1, 1], 2), (1, [1, 1, 1, 4], 3), (0, [5], 1), (4, [], 2)],
)
def test_the_vote_curve_is_the_mean_over_all_subsets(truth: int, others: list[int], k: int) -> None:
    curve = expected_vote_curve(9, truth, others, k)
    assert curve == pytest.approx([brute_vote(9, truth, others, k, s) for s in range(1, 10)], abs=1e-12)


def test_the_vote_curve_ends_in_the_metric_and_starts_in_accuracy() -> None:
    curve = expected_vote_curve(1000, 90, [120, 90, 90, *[1] * 300], 2)
    assert curve[-1] == pytest.approx(float(expected_vote_k(1, 3, 2)))
    assert curve[0] == pytest.approx(0.09)
    assert np.isnan(expected_vote_curve(4, 1, [], 1, [3, 5])).tolist() == [False, True]


@pytest.mark.parametrize(("attempts", "truth", "others"), [(3, 2, [2]), (3, -1, [1]), (1001, 1, [])])
def test_the_vote_curve_refuses_counts_that_do_not_fit(attempts: int, truth: int, others: list[int]) -> None:
    with pytest.raises(ValueError, match=r"votes|exact"):
        expected_vote_curve(attempts, truth, others, 1)


COLUMNS = {
    "attempts": np.array([8, 4, 0]),
    "correct": np.array([2, 0, 0]),
    "right_size": np.array([6, 1, 0]),
    "pixels_sum": np.array([6.0, 1.0, 0.0]),
    "pixels_max": np.array([1.0, 0.5, 0.0]),
    "unanswered": np.array([1, 2, 0]),
    "distinct": np.array([3, 2, 0]),
    "votes_above": np.array([1, 2, 0]),
    "votes_tied": np.array([2, 0, 0]),
    "rescored_rank": np.array([2, np.nan, 0]),
    "vote_rank": np.ma.MaskedArray([2, 0, 0], mask=[False, True, True]),
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", [0.25, 0, 0]),
        ("correct_pixels", [0.75, 0.25, 0]),
        ("max_correct_pixels", [1, 0.5, 0]),
        ("correct_size", [0.75, 0.25, 0]),
        ("any_correct_size", [1, 1, 0]),
        ("unanswered", [0.125, 0.5, 1]),
        ("pass_n", [1, 0, 0]),
        ("pass_2", [1 - 15 / 28, 0, 0]),
        ("pass_8", [1, np.nan, 0]),
        ("vote_1", [0, 0, 0]),
        ("vote_2", [1, 0, 0]),
        ("rescored_1", [0, np.nan, 0]),
        ("rescored_2", [1, np.nan, 0]),
        ("expected_vote_1", [0, 0, 0]),
        ("expected_vote_2", [0.5, 0, 0]),
        ("expected_vote_3", [1, 0, 0]),
    ],
)
def test_every_metric_from_the_columns(name: str, expected: list[float]) -> None:
    assert output_metric(name, COLUMNS) == pytest.approx(expected, nan_ok=True)


def test_every_base_metric_is_described_and_computed() -> None:
    names = [name.replace("_k", "_2") for name in METRICS]
    assert len(names) >= 10
    for name in names:
        assert output_metric(name, COLUMNS).shape == (3,)
        assert describe(name).endswith(".")
    assert "2 answers" in describe("vote_2") and "2 attempts" in describe("pass_2")
    assert [name for name in names if not higher_is_better(name)] == ["unanswered"]


def test_an_output_without_predictions_is_wrong_even_where_nothing_else_is_known() -> None:
    unknown = np.full(1, np.nan)
    columns = dict.fromkeys(COLUMNS, unknown) | {"attempts": np.zeros(1)}
    names = [name.replace("_k", "_2") for name in METRICS]
    values = {name: float(output_metric(name, columns)[0]) for name in names}
    assert values.pop("unanswered") == 1
    assert set(values.values()) == {0.0}


@pytest.mark.parametrize("name", ["pass_0", "pass_k", "acuracy", "vote_-1", "pass_01", ""])
def test_an_unknown_metric_is_named(name: str) -> None:
    with pytest.raises(UserError, match=f"Unknown metric '{name}'"):
        parse_metric(name)


def test_a_misspelt_metric_gets_the_nearest_one_and_a_missing_column_its_name() -> None:
    with pytest.raises(UserError, match="Did you mean 'accuracy'"):
        parse_metric("acuracy")
    with pytest.raises(UserError, match="no column 'correct'"):
        output_metric("accuracy", {"attempts": np.ones(2)})


def test_three_forms_of_aggregation() -> None:
    values, tasks = [[1, 0, 1, 1], [1, 1, 0, 0]], [7, 7, 3, 9]
    assert aggregate(values, tasks) == pytest.approx([2.5 / 3, 1 / 3])
    assert aggregate(values, tasks, "by_output") == pytest.approx([0.75, 0.5])
    assert aggregate(values, tasks, "all_outputs") == pytest.approx([2 / 3, 1 / 3])
    assert task_values(values, tasks).tolist() == [[1, 0.5, 1], [0, 1, 0]]


def test_aggregation_of_one_task_of_unknown_values_and_of_nothing() -> None:
    assert float(aggregate([0.5, 1.0], [0, 0])) == 0.75
    assert np.isnan(aggregate([[np.nan, 1.0], [1.0, 1.0]], [0, 1])).tolist() == [True, False]
    assert np.isnan(aggregate(np.zeros((2, 0)), [])).tolist() == [True, True]
    with pytest.raises(UserError, match="Unknown aggregation 'by_run'"):
        task_values([1.0], [0], "by_run")
    with pytest.raises(ValueError, match="3 task numbers"):
        aggregate([1.0, 2.0], [0, 1, 2])


@unhurried
@given(st.integers(0, 2**32), st.sampled_from(["by_task", "by_output", "all_outputs"]))
def test_aggregation_ignores_order_and_names_of_tasks(seed: int, how: str) -> None:
    rng = np.random.default_rng(seed)
    tasks, values = rng.integers(0, 5, 12), rng.integers(0, 2, (2, 12))
    order, names = rng.permutation(12), rng.permutation(50)
    expected = aggregate(values, tasks, how)
    assert aggregate(values[:, order], names[tasks[order]], how) == pytest.approx(expected)
    assert (aggregate(values, tasks, "all_outputs") <= aggregate(values, tasks) + 1e-12).all()
