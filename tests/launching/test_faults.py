"""The fault table of docs/faults.md, with stages that take moments and everything else real: disks, clocks,
files, many hands at once. Rows in which processes are killed are in `test_killed`."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from core.experiments.listing import list_runs, run_records
from core.launching.launch import launch, prepare
from core.launching.stop_and_resume import resume_runs, retry_runs, stop_runs
from core.runs.state import state_of
from core.runs.supervisors import worker_of
from tests.faults import refused_writes
from tests.patience import patience, wait_for
from tests.pipeline.driving import (
    all_done,
    at_work,
    end_whole,
    kill_worker,
    launched_and_held,
    pid_of,
    spec_in,
    verb,
)
from tests.pipeline.trivial import end_all, hold, trivial_root, witnessed


@pytest.fixture
def root(trivial_project: Path) -> Path:
    return trivial_project


def test_two_workers_at_once_are_one(root: Path) -> None:
    spec = spec_in(root, seeds=(0, 1))
    runs = prepare(root, spec, ["launch"])
    both = [verb(root, "worker"), verb(root, "worker")]
    end_whole(runs, spec)
    wait_for(lambda: any(worker.poll() is not None for worker in both))
    (lost,) = [worker for worker in both if worker.poll() is not None]
    assert lost.returncode == 2
    assert "A worker takes the runs of this project already" in lost.communicate()[1]
    (other,) = [worker for worker in both if worker is not lost]
    other.terminate()
    other.communicate()


def test_a_launch_from_many_sides_at_once_is_one(root: Path) -> None:
    """Two browsers (threads of one server) and two terminals launch the same spec at the same moment."""
    spec = spec_in(root, seeds=(0, 1))
    terminals = [verb(root, "launch", "trial") for _ in range(2)]
    with ThreadPoolExecutor(2) as browsers:
        found = list(browsers.map(lambda _: launch(root, spec, ["launch"]), range(2)))
    assert [terminal.wait() for terminal in terminals] == [0, 0]
    runs = list_runs(root, "trial")
    assert found == [runs, runs] and len(runs) == 2
    end_whole(runs, spec)
    for terminal in terminals:
        terminal.communicate()


@pytest.mark.parametrize("damage", ["deleted", "cut", "garbage"])
def test_a_queue_that_is_lost_is_made_anew(root: Path, damage: str) -> None:
    runs, spec, held = launched_and_held(root, "train", (0, 1, 2))
    for path in (root / "runs").glob(".worker*"):  # all that stands beside the run folders
        if damage == "deleted":
            path.unlink()
        elif damage == "cut":
            os.truncate(path, path.stat().st_size // 2)
        else:
            path.write_bytes(b"no record at all " * 500)
    held.unlink()
    end_whole(runs, spec)


def test_a_state_that_is_cut_in_half_mends_itself(root: Path) -> None:
    (first, second), spec, held = launched_and_held(root, "train", (0, 1))
    for run in (first, second):
        path = run.folder / "state.json"
        path.write_text(path.read_text()[:30])
    kill_worker(root)
    launch(root, spec, ["launch"])
    held.unlink()
    end_whole([first, second], spec)


def test_a_run_folder_that_is_deleted_while_it_works(root: Path) -> None:
    (first, second), spec, held = launched_and_held(root, "train", (0, 1))
    pid = pid_of(first)
    shutil.rmtree(first.folder)
    wait_for(lambda: not psutil.pid_exists(pid), 10)
    assert not (first.folder / "run.json").exists()
    assert [record["variant"] + str(record["train_seed"]) for record in run_records(root, "trial")] == [
        "plain1"
    ]
    held.unlink()
    launch(root, spec, ["launch"])
    end_whole([first, second], spec)


def test_a_clock_that_jumps_changes_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For readers as well as for the worker, an hour forward and back."""
    (run,), spec, held = launched_and_held(root, "train")
    honest = time.time
    for hours in (1, -1):
        monkeypatch.setattr(time, "time", lambda hours=hours: honest() + 3600 * hours)
        assert state_of(run).state == "running" and worker_of(root) is not None
        assert launch(root, spec, ["launch"]) == [run]
    monkeypatch.setattr(time, "time", honest)
    held.unlink()
    end_whole([run], spec)


