"""Every alarm fires where it must and nowhere else."""

import math
from dataclasses import replace

import pytest

from core.scoring import alarm_rules
from core.scoring.alarm_rules import ALARMS, Answers

FINE = Answers(attempts=100, texts="1", views="1", cut=0.05, unanswered=0.2)


def names(found: list[alarm_rules.Alarm]) -> list[str]:
    assert all(one.name in ALARMS and one.detail for one in found)
    return [one.name for one in found]


def test_identical_answers_are_reported_for_each_seed() -> None:
    other = replace(FINE, texts="2", views="2")
    found = alarm_rules.identical(
        {0: FINE, 1: other, 2: replace(FINE, views="3")}, "identical_predictions", "seed"
    )
    assert set(found) == {0, 2} and names(list(found.values())) == ["identical_predictions"] * 2
    assert found[0].detail == "all 100 answers equal those of seed 2, though the views differ"
    same = alarm_rules.identical({0: FINE, 1: FINE}, "identical_trainings", "training seed")
    assert same[1].detail == "all 100 answers equal those of training seed 0"
    assert alarm_rules.identical({0: FINE, 1: other}, "identical_predictions", "seed") == {}
    nothing = Answers(0, 0.0, 0.0)
    assert alarm_rules.identical({0: nothing, 1: nothing}, "identical_predictions", "seed") == {}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"cut": 0.051}, ["cut"]),
        ({"unanswered": 0.21}, ["unanswered"]),
        ({"cut": 1.0, "unanswered": 1.0}, ["cut", "unanswered"]),
    ],
)
def test_shares_above_their_limit(changes: dict[str, float], expected: list[str]) -> None:
    assert names(alarm_rules.shares(replace(FINE, **changes))) == expected  # type: ignore[arg-type]


def test_the_first_loss_that_is_no_number_is_named() -> None:
    (found,) = alarm_rules.losses([(1, 2.0), (2, None), (3, math.nan), (4, math.inf)])
    assert (found.name, found.value) == ("nan_loss", 3.0)
    assert names(alarm_rules.losses([(1, math.inf)])) == ["nan_loss"]
    assert alarm_rules.losses([(1, 2.0), (2, None)]) == [] == alarm_rules.losses([])


def test_the_last_accuracy_on_seen_tasks_counts() -> None:
    assert names(alarm_rules.seen_accuracy([0.9, 0.49])) == ["low_seen_accuracy"]
    assert alarm_rules.seen_accuracy([0.1, 0.5]) == [] == alarm_rules.seen_accuracy([])


def test_leaks_repeats_and_the_base() -> None:
    assert names(alarm_rules.leaks(2)) == ["leaks"] and alarm_rules.leaks(0) == []
    (found,) = alarm_rules.repeated(9, 10)
    assert found.value == pytest.approx(0.1) and found.detail == "1 of 10 repeated answers differ"
    assert alarm_rules.repeated(10, 10) == [] == alarm_rules.repeated(0, 0)
    assert names(alarm_rules.same_as_base(10, 10)) == ["same_as_base"]
    assert alarm_rules.same_as_base(9, 10) == [] == alarm_rules.same_as_base(0, 0)


def test_rounding_may_change_a_share_of_the_answers_in_16_bits() -> None:
    assert alarm_rules.repeated(31, 32)[0].name == "not_deterministic"
    assert alarm_rules.repeated(24, 32, exact=False) == []
    (alarm,) = alarm_rules.repeated(23, 32, exact=False)
    assert alarm.value == 9 / 32 and "9 of 32 repeated answers differ, more than 25 %" in alarm.detail


def test_a_run_that_was_computed_unlike_the_others_is_named() -> None:
    ways = {("a", 0): "cpu, float32", ("a", 1): "cpu, bfloat16", ("b", 0): "cpu, float32"}
    found = alarm_rules.computed_unlike("training", ways)
    assert list(found) == [("a", 1)]
    assert found["a", 1].detail == "its training by cpu, bfloat16, that of 2 of 3 runs by cpu, float32"
