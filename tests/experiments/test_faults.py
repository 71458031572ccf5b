"""The fault table of FAULTS.md, row by row, with stages that take moments and everything else real."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from core.experiments import processes, stages
from core.experiments.launch import launch, prepare
from core.experiments.queue import queue_path
from core.experiments.runs import (
    Run,
    list_runs,
    run_records,
    said_of,
    say_state,
    state_of,
    worker_of,
)
from core.experiments.spec import ExperimentSpec, read_spec
from core.experiments.stages import stages_left
from core.experiments.stopping import resume_runs, retry_runs, stop_runs
from tests.experiments.trivial import MODULE, SECONDS, make_trivial, trivial_root, witnessed
from tests.training.tiny import tiny_spec

ROOT = Path(__file__).resolve().parents[2]
STAGES = ("train", "infer", "score")
PATIENCE = 120.0
SLOW, QUICK = "0.2", "0.01"


@pytest.fixture(autouse=True)
def trivial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "MODULE", MODULE)
    monkeypatch.setattr(stages, "_WORK", dict(stages._WORK))
    monkeypatch.setattr(stages, "_infer_together", stages._infer_together)
    monkeypatch.setenv(SECONDS, QUICK)
    make_trivial()


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A project whose processes are ended after the test."""
    yield trivial_root(tmp_path)
    for process in of_project(tmp_path):
        process.kill()
    psutil.wait_procs(of_project(tmp_path), timeout=10)


def of_project(root: Path) -> list[psutil.Process]:
    """The processes that work on a project."""
    found = psutil.process_iter(["cmdline"])
    return [process for process in found if {MODULE, str(root)} <= set(process.info["cmdline"] or [])]


def spec_in(
    root: Path, *, steps: int = 15, seeds: tuple[int, ...] = (0,), name: str = "trial"
) -> ExperimentSpec:
    plain = tiny_spec(name=name, train_seeds=list(seeds))
    plain["recipe"]["training"]["steps"] = steps
    path = root / "data" / "experiments" / "trial.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(plain))
    return read_spec(path)


def verb(root: Path, *arguments: str, seconds: str = QUICK) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", MODULE, *arguments, "--root", str(root)],
        cwd=ROOT,
        env={**os.environ, SECONDS: seconds},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )


def sleeper() -> "subprocess.Popen[bytes]":
    """A process that leads its own group and does nothing."""
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)


def wait_for(condition: Callable[[], Any], seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)


def at_work(run: Run, stage: str) -> bool:
    said = said_of(run)
    return said is not None and (said.state, said.stage) == ("running", stage) and (said.step or 0) >= 2


def all_done(runs: list[Run]) -> bool:
    return all(state_of(run).state == "done" for run in runs)


def check_whole(runs: list[Run], spec: ExperimentSpec) -> None:
    """Everything is finished, nothing was done by two processes at once, and no stage was finished twice."""
    for run in runs:
        assert stages_left(run, spec) == []
        assert [witnessed(run, "TWICE", stage) for stage in STAGES] == [[], [], []]
        assert [len(witnessed(run, "end", stage)) for stage in STAGES] == [1, 1, 1]


def kill(pid: int) -> None:
    os.killpg(pid, signal.SIGKILL)


