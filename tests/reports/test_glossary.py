"""The page "How to read this" counts what it says."""

import pytest

from core.reports.glossary import pass_records, trap, vote_records


def test_the_trap_snaps() -> None:
    by_evaluations, by_trainings = trap()
    assert by_evaluations.comparison.p == pytest.approx(2e-5, abs=0.5e-5)
    assert by_evaluations.comparison.verdict == "worse"
    assert by_trainings.comparison.p == pytest.approx(0.11, abs=0.005)
    assert by_trainings.comparison.verdict == "cannot tell"
    assert (by_trainings.summaries["A"].n, by_trainings.summaries["B"].n) == (3, 2)


def test_the_small_sums() -> None:
    passes = [record["pass_k"] for record in pass_records()]
    assert passes[:2] == pytest.approx([2 / 8, 1 - (6 * 5) / (8 * 7)])
    assert passes[-2:] == [1, 1]
    assert [record["vote_k"] for record in vote_records()] == [0, 0.5, 1]
