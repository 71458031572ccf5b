"""Laws of `state.json`: what each transition makes of each state, and what holds of all of them."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import pytest

from core.machine.processes import Identity
from core.runs.layout import Run
from core.runs.state import (
    RunState,
    StateName,
    advance,
    begin,
    fail,
    finish,
    queue_for,
    read_state,
    stop,
    write_state,
)
from core.storage.files import write_text

TRANSITIONS: dict[str, Callable[[Run], None]] = {
    "begin": lambda run: begin(run, "infer"),
    "advance": lambda run: advance(run, "infer", 3, 6, 1.5),
    "queue_for": lambda run: queue_for(run, "infer"),
    "fail": lambda run: fail(run, "Why.", "train"),
    "fail without a stage": lambda run: fail(run, "Why."),
    "stop": stop,
    "finish": finish,
}
BECOMES = {
    "begin": "running",
    "advance": "running",
    "queue_for": "queued",
    "fail": "failed",
    "fail without a stage": "failed",
    "stop": "cancelled",
    "finish": "done",
}
BEFORE: dict[str, RunState | None] = {
    "queued": RunState("queued", "train", 2, 6),
    "running": RunState.running_here("train", step=2, total=6, eta_seconds=4.0),
    "done": RunState("done"),
    "failed": RunState("failed", "train", 2, 6, error="Before."),
    "cancelled": RunState("cancelled", "train", 2, 6),
    "unreadable": None,
}


@pytest.fixture
def one(tmp_path: Path) -> Run:
    run = Run(tmp_path, "trial", "plain", 0)
    run.folder.mkdir(parents=True)
    return run


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("transition", TRANSITIONS)
def test_every_transition_from_every_state(one: Run, transition: str, before: str) -> None:
    state = BEFORE[before]
    if state is None:
        write_text(one.state_file, '{"state": "run')
    else:
        write_state(one, state)
    TRANSITIONS[transition](one)
    after = read_state(one)
    assert after is not None and after.updated is not None
    stays = before == "done" and transition in ("fail", "fail without a stage", "stop")
    assert after.state == ("done" if stays else BECOMES[transition]), "what is done stays done"
    assert (after.process is not None) == (after.state == "running"), "a process stands beside running alone"
    assert after.process in (None, Identity.own())
    assert (after.error is not None) == (after.state == "failed")
    assert after.eta_seconds is None or after.state == "running"
    if after.state == "done":
        assert (after.stage, after.step, after.total) == (None, None, None)
    elif transition in ("stop", "fail", "fail without a stage") and state is not None:
        assert (after.stage, after.step, after.total) == ("train", 2, 6), "what was reached is kept"


def test_the_table_covers_every_state() -> None:
    assert set(BEFORE) == {*get_args(StateName), "unreadable"}
    assert set(BECOMES) == set(TRANSITIONS) and set(BECOMES.values()) == set(get_args(StateName))


def test_a_failure_in_another_stage_keeps_no_step_of_the_last_one(one: Run) -> None:
    write_state(one, RunState("running", "train", 2, 6))
    fail(one, "Why.", "infer")
    after = read_state(one)
    assert after is not None and (after.stage, after.step, after.total) == ("infer", None, None)


@pytest.mark.parametrize(
    "text",
    ["null", "[]", '{"state": "walking"}', '{"state": "done", "colour": 1}', '{"step": "three"}', "{", "\0"],
)
def test_a_state_of_another_shape_is_unreadable(one: Run, text: str) -> None:
    write_text(one.state_file, text)
    assert read_state(one) is None


def test_what_is_written_is_read(one: Run) -> None:
    for state in filter(None, BEFORE.values()):
        write_state(one, state)
        after = read_state(one)
        assert after is not None
        assert {**asdict(after), "updated": None} == asdict(state)