def started(root: Path, spec: ExperimentSpec, monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Launch with slow steps."""
    monkeypatch.setenv(SECONDS, SLOW)
    return launch(root, spec, ["launch"])


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_run_is_said_and_retried(root: Path, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_in(root)
    (run,) = started(root, spec, monkeypatch)
    wait_for(lambda: at_work(run, stage))
    kill(said_of(run).pid)  # type: ignore[union-attr, arg-type]
    begin = time.monotonic()
    wait_for(lambda: state_of(run).state == "failed", 10)
    wait_for(lambda: "ended with SIGKILL" in (state_of(run).error or ""), 10)
    assert time.monotonic() - begin < 10
    monkeypatch.setenv(SECONDS, QUICK)
    assert retry_runs(root, "trial") == [run]
    wait_for(lambda: all_done([run]))
    check_whole([run], spec)


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_worker_ends_no_run_and_is_replaced(
    root: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_in(root, steps=15)
    (run,) = started(root, spec, monkeypatch)
    wait_for(lambda: at_work(run, stage))
    kill(worker_of(root).pid)  # type: ignore[union-attr]
    assert state_of(run).state == "running", "the run goes on"
    wait_for(lambda: all_done([run]))
    check_whole([run], spec)
    assert all(len(witnessed(run, "begin", one)) == 1 for one in STAGES)


def test_a_restarted_worker_adopts_what_lives_and_starts_again_what_died(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_in(root, steps=25, seeds=(0, 1))
    first, second = started(root, spec, monkeypatch)
    wait_for(lambda: at_work(first, "train"))
    kill(worker_of(root).pid)  # type: ignore[union-attr]
    # The second one looks as if it had died with its process, under a number that another one has now.
    say_state(second, replace(said_of(first), start_time=1.0, stage="train"))  # type: ignore[type-var]
    pid = said_of(first).pid  # type: ignore[union-attr]
    worker = verb(root, "worker", seconds=QUICK)
    wait_for(lambda: all_done([first, second]))
    check_whole([first, second], spec)
    assert [record["pid"] for record in witnessed(first, "begin", "train")] == [pid]
    worker.kill()
    worker.wait()


@pytest.mark.parametrize("stage", STAGES)
def test_after_a_restart_of_the_machine_one_command_goes_on(
    root: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_in(root)
    (run,) = started(root, spec, monkeypatch)
    wait_for(lambda: at_work(run, stage))
    pid = said_of(run).pid  # type: ignore[union-attr]
    kill(worker_of(root).pid)  # type: ignore[union-attr]
    kill(pid)  # type: ignore[arg-type]
    # After the restart another process has the run's number, and even its start since the boot.
    with subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True
    ) as other:
        start = processes.start_of(other.pid)
        said = replace(said_of(run), pid=other.pid, start_time=start, boot="the boot before")  # type: ignore
        say_state(run, said)
        assert worker_of(root) is None
        assert state_of(run).state == "failed"
        assert "runs resume trial" in str(state_of(run).error)
        monkeypatch.setenv(SECONDS, QUICK)
        assert resume_runs(root, "trial") == [run]
        wait_for(lambda: all_done([run]))
        assert other.poll() is None, "the other process is left alone"
        other.kill()
    check_whole([run], spec)


def test_two_workers_at_once_are_one(root: Path) -> None:
    spec = spec_in(root, steps=5, seeds=(0, 1))
    runs = prepare(root, spec, ["launch"])
    both = [verb(root, "worker"), verb(root, "worker")]
    wait_for(lambda: all_done(runs))
    check_whole(runs, spec)
    wait_for(lambda: any(worker.poll() is not None for worker in both))
    (lost,) = [worker for worker in both if worker.poll() is not None]
    assert lost.returncode == 2
    assert "A worker takes the runs of this project already" in lost.communicate()[1]
    (other,) = [worker for worker in both if worker is not lost]
    other.terminate()
    other.communicate()


def test_a_launch_from_many_sides_at_once_is_one(root: Path) -> None:
    """Two browsers (threads of one server) and two terminals launch the same spec at the same moment."""
    spec = spec_in(root, steps=5, seeds=(0, 1))
    terminals = [verb(root, "launch", "trial") for _ in range(2)]
    with ThreadPoolExecutor(2) as browsers:
        found = list(browsers.map(lambda _: launch(root, spec, ["launch"]), range(2)))
    assert [terminal.wait() for terminal in terminals] == [0, 0]
    runs = list_runs(root, "trial")
    assert found == [runs, runs] and len(runs) == 2
    wait_for(lambda: all_done(runs))
    check_whole(runs, spec)
    for terminal in terminals:
        terminal.communicate()


@pytest.mark.parametrize("damage", ["deleted", "cut", "garbage"])
def test_a_queue_that_is_lost_is_made_anew(root: Path, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_in(root, steps=8, seeds=(0, 1, 2))
    runs = started(root, spec, monkeypatch)
    wait_for(lambda: at_work(runs[0], "train"))
    path = queue_path(root)
    if damage == "deleted":
        path.unlink()
    elif damage == "cut":
        os.truncate(path, path.stat().st_size // 2 + 100)
    else:
        path.write_bytes(b"no database at all " * 500)
    wait_for(lambda: all_done(runs))
    check_whole(runs, spec)


def test_a_state_that_is_cut_in_half_mends_itself(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_in(root, seeds=(0, 1))
    first, second = started(root, spec, monkeypatch)
    wait_for(lambda: at_work(first, "train"))
    for run in (first, second):
        path = run.folder / "state.json"
        path.write_text(path.read_text()[:30])
    kill(worker_of(root).pid)  # type: ignore[union-attr]
    launch(root, spec, ["launch"])
    wait_for(lambda: all_done([first, second]))
    check_whole([first, second], spec)


def test_a_run_folder_that_is_deleted_while_it_works(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_in(root, seeds=(0, 1))
    first, second = started(root, spec, monkeypatch)
    wait_for(lambda: at_work(first, "train"))
    pid = said_of(first).pid
    shutil.rmtree(first.folder)
    wait_for(lambda: not psutil.pid_exists(pid), 10)  # type: ignore[arg-type]
    assert not (first.folder / "run.json").exists()
    assert [record["variant"] + str(record["train_seed"]) for record in run_records(root, "trial")] == [
        "plain1"
    ]
    monkeypatch.setenv(SECONDS, QUICK)
    launch(root, spec, ["launch"])
    wait_for(lambda: all_done([first, second]))
    check_whole([first, second], spec)


def test_a_clock_that_jumps_changes_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For readers as well as for the worker, an hour forward and back."""
    spec = spec_in(root, steps=20)
    (run,) = started(root, spec, monkeypatch)
    wait_for(lambda: at_work(run, "train"))
    honest = time.time
    for hours in (1, -1):
        monkeypatch.setattr(time, "time", lambda hours=hours: honest() + 3600 * hours)
        assert state_of(run).state == "running" and worker_of(root) is not None
        assert launch(root, spec, ["launch"]) == [run]
    monkeypatch.setattr(time, "time", honest)
    wait_for(lambda: all_done([run]))
    check_whole([run], spec)


def test_a_process_without_a_sign_of_life_is_said_and_replaced(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_in(root)
    (run,) = prepare(root, spec, ["launch"])
    with subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True
    ) as hung:
        identity = replace(processes.Identity.own(), pid=hung.pid, start_time=processes.start_of(hung.pid))
        say_state(run, replace(said_of(run), state="running", **asdict(identity)))  # type: ignore[type-var]
        run.heartbeat.write_text(f"{time.monotonic() - 61:.3f} {time.time() - 61:.3f}\n")
        assert state_of(run).state == "failed"
        assert "gives no sign of life" in str(state_of(run).error)
        os.kill(hung.pid, signal.SIGSTOP)
        wait_for(lambda: processes.is_paused(identity))
        assert state_of(run).state == "running", "a paused process can't beat"
        os.kill(hung.pid, signal.SIGCONT)
        wait_for(lambda: state_of(run).state == "failed")
        assert retry_runs(root, "trial") == [run]
        hung.wait(10)
    wait_for(lambda: all_done([run]))
    check_whole([run], spec)


def test_a_stop_leaves_a_checkpoint_and_frees_the_machine_soon(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_in(root, steps=20, seeds=(0, 1))
    first, second = started(root, spec, monkeypatch)
    wait_for(lambda: at_work(first, "train"))
    pid = said_of(first).pid
    begin = time.monotonic()
    assert set(stop_runs(root, "trial")) == {first, second}
    assert time.monotonic() - begin < 5
    wait_for(lambda: not psutil.pid_exists(pid), 5)  # type: ignore[arg-type]
    assert [state_of(run).state for run in (first, second)] == ["cancelled", "cancelled"]
    reached = int((first.folder / "checkpoint").read_text())
    assert 2 <= reached < 20
    monkeypatch.setenv(SECONDS, QUICK)
    resume_runs(root, "trial")
    wait_for(lambda: all_done([first, second]))
    steps = [json.loads(line)["step"] for line in (first.folder / "progress.jsonl").read_text().splitlines()
             if '"train"' in line]  # fmt: skip
    assert steps == list(range(1, 21)), "no step was made twice"


def test_a_stop_of_one_run_lets_the_others_go_on(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_in(root, steps=10, seeds=(0, 1, 2))
    runs = started(root, spec, monkeypatch)
    wait_for(lambda: at_work(runs[0], "train"))
    assert stop_runs(root, "trial", ["plain/1"]) == [runs[1]]
    wait_for(lambda: all_done([runs[0], runs[2]]))
    assert state_of(runs[1]).state == "cancelled"
    assert witnessed(runs[1], "begin", "train") == []


def test_slots_are_gpus_and_each_process_sees_its_own(root: Path) -> None:
    spec = spec_in(root, steps=5, seeds=(0, 1, 2, 3))
    runs = prepare(root, spec, ["launch"])
    worker = verb(root, "worker", "--gpus", "0,1", seconds="0.1")
    wait_for(lambda: all_done(runs))
    check_whole(runs, spec)
    assert {witnessed(run, "begin", "train")[0]["gpu"] for run in runs} == {"0", "1"}
    begins = sorted(witnessed(run, "begin", "train")[0]["time"] for run in runs)
    assert begins[1] < min(witnessed(run, "end", "train")[0]["time"] for run in runs), "two at a time"
    worker.terminate()
    worker.communicate()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A project on a disk of 300 MB of its own, which a test may fill or make read-only."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "none", str(place)], check=False)
    if mounted.returncode != 0:
        pytest.skip("only root may mount a small disk")
    yield trivial_root(place)
    for process in of_project(place):
        process.kill()
    psutil.wait_procs(of_project(place), timeout=10)
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_disk_that_gets_full_fails_one_run_and_holds_the_others(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.experiments.launch.BYTES_PER_RUN", 2**20)
    spec = spec_in(small_disk, seeds=(0, 1))
    first, second = started(small_disk, spec, monkeypatch)
    wait_for(lambda: at_work(first, "train"))
    filler = small_disk / "filler"
    with filler.open("wb") as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(b"x" * 2**16)
            file.flush()
    wait_for(lambda: state_of(first).state == "failed", 20)
    assert "The disk is full" in str(state_of(first).error)
    time.sleep(4)
    assert state_of(second).state == "queued" and witnessed(second, "begin", "train") == []
    filler.unlink()
    monkeypatch.setenv(SECONDS, QUICK)
    assert retry_runs(small_disk, "trial") == [first]
    wait_for(lambda: all_done([first, second]))
    check_whole([first, second], spec)


def test_runs_that_are_read_only_are_a_sentence(small_disk: Path) -> None:
    spec_in(small_disk)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    refused = verb(small_disk, "launch", "trial")
    _, said = refused.communicate()
    assert refused.returncode == 2 and "The disk is read-only. Choose a writable folder" in said
    assert "Traceback" not in said
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert verb(small_disk, "launch", "trial").wait() == 0
    wait_for(lambda: all_done(list_runs(small_disk, "trial")) and list_runs(small_disk, "trial"))
