"""What is left follows the pace since the first step, not what came before it."""

import pytest

from core.machine import pace
from core.machine.pace import Pace


def test_what_comes_before_the_first_step_counts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]  # a hundred seconds of getting ready
    monkeypatch.setattr(pace.time, "monotonic", lambda: clock[0])
    kept = Pace()
    assert kept.seconds_left(3, 10) is None
    clock[0] = 104.0
    assert kept.seconds_left(3, 10) is None
    assert kept.seconds_left(5, 10) == 10.0
    clock[0] = 110.0
    assert kept.seconds_left(10, 10) == 0.0
