"""Stages, launches and stops: killed anywhere, nothing is lost, repeated or claimed."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from core.curation.stored import SourceInfo, store_source
from core.errors import UserError
from core.experiments import reporting, stages, stopping, worker
from core.experiments.estimates import size_of
from core.experiments.launch import launch, prepare
from core.experiments.processes import Heartbeat, is_alive, start_of
from core.experiments.runs import (
    STAGES,
    Run,
    RunState,
    Stage,
    list_runs,
    own_state,
    progress_of,
    run_records,
    say_state,
    state_of,
    worker_of,
)
from core.experiments.stages import launched_spec, run_stage, stages_left
from core.experiments.stopping import stop_runs
from core.experiments.trash import delete_experiment
from core.storage.files import read_json
from tests.experiments.conftest import spec_of
from tests.training.tiny import copy_task, tiny_root

ROOT = Path(__file__).resolve().parents[2]


def files_of(run: Run) -> dict[str, int]:
    """Result files of a run and when they were written (ns)."""
    names = ("adapter/adapter_model.safetensors", "eval-*/*.parquet")
    return {str(p.relative_to(run.folder)): p.stat().st_mtime_ns for n in names for p in run.folder.glob(n)}


def losses(run: Run) -> dict[int, float]:
    return {record["step"]: record["loss"] for record in progress_of(run, "train")}


def killed(run: Run, stage: Stage, reports: int) -> None:
    """Run a stage in a process group of its own, which is killed with that report."""
    verb = ["run", run.experiment, "--of", run.name]
    child = subprocess.run(
        [
            *(sys.executable, "-m", "tests.experiments.killed", stage, str(reports)),
            *(*verb, "--stage", stage, "--root", str(run.root)),
        ],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr[-2000:]


@pytest.mark.engine
def test_a_kill_in_any_stage_loses_and_repeats_nothing(
    run: Run, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other_root = tiny_root(tmp_path_factory.mktemp("undisturbed"))
    (undisturbed,) = prepare(other_root, spec_of(other_root), ["launch"])
    assert all(run_stage(undisturbed, stage) for stage in STAGES)

    killed(run, "train", 5)
    state = state_of(run)
    assert (state.state, state.stage) == ("failed", "train")
    assert state.error == "The process is gone. Go on with: python -m core runs resume trial"
    assert run_stage(run, "train") and (state_of(run).state, state_of(run).stage) == ("queued", "infer")
    assert losses(run) == losses(undisturbed) and list(losses(run)) == [1, 2, 3, 4, 5, 6]
    trained = files_of(run)

    killed(run, "infer", 4)
    assert len(list((run.eval_folder(0) / "parts").glob("*.parquet"))) == 4
    assert run_stage(run, "infer") and run_stage(run, "train")
    predicted = files_of(run)
    assert trained.items() <= predicted.items()
    for seed in (0, 1):
        one, other = (
            pq.read_table(r.eval_folder(seed) / "predictions.parquet").to_pylist() for r in (run, undisturbed)
        )
        assert one == other and len(one) == 15

    killed(run, "score", 1)
    assert stages_left(run, launched_spec(run)) == ["score"]
    half = files_of(run)
    assert run_stage(run, "score")
    assert half.items() <= files_of(run).items() and len(files_of(run)) == 5
    assert state_of(run).state == "done" and stages_left(run, launched_spec(run)) == []
    assert read_json(run.folder / "run.json")["engine"]["name"] == "transformers"


@pytest.mark.engine
def test_where_nothing_is_trained_the_base_model_answers(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As it would if it were the result of a full training."""
    spec = spec_of(root, variants={"plain": {"training": {"method": "none"}}})
    assert size_of(root, spec).training_tokens == 0
    (run,) = prepare(root, spec, ["launch"])
    assert stages_left(run, spec) == ["infer", "score"]
    assert run_stage(run, "infer") and run_stage(run, "score")
    assert state_of(run).state == "done" and not (run.folder / "model").exists()

    other_root = tiny_root(tmp_path_factory.mktemp("trained"))
    full = spec_of(other_root, variants={"plain": {"training": {"method": "full"}}})
    (other,) = prepare(other_root, full, ["launch"])
    shutil.copytree(other_root / "data" / "models" / "tiny", other.folder / "model")
    assert run_stage(other, "infer")
    for seed in (0, 1):
        one, two = (pq.read_table(r.eval_folder(seed) / "predictions.parquet") for r in (run, other))
        assert one.equals(two) and one.num_rows == 15


def core(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "core", *arguments, "--root", str(root)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=200,
    )


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.1)