def test_a_stop_leaves_a_checkpoint_and_frees_the_machine_soon(root: Path) -> None:
    (first, second), _, held = launched_and_held(root, "train", (0, 1))
    pid = pid_of(first)
    begin = time.monotonic()
    assert set(stop_runs(root, "trial")) == {first, second}
    assert time.monotonic() - begin < 5 * patience()
    wait_for(lambda: not psutil.pid_exists(pid), 5)
    assert [state_of(run).state for run in (first, second)] == ["cancelled", "cancelled"]
    assert int((first.checkpoint / "step").read_text()) == 3, "the step after the one at which it was held"
    held.unlink()
    resume_runs(root, "trial")
    wait_for(lambda: all_done([first, second]))
    steps = [json.loads(line)["step"] for line in (first.folder / "progress.jsonl").read_text().splitlines()
             if '"train"' in line]  # fmt: skip
    assert steps == [1, 2, 3, 4, 5], "no step was made twice"


def test_a_stop_of_one_run_lets_the_others_go_on(root: Path) -> None:
    runs, _, held = launched_and_held(root, "train", (0, 1, 2))
    assert stop_runs(root, "trial", ["plain/1"]) == [runs[1]]
    held.unlink()
    wait_for(lambda: all_done([runs[0], runs[2]]))
    assert state_of(runs[1]).state == "cancelled"
    assert witnessed(runs[1], "begin", "train") == []


def test_slots_are_gpus_and_each_process_sees_its_own(root: Path) -> None:
    """The worker ends while two train; the one that a job starts has both GPUs again."""
    spec, held = spec_in(root, seeds=(0, 1, 2, 3)), hold(root, "train")
    runs = prepare(root, spec, ["launch"])
    worker = verb(root, "worker", "--gpus", "0,1")
    wait_for(lambda: at_work(runs[0], "train") and at_work(runs[1], "train"))  # two at a time
    worker.terminate()
    worker.communicate()
    held.unlink()
    end_whole(runs, spec)
    assert {witnessed(run, "begin", "train")[0]["gpu"] for run in runs[:2]} == {"0", "1"}
    assert {witnessed(run, "begin", "train")[0]["gpu"] for run in runs} == {"0", "1"}
    assert "in their order: GPU 0, GPU 1." in (root / "runs" / ".worker.log").read_text()


@pytest.fixture
def small_disk(tmp_path: Path, trivial: None) -> Iterator[Path]:
    """A project on a small disk of its own, which a test may fill or make read-only."""
    place = tmp_path / "disk"
    with refused_writes.small_disk(place):
        yield trivial_root(place)
        end_all(place)


def test_a_disk_that_gets_full_fails_one_run_and_holds_the_others(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.launching.launch.BYTES_PER_RUN", 2**20)
    (first, second), spec, held = launched_and_held(small_disk, "train", (0, 1))
    filler = small_disk / "filler"
    refused_writes.fill(filler)
    held.unlink()
    wait_for(lambda: state_of(first).state == "failed", 20)
    assert "The disk is full" in str(state_of(first).error)
    time.sleep(1.5)  # three rounds of the worker
    assert state_of(second).state == "queued" and witnessed(second, "begin", "train") == []
    assert retry_runs(small_disk, "trial") == [first], "and nothing is lost where there is no room"
    waiting = {record["state"]: record["error"] for record in run_records(small_disk, "trial")}
    assert waiting == {
        "queued": "The disk is full: less than 64 MB are free. The run waits; free some space."
    }
    filler.unlink()
    end_whole([first, second], spec)


def test_runs_that_are_read_only_are_a_sentence(small_disk: Path) -> None:
    spec_in(small_disk)
    refused_writes.remount(small_disk, "ro")
    refused = verb(small_disk, "launch", "trial")
    _, said = refused.communicate()
    assert refused.returncode == 2 and "The disk is read-only. Choose a writable folder" in said
    assert "Traceback" not in said
    refused_writes.remount(small_disk, "rw")
    assert verb(small_disk, "launch", "trial").wait() == 0
    wait_for(lambda: all_done(list_runs(small_disk, "trial")) and list_runs(small_disk, "trial"))
