"""Curves of many outputs at once are those of each output alone, which are exact means over all draws."""

from math import comb

import numpy as np
import pytest
from scipy import stats

from core.scoring.attempt_budgets import expected_vote_curve
from core.scoring.vote_curves import _binomial, expected_vote_curves
from core.seeds import generator

BUDGETS = {8: [1, 2, 3, 5, 7, 8, 9], 64: [1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64]}


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("attempts", BUDGETS)
def test_many_curves_are_those_of_each(attempts: int, k: int) -> None:
    rng = generator(0, "votes", attempts)
    rivals = np.zeros((80, attempts + 1), dtype=np.int64)
    truth = np.zeros(80, dtype=np.int64)
    alone = []
    for place in range(80):
        chances = rng.dirichlet(np.full(rng.integers(2, 12), rng.choice([0.2, 1.0, 5.0])))
        truth[place], *others, _unanswered = rng.multinomial(attempts, chances).tolist()
        np.add.at(rivals[place], [votes for votes in others if votes], 1)
        alone.append(expected_vote_curve(attempts, int(truth[place]), others, k, BUDGETS[attempts]))
    assert 0.05 < (truth == 0).mean() < 0.5
    found = expected_vote_curves(np.full(80, attempts), truth, rivals, k, BUDGETS[attempts])
    np.testing.assert_allclose(found, np.array(alone), atol=1e-6)
    assert np.isnan(found[:, 6]).all() == (attempts == 8)


def test_extremes() -> None:
    """All right; nobody right; one vote among dozens of one vote each; few attempts of one among many."""
    truth = np.array([64, 0, 1, 2] * 5)
    rivals = np.zeros((20, 65), dtype=np.int64)
    rivals[2::4, 1] = 63
    rivals[3::4, 62] = 1
    found = expected_vote_curves(np.full(20, 64), truth, rivals, 1, [1, 8, 32, 64])
    assert found[:2].tolist() == [pytest.approx([1] * 4, abs=1e-5), [0] * 4]
    # Any of s answers drawn wins with the same chance, and the truth is drawn with s / 64.
    assert found[2] == pytest.approx([1 / 64] * 4, abs=2e-5)
    assert found[3] == pytest.approx(expected_vote_curve(64, 2, [62], 1, [1, 8, 32, 64]), abs=1e-5)


@pytest.mark.parametrize("k", [1, 2])
def test_without_a_rival_a_drawn_truth_wins(k: int) -> None:
    truth = np.arange(1, 21)
    found = expected_vote_curves(np.full(20, 20), truth, np.zeros((20, 21), dtype=np.int64), k, [1, 5, 20])
    missed = [[comb(20 - c, s) / comb(20, s) for s in (1, 5, 20)] for c in truth.tolist()]
    np.testing.assert_allclose(found, 1 - np.array(missed), atol=2e-5)


@pytest.mark.parametrize("k", [1, 2])
def test_the_worst_cases_are_exact(k: int) -> None:
    """All answers differ, or all have as many votes: dozens tie, for nearly all attempts."""
    attempts, budgets = 128, [32, 64, 96, 124, 126, 127]
    cases = [(t, [t] * ((attempts - t) // t - spare)) for t in (1, 2, 3, 4) for spare in (0, 1)]
    cases += [(t, [1] * (attempts - t - spare)) for t in (1, 2, 3, 4) for spare in (1, 2)]
    assert len(cases) == 16  # fewer are counted one by one
    rivals = np.zeros((16, attempts + 1), dtype=np.int64)
    for row, (_, others) in zip(rivals, cases, strict=True):
        np.add.at(row, others, 1)
    truth = np.array([votes for votes, _ in cases])
    found = expected_vote_curves(np.full(16, attempts), truth, rivals, k, budgets)
    alone = [expected_vote_curve(attempts, votes, others, k, budgets) for votes, others in cases]
    np.testing.assert_allclose(found, np.array(alone), atol=1e-6)


def test_impossible_votes_are_refused() -> None:
    with pytest.raises(ValueError, match="at most the attempts"):
        expected_vote_curves(np.array([3]), np.array([2]), np.array([[0, 0, 1]]), 1, [1])
    assert (
        expected_vote_curves(np.array([3]), np.array([0]), np.zeros((1, 4), int), 1, [1, 4]).tolist()[0][0]
        == 0
    )


def test_the_binomial_agrees_with_the_library() -> None:
    trials = np.array([0, 1, 8, 64, 1000])
    successes = np.arange(1002)[:, None]
    for chance in (0.01, 0.5, 0.9):
        expected = stats.binom.pmf(successes, trials, chance)
        assert _binomial(successes, trials, chance) == pytest.approx(expected, rel=1e-10, abs=1e-290)
    assert _binomial(5, 4, 0.5) == 0
