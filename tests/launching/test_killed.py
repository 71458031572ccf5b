"""The rows of docs/faults.md in which processes are killed or hang, each in each stage."""

import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import UserError
from core.experiments.archive import delete_experiment
from core.experiments.listing import run_records
from core.launching.launch import launch
from core.launching.stop_and_resume import resume_runs, retry_runs, stop_runs
from core.machine import processes
from core.runs.done import STAGES
from core.runs.state import read_state, state_of, write_state
from core.runs.supervisors import worker_of
from tests.patience import patience, wait_for
from tests.pipeline.driving import (
    all_done,
    at_work,
    check_whole,
    end_whole,
    kill,
    kill_worker,
    launched_and_held,
    pid_of,
    sleeper,
    spec_in,
    verb,
)
from tests.pipeline.trivial import hold, witnessed


@pytest.fixture
def root(trivial_project: Path) -> Path:
    return trivial_project


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_run_is_shown_as_failed_and_retried(root: Path, stage: str) -> None:
    (run,), spec, held = launched_and_held(root, stage)
    kill(pid_of(run))
    begin = time.monotonic()
    wait_for(lambda: state_of(run).state == "failed", 10)
    wait_for(lambda: "ended with SIGKILL" in (state_of(run).error or ""), 10)
    assert time.monotonic() - begin < 10 * patience()
    held.unlink()
    assert retry_runs(root, "trial") == [run]
    end_whole([run], spec)


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_worker_ends_no_run_and_is_replaced(root: Path, stage: str) -> None:
    (run,), spec, held = launched_and_held(root, stage)
    kill_worker(root)
    assert state_of(run).state == "running", "the run goes on"
    held.unlink()
    end_whole([run], spec)
    assert all(len(witnessed(run, "begin", one)) == 1 for one in STAGES)


def test_a_restarted_worker_adopts_what_lives_and_starts_again_what_died(root: Path) -> None:
    (first, second), spec, held = launched_and_held(root, "train", (0, 1))
    kill_worker(root)
    # The second one looks as if it had died with its process, under a number that another one has now.
    write_state(second, replace(read_state(first), start_time=1.0, stage="train"))  # type: ignore[type-var]
    pid = pid_of(first)
    worker = verb(root, "worker")
    wait_for(lambda: worker_of(root) is not None)
    held.unlink()
    end_whole([first, second], spec)
    assert [record["pid"] for record in witnessed(first, "begin", "train")] == [pid]
    worker.kill()
    worker.communicate()


@pytest.mark.parametrize("stage", STAGES)
def test_after_a_restart_of_the_machine_one_command_goes_on(root: Path, stage: str) -> None:
    (run,), spec, held = launched_and_held(root, stage)
    kill_worker(root)
    kill(pid_of(run))
    # After the restart another process has the run's number, and even its start since the boot.
    with sleeper() as other:
        start = processes.start_of(other.pid)
        said = replace(read_state(run), pid=other.pid, start_time=start, boot="the boot before")  # type: ignore
        write_state(run, said)
        assert worker_of(root) is None
        assert state_of(run).state == "failed"
        assert "runs resume trial" in str(state_of(run).error)
        held.unlink()
        assert resume_runs(root, "trial") == [run]
        wait_for(lambda: all_done([run]))
        assert other.poll() is None, "the other process is left alone"
        other.kill()
    check_whole([run], spec)


@pytest.mark.parametrize("remedy", [stop_runs, retry_runs, resume_runs])
def test_a_hung_process_is_reported_within_ten_seconds_and_ended_by_a_command(
    root: Path, remedy: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds its interpreter for ever, so that not even its heartbeat beats."""
    spec = spec_in(root, seeds=(0, 1))
    hold(root, "train", "hang")
    run, other = launch(root, spec, ["launch"])
    wait_for(lambda: at_work(run, "train"))
    process, begin = read_state(run).process, time.monotonic()  # type: ignore[union-attr]
    wait_for(lambda: "No sign of life for" in (state_of(run).error or ""), 10)
    assert time.monotonic() - begin < 10 * patience()
    assert state_of(run).state == "running", "it may still come back"
    (record, _) = run_records(root, "trial")
    assert record["silent_seconds"] > 5 and "runs stop trial" in record["error"]
    with pytest.raises(UserError, match="not at rest"):
        delete_experiment(root, "trial")
    monkeypatch.setattr(processes, "SECONDS_WITHOUT_BEAT", 5.0)  # a minute later
    assert state_of(run).state == "failed" and "gives no sign of life" in str(state_of(run).error)
    begin = time.monotonic()
    assert remedy(root, "trial", ["plain/0"]) == [run]  # type: ignore[operator]
    assert process is not None and not processes.exists(process)
    assert time.monotonic() - begin < 20 * patience()
    if remedy is stop_runs:
        assert state_of(run).state == "cancelled"
        resume_runs(root, "trial")
    end_whole([run, other], spec)


def test_a_paused_process_is_no_hung_one(root: Path) -> None:
    (run,), spec, held = launched_and_held(root, "train")
    process = read_state(run).process  # type: ignore[union-attr]
    assert process is not None
    subprocess.run(["kill", "-STOP", str(process.pid)], check=True)
    wait_for(lambda: processes.is_paused(process))
    run.heartbeat.write_text(f"{time.monotonic() - 61:.3f} {time.time() - 61:.3f}\n")
    assert (state_of(run).state, state_of(run).error) == ("running", None), "it can't beat"
    subprocess.run(["kill", "-CONT", str(process.pid)], check=True)
    held.unlink()
    end_whole([run], spec)
