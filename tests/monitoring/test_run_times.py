"""Times of runs: what is left is start-up and work of all stages, and a second try counts as one."""

import pytest

from core.monitoring.run_times import (
    Clock,
    experiment_seconds_left,
    seconds_left,
    share_of_all,
    typical_seconds,
)


def clock(*reports: tuple[str, float, int]) -> Clock:
    found = Clock()
    for stage, time, step in reports:
        found.note({"stage": stage, "time": time, "step": step})
    return found


WHOLE = clock(
    ("train", 100.0, 1), ("train", 160.0, 9), ("infer", 180.0, 1), ("infer", 200.0, 5), ("score", 205.0, 1)
)


def record(state: str = "running", stage: str = "train", eta: float | None = None) -> dict[str, object]:
    return {"state": state, "stage": stage, "eta_seconds": eta}


def test_a_stage_lasts_from_the_end_of_the_one_before() -> None:
    assert [WHOLE.stage_seconds(stage) for stage in ("train", "infer", "score")] == [60.0, 40.0, 5.0]
    assert (WHOLE.started, WHOLE.seconds, WHOLE.tries) == (100.0, 105.0, 1)
    assert Clock().started is None and Clock().seconds is None and Clock().tries == 0


def test_steps_that_come_again_are_another_try() -> None:
    assert clock(("train", 1, 1), ("train", 2, 2), ("train", 9, 2), ("train", 10, 3)).tries == 2


def test_what_is_left_counts_the_stages_behind() -> None:
    typical = typical_seconds([WHOLE, WHOLE])
    assert typical == {"train": 60.0, "infer": 40.0, "score": 5.0}
    assert seconds_left(record(eta=30.0), 0.5, typical) == 75.0
    assert seconds_left(record("queued"), 0.0, typical) == 105.0
    assert seconds_left(record(stage="infer"), 0.25, typical) == 35.0
    assert seconds_left(record("done"), 1.0, typical) is None
    assert seconds_left(record(eta=30.0), 0.5, {}) is None, "stages behind are unknown"


def test_the_share_counts_all_stages_by_their_time() -> None:
    typical = typical_seconds([WHOLE])
    assert share_of_all(record(stage="infer"), 0.5, typical) == pytest.approx(80 / 105)
    assert share_of_all(record(stage="infer"), 0.5, {}) == pytest.approx(0.5)
    assert share_of_all(record("done"), 1.0, {}) == 1.0


def test_an_experiment_lasts_as_its_runs_share_the_machine() -> None:
    runs = [record(), record(), record("queued"), record("done")]
    assert experiment_seconds_left(runs, [10.0, 20.0, 50.0, None]) == 50.0
    assert experiment_seconds_left(runs, [50.0, 50.0, 50.0, None]) == 75.0
    assert experiment_seconds_left(runs, [10.0, None, 30.0, None]) is None
    assert experiment_seconds_left([record("done")], [None]) is None
