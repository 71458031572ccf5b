"""A budget of seconds: the schedule follows the time and has decayed when it is over, also after a break."""

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.training import train as train_module
from core.training.checkpoints import Position
from core.training.loop import Loop, Training
from core.training.schedules import learning_rate_at, learning_rate_in_time
from core.training.train import left, train
from tests.training.conftest import tiny_settings
from tests.training.test_train import Interrupted

pytestmark = pytest.mark.engine


class Clock:
    """Time passes only in steps, each as long as told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *lengths: float) -> None:
        self.now, self._lengths = 100.0, list(lengths)
        honest = Loop.step

        def step(loop: Loop, position: Position) -> Any:
            found = honest(loop, position)
            self.now += self._lengths[position.steps % len(self._lengths)]
            return found

        monkeypatch.setattr(Loop, "step", step)
        monkeypatch.setattr(train_module, "time", types.SimpleNamespace(monotonic=lambda: self.now))


def records_of(training: Training, folder: Path, stop_at: int | None = None) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []

    def report(record: dict[str, Any]) -> None:
        records.append(record)
        if record["step"] == stop_at:
            raise Interrupted

    if stop_at is None:
        train(training, folder, report)
    else:
        with pytest.raises(Interrupted):
            train(training, folder, report)
    return records


@pytest.mark.parametrize("schedule", ["linear", "cosine", "wsd"])
def test_the_rate_has_decayed_when_time_is_over(
    training: Callable[..., Training], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schedule: str
) -> None:
    """Twenty steps of unequal length fit; the last one lies where the schedule is near its end."""
    Clock(monkeypatch, 0.4, 0.6)
    made = training(seconds=10.0, steps=3, schedule=schedule, final_share=0.1, warmup_share=0.1)
    records = records_of(made, tmp_path)
    rates = [record["learning_rate"] for record in records]
    assert len(records) == 20 and records[-1]["total"] == 20 and records[-1]["eta_seconds"] == 0
    assert max(rates) == pytest.approx(1e-3, rel=0.05)
    assert 1e-4 <= rates[-1] < 3e-4
    assert all(9 <= record["total"] <= 26 for record in records[3:])


def test_a_break_costs_no_time_of_the_budget(
    training: Callable[..., Training], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch, 0.5)
    made = training(seconds=6.0, checkpoint_every=2)
    records_of(made, tmp_path, stop_at=7)
    clock.now += 1000
    after = records_of(made, tmp_path)
    assert [record["step"] for record in after] == list(range(7, 13))


def test_steps_that_are_left_are_those_that_fit() -> None:
    budget = tiny_settings(seconds=10)
    assert left(Position(), budget) == 1
    assert left(Position(4, 0, 2.0), budget) == 16
    assert left(Position(4, 0, 9.9), budget) == 0
    assert left(Position(1, 0, 60.0), budget) == 0, "a single step may take longer"
    assert left(Position(3), tiny_settings(steps=8)) == 5


def test_in_time_the_rate_is_that_of_the_schedule_at_the_same_share() -> None:
    budget = tiny_settings(seconds=100, learning_rate=1.0)
    many = tiny_settings(steps=10_000, learning_rate=1.0)
    for seconds in (0.0, 2.0, 5.0, 40.0, 99.0):
        wanted = learning_rate_at(int((seconds + 0.5) * 100), many)
        assert learning_rate_in_time(seconds, 1.0, budget) == pytest.approx(wanted, rel=1e-6)
    assert learning_rate_in_time(500, 1.0, budget) == pytest.approx(0.1), (
        "past its end it stays where it ended"
    )
