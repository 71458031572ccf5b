"""Stops and deletions reach the process of the run, and no other; states are read as they are."""

import errno
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.errors import UserError
from core.experiments.archive import delete_experiment
from core.experiments.listing import run_records
from core.launching import stop_and_resume
from core.launching.stop_and_resume import stop_runs
from core.machine.heartbeat import Heartbeat
from core.machine.processes import is_alive, start_of
from core.pipeline.stages import run_stage
from core.runs import reporter
from core.runs.layout import Run
from core.runs.progress import progress_of
from core.runs.state import RunState, state_of, write_state
from core.runs.supervisors import worker_of
from tests.faults.full_disk import full_after


@pytest.fixture
def sleeper() -> Any:
    """A process that leads its own group and does nothing."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def state_with(pid: int, **changes: Any) -> RunState:
    return replace(RunState.running_here("train"), pid=pid, start_time=start_of(pid), **changes)


def test_a_stop_ends_the_stage_at_work(run: Run, sleeper: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop_and_resume, "SECONDS_TO_CHECKPOINT", 0.1)
    write_state(run, state_with(sleeper.pid, step=3))
    assert stop_runs(run.root, "trial") == [run]
    assert sleeper.poll() is not None
    assert (state_of(run).state, state_of(run).stage) == ("cancelled", "train")
    assert run_stage(run, "train") is False, "a process that comes late leaves it alone"
    assert not (run.folder / "adapter").exists() and state_of(run).state == "cancelled"


def test_a_full_disk_holds_no_stop_up(run: Run, sleeper: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(stop_and_resume, "SECONDS_TO_CHECKPOINT", 0.1)
    write_state(run, state_with(sleeper.pid, step=3))
    monkeypatch.setattr(Path, "touch", full)
    with full_after(0):
        assert stop_runs(run.root, "trial") == [run]
    assert sleeper.poll() is not None and state_of(run).state == "cancelled"


def test_a_process_of_another_machine_is_not_touched(
    run: Run, sleeper: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_state(run, state_with(sleeper.pid, host="elsewhere"))
    monkeypatch.setattr(stop_and_resume, "SECONDS_TO_CHECKPOINT", 0.1)
    monkeypatch.setattr(stop_and_resume, "SECONDS_ELSEWHERE", 0.2)
    with (
        Heartbeat(run.heartbeat),
        pytest.raises(UserError, match=r"machine elsewhere has not done so"),
    ):
        stop_runs(run.root, "trial")
    assert sleeper.poll() is None


def test_a_process_that_took_the_number_of_a_dead_one_is_not_touched(run: Run, sleeper: Any) -> None:
    state = state_with(sleeper.pid)
    old = replace(state, start_time=(state.start_time or 0) - 60)
    rebooted = replace(state, boot="another boot")
    assert state.process and old.process and rebooted.process
    assert is_alive(state.process) and not is_alive(old.process) and not is_alive(rebooted.process)
    for gone in (old, rebooted):
        write_state(run, gone)
        assert stop_runs(run.root, "trial") == []
        assert sleeper.poll() is None


def test_what_runs_is_not_deleted(run: Run, sleeper: Any) -> None:
    write_state(run, state_with(sleeper.pid))
    with pytest.raises(UserError, match=r"plain/0 is running. Stop it first: python -m core runs stop trial"):
        delete_experiment(run.root, "trial")
    assert run.folder.exists()


@pytest.mark.parametrize("verb", [stop_runs, delete_experiment])
def test_an_unknown_experiment_is_named(root: Path, verb: Callable[[Path, str], Any]) -> None:
    with pytest.raises(UserError, match=r"There is no experiment 'nope' in runs/. See: python"):
        verb(root, "nope")


def test_a_worker_file_that_was_cut_in_half_is_no_worker(run: Run) -> None:
    (run.root / "runs" / ".worker.json").write_text('{"pid')
    assert worker_of(run.root) is None
    assert delete_experiment(run.root, "trial")[0].is_dir()


def test_progress_counts_a_repeated_step_once(run: Run) -> None:
    report = reporter.Reporter(run, "train")
    for step, loss in ((1, 3.0), (2, 2.0), (2, 1.5), (3, 1.0)):
        report({"step": step, "total": 3, "loss": loss})
    with (run.folder / "progress.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    losses = {record["step"]: record["loss"] for record in progress_of(run, "train")}
    assert losses == {1: 3.0, 2: 1.5, 3: 1.0}
    (record,) = run_records(run.root, run.experiment)
    assert (record["state"], record["step"], record["loss"]) == ("running", 3, 1.0)
