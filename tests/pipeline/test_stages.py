"""Stages, launches and stops: killed anywhere, nothing is lost, repeated or claimed."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from core.experiments.launched_experiment import LaunchedExperiment
from core.experiments.listing import list_runs
from core.launching.launch import prepare
from core.pipeline.stages import run_stage
from core.preflight.size import size_of
from core.runs.done import STAGES, Stage, stages_left
from core.runs.layout import Run
from core.runs.progress import progress_of
from core.runs.state import state_of
from core.runs.supervisors import worker_of
from core.storage.files import read_json
from tests.patience import wait_for
from tests.specs.tiny import spec_of
from tests.training.tiny import tiny_root

ROOT = Path(__file__).resolve().parents[2]


def files_of(run: Run) -> dict[str, int]:
    """Result files of a run and when they were written (ns)."""
    names = ("adapter/adapter_model.safetensors", "eval-*/*.parquet")
    return {str(p.relative_to(run.folder)): p.stat().st_mtime_ns for n in names for p in run.folder.glob(n)}


def losses(run: Run) -> dict[int, float]:
    return {record["step"]: record["loss"] for record in progress_of(run, "train")}


def killed(runs: Sequence[Run], stage: Stage, reports: int) -> None:
    """Run a stage of these runs in a process group of its own, which is killed with that report. It has
    imported no library of which it needs nothing, for they take as long as all the rest."""
    first = runs[0]
    verb = ["run", first.experiment, *(part for run in runs for part in ("--of", run.name))]
    child = subprocess.run(
        [
            *(sys.executable, "-m", "tests.pipeline.killed", stage, str(reports)),
            *(*verb, "--stage", stage, "--root", str(first.root)),
        ],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr[-2000:]
    loaded = set(child.stdout.split())
    assert "core" in loaded and "sklearn" not in loaded


@pytest.mark.engine
def test_a_kill_in_any_stage_loses_and_repeats_nothing(
    run: Run, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other_root = tiny_root(tmp_path_factory.mktemp("undisturbed"))
    (undisturbed,) = prepare(other_root, spec_of(other_root), ["launch"])
    assert all(run_stage(undisturbed, stage) for stage in STAGES)

    killed([run], "train", 5)
    state = state_of(run)
    assert (state.state, state.stage) == ("failed", "train")
    assert state.error == "The process is gone. Go on with: python -m core runs resume trial"
    assert run_stage(run, "train") and (state_of(run).state, state_of(run).stage) == ("queued", "infer")
    assert losses(run) == losses(undisturbed) and list(losses(run)) == [1, 2, 3, 4, 5, 6]
    trained = files_of(run)

    killed([run], "infer", 4)
    assert len(list((run.eval_folder(0) / "parts").glob("*.parquet"))) == 4
    assert run_stage(run, "infer") and run_stage(run, "train")
    predicted = files_of(run)
    assert trained.items() <= predicted.items()
    for seed in (0, 1):
        one, other = (
            pq.read_table(r.eval_folder(seed) / "predictions.parquet").to_pylist() for r in (run, undisturbed)
        )
        assert one == other and len(one) == 15

    killed([run], "score", 1)
    assert LaunchedExperiment.of(run).stages_left(run) == ["score"]
    half = files_of(run)
    assert run_stage(run, "score")
    assert half.items() <= files_of(run).items() and len(files_of(run)) == 5
    assert state_of(run).state == "done" and LaunchedExperiment.of(run).stages_left(run) == []
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
    wait_for(lambda: worker_of(root) is None)

    assert core(root, "launch", "trial").returncode == 0
    wait_for(lambda: state_of(run).state == "running")
    stopped = core(root, "runs", "stop", "trial")
    assert "Stopped 1 run of 'trial'. Go on with: python -m core runs resume trial" in stopped.stdout
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