@pytest.mark.engine
def test_a_launch_works_through_all_stages_whatever_is_killed(root: Path) -> None:
    """As a person does it: launch, lose worker and stage, launch twice at once, launch again."""
    spec = spec_of(root)
    assert core(root, "launch", "trial").returncode == 0
    (run,) = list_runs(root, "trial")
    wait_for(lambda: state_of(run).state == "running")
    worker, stage = (read_json(p)["pid"] for p in (root / "runs/.worker.json", run.folder / "state.json"))
    assert os.getsid(worker) == worker and os.getsid(stage) == stage, "both are detached"
    for pid in (worker, stage):
        os.killpg(pid, signal.SIGKILL)
    wait_for(lambda: state_of(run).state == "failed")
    assert worker_of(root) is None

    assert core(root, "launch", "trial").returncode == 0
    wait_for(lambda: state_of(run).state == "running")
    stopped = core(root, "runs", "stop", "trial")
    assert "Stopped 1 runs of 'trial'. Go on with: python -m core runs resume trial" in stopped.stdout
    assert state_of(run).state == "cancelled"
    stages_at_work = [
        p for p in psutil.process_iter(["cmdline"]) if {str(root), "--stage"} <= set(p.info["cmdline"] or [])
    ]
    assert not stages_at_work

    assert core(root, "runs", "resume", "trial").returncode == 0
    finished = core(root, "launch", "trial", "--wait")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert state_of(run).state == "done" and stages_left(run, spec) == []
    steps = [record["step"] for record in progress_of(run, "infer")]
    assert len(steps) == len({(r["eval_seed"], r["step"]) for r in progress_of(run, "infer")})
    assert sum("train" in line for line in (run.folder / "progress.jsonl").read_text().splitlines()) <= 12

    before = files_of(run)
    again = core(root, "launch", "trial", "--wait")
    assert again.returncode == 0 and files_of(run) == before and len(before) == 5

    spec_of(root, eval_seeds=[0, 1], recipe={**spec.recipe, "training": {"steps": 7}})
    changed = core(root, "launch", "trial")
    assert changed.returncode == 2
    assert "runs/trial/plain/train-0 was made with other settings." in changed.stderr
    assert "Traceback" not in changed.stderr and files_of(run) == before

    listed = core(root, "runs", "list", "trial", "--json")
    assert '"state": "done"' in listed.stdout
    deleted = core(root, "runs", "delete", "trial")
    assert deleted.returncode == 0 and "Moved to" in deleted.stdout
    assert list((root / "runs" / ".trash").glob("trial-*/plain/train-0/eval-0/scores.parquet"))
    assert core(root, "runs", "delete", "trial").returncode == 2


def test_a_state_that_was_cut_in_half_is_not_believed(run: Run) -> None:
    state = run.folder / "state.json"
    state.write_text(state.read_text()[:20])
    assert state_of(run).state == "queued"
    said = "state.json is missing or broken. Go on with: python -m core runs resume trial"
    assert state_of(run).error == said


def pretend_done(run: Run) -> None:
    """All files of all stages, empty."""
    for name in ("adapter/x", *(f"eval-{s}/{n}.parquet" for s in (0, 1) for n in ("predictions", "scores"))):
        path = run.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")


@pytest.mark.parametrize("state", ['{"sta', '{"state": "running", "pid": 1, "host": "x"}', '{"colour": 1}'])
def test_a_run_whose_files_are_there_is_done_whatever_its_state_says(
    run: Run, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    monkeypatch.setattr(worker, "start_detached", lambda *_: pytest.fail("there is nothing to do"))
    pretend_done(run)
    (run.folder / "state.json").write_text(state)
    launch(run.root, launched_spec(run), ["launch"])
    assert state_of(run).state == "done"


def failed_stage(run: Run, stage: Stage) -> str:
    """The sentence that a failed stage leaves in the list of runs."""
    assert run_stage(run, stage) is False
    (record,) = run_records(run.root, run.experiment)
    assert record["state"] == "failed" and record["stage"] == stage
    return str(record["error"])


def test_damaged_predictions_fail_the_run_with_a_sentence(run: Run) -> None:
    pretend_done(run)
    (run.eval_folder(1) / "scores.parquet").unlink()
    sentence = failed_stage(run, "score")
    assert "A data file can't be read" in sentence and "eval-1/predictions.parquet" in sentence
    assert "Delete the file that is named and run the stage again." in sentence
    assert (run.eval_folder(0) / "scores.parquet").exists()


def test_a_source_that_is_gone_fails_the_run_with_a_sentence(run: Run) -> None:
    (run.root / "data/sources/toy.json").unlink()
    assert failed_stage(run, "train").startswith("There is no source 'toy'. No source is imported yet.")


@pytest.mark.parametrize("stage", ["train", "infer", "score"])
def test_a_source_that_changed_since_the_launch_is_named(run: Run, stage: Stage) -> None:
    store_source(run.root, SourceInfo("toy", "made up", "2", "none", "1"), [copy_task(n) for n in range(3)])
    assert failed_stage(run, stage) == (
        "Source 'toy' has changed since the launch, so the run would not be what its record says."
        " Undo the change, or launch the spec under another name."
    )


@pytest.mark.parametrize(
    "problem",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_one_sentence(run: Run, monkeypatch: pytest.MonkeyPatch, problem: Exception) -> None:
    def fill(*_: Any) -> None:
        raise problem

    monkeypatch.setitem(stages._WORK, "train", fill)
    assert failed_stage(run, "train") == (
        "The disk is full. Free some space and launch again; finished stages are kept."
    )


def test_a_defect_says_where_its_details_are(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(stages._WORK, "train", lambda *_: 1 // 0)
    assert failed_stage(run, "train").endswith(
        "ZeroDivisionError: integer division or modulo by zero. The log holds the details."
    )


def test_too_little_room_is_refused_before_anything_is_written(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    little = shutil.disk_usage(root)._replace(free=2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: little)
    with pytest.raises(UserError, match=r"1 runs need about 0.2 GB, but the disk has 0.0 GB left. Free some"):
        prepare(root, spec_of(root), ["launch"])
    assert not (root / "runs" / "trial").exists()


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        ({"base_model": "gone", "mixture": {"sources": [{"source": "toy"}]}}, "no base model 'gone'"),
        ({"base_model": "tiny", "mixture": {"sources": [{"source": "toi"}]}}, "no source 'toi'"),
    ],
)
def test_what_is_missing_is_said_at_the_launch(root: Path, recipe: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        launch(root, spec_of(root, recipe=recipe), ["launch"])
    assert not (root / "runs" / "trial").exists()


def test_a_root_that_is_none_is_named(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(UserError, match=r"holds no folder data. Name the project folder with --root"):
        launch(tmp_path_factory.mktemp("empty"), spec_of(root), ["launch"])


def test_more_seeds_may_be_added_and_other_settings_not(run: Run) -> None:
    runs = prepare(run.root, spec_of(run.root, train_seeds=[0, 1]), ["launch"])
    assert [one.train_seed for one in runs] == [0, 1]
    before = (run.folder / "run.json").read_text()
    with pytest.raises(UserError, match=r"plain/train-0 was made with other settings. Give the spec"):
        prepare(run.root, spec_of(run.root, variants={"plain": {"training": {"steps": 7}}}), ["launch"])
    assert (run.folder / "run.json").read_text() == before


@pytest.fixture
def sleeper() -> Any:
    """A process that leads its own group and does nothing."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def state_with(pid: int, **changes: Any) -> RunState:
    return replace(own_state("train"), pid=pid, start_time=start_of(pid), **changes)


def test_a_stop_ends_the_stage_at_work(run: Run, sleeper: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "SECONDS_TO_CHECKPOINT", 0.1)
    say_state(run, state_with(sleeper.pid, step=3))
    assert stop_runs(run.root, "trial") == [run]
    assert sleeper.poll() is not None
    assert (state_of(run).state, state_of(run).stage) == ("cancelled", "train")
    assert run_stage(run, "train") is False, "a process that comes late leaves it alone"
    assert not (run.folder / "adapter").exists() and state_of(run).state == "cancelled"


def test_a_process_of_another_machine_is_not_touched(
    run: Run, sleeper: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    say_state(run, state_with(sleeper.pid, host="elsewhere"))
    monkeypatch.setattr(stopping, "SECONDS_TO_CHECKPOINT", 0.1)
    monkeypatch.setattr(stopping, "SECONDS_ELSEWHERE", 0.2)
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
        say_state(run, gone)
        assert stop_runs(run.root, "trial") == []
        assert sleeper.poll() is None


def test_what_runs_is_not_deleted(run: Run, sleeper: Any) -> None:
    say_state(run, state_with(sleeper.pid))
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
    report = reporting.Reporter(run, "train")
    for step, loss in ((1, 3.0), (2, 2.0), (2, 1.5), (3, 1.0)):
        report({"step": step, "total": 3, "loss": loss})
    with (run.folder / "progress.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    assert losses(run) == {1: 3.0, 2: 1.5, 3: 1.0}
    (record,) = run_records(run.root)
    assert (record["state"], record["step"], record["loss"]) == ("running", 3, 1.0)
