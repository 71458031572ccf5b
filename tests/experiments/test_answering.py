"""Inference of several runs in one process: told apart in state, log and files, whatever is killed."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from core.experiments.answering import engine_groups
from core.experiments.launch import drive, prepare
from core.experiments.runs import Run, log_tail, state_of
from core.experiments.stages import infer_together, launched_spec, run_stage, waiting_for_answers, waiting_on
from core.storage.files import read_json
from tests.experiments.conftest import spec_of
from tests.training.tiny import tiny_root

ROOT = Path(__file__).resolve().parents[2]
VARIANTS = {
    "plain": None,
    "wide": {"training": {"lora": {"rank": 8}}},
    "full": {"training": {"method": "full"}},
}


@pytest.fixture(scope="module")
def trained_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three trained runs: two with adapters on one base, one with weights of its own."""
    root = tiny_root(tmp_path_factory.mktemp("trained"))
    runs = prepare(root, spec_of(root, variants=VARIANTS), ["launch"])
    assert len(runs) == 3 and all(run_stage(run, "train") for run in runs)
    return root


@pytest.fixture
def runs(trained_root: Path, tmp_path: Path) -> list[Run]:
    shutil.copytree(trained_root, tmp_path, dirs_exist_ok=True)
    return waiting_for_answers(tmp_path, "trial")


def named(runs: list[Run]) -> list[str]:
    return [run.variant for run in runs]


@pytest.mark.engine
def test_adapters_share_an_engine_and_full_models_do_not(runs: list[Run]) -> None:
    groups = engine_groups(runs, launched_spec(runs[0]))
    assert [named(group) for group in groups] == [["full"], ["plain", "wide"]]
    assert named(waiting_on(runs[0].root, "trial", "tiny")) == ["plain", "wide"]
    assert waiting_on(runs[0].root, "trial", "other") == []


@pytest.mark.engine
def test_together_is_what_each_is_alone(runs: list[Run], tmp_path_factory: pytest.TempPathFactory) -> None:
    alone_root = tmp_path_factory.mktemp("alone")
    shutil.copytree(runs[0].root, alone_root, dirs_exist_ok=True)
    _, plain, wide = runs
    assert infer_together([plain, wide])
    for run in (plain, wide):
        assert (state_of(run).state, state_of(run).stage) == ("queued", "score")
        assert "One process answers 2 runs; what it says stands in infer.log." in log_tail(run)
        assert read_json(run.folder / "run.json")["engine"]["name"] == "transformers"
        alone = Run(alone_root, "trial", run.variant, 0)
        assert run_stage(alone, "infer")
        for seed in (0, 1):
            one, other = (pq.read_table(r.eval_folder(seed) / "predictions.parquet") for r in (run, alone))
            assert one.equals(other) and one.num_rows == 15
            assert set(one["variant"].to_pylist()) == {run.variant}
    assert infer_together([plain, wide]), "and nothing is left to do"


@pytest.mark.engine
def test_a_damaged_adapter_fails_its_own_run(runs: list[Run]) -> None:
    _, plain, wide = runs
    (plain.folder / "adapter" / "adapter_model.safetensors").write_bytes(b"junk" * 100)
    assert infer_together([plain, wide]) is False
    assert state_of(plain).state == "failed" and "can't be loaded (" in str(state_of(plain).error)
    assert "can't be loaded (" in log_tail(plain)
    assert (state_of(wide).state, state_of(wide).stage) == ("queued", "score")
    assert len(list(wide.folder.glob("eval-*/predictions.parquet"))) == 2


@pytest.mark.engine
def test_a_kill_is_told_of_every_run_and_repeats_nothing(runs: list[Run]) -> None:
    _, plain, wide = runs
    verb = ["run", "trial", "--stage", "infer", "--base-model", "tiny", "--root", str(plain.root)]
    child = subprocess.run(
        [sys.executable, "-m", "tests.experiments.killed", "infer", "33", *verb],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr[-2000:]
    done = {p: p.stat().st_mtime_ns for p in plain.folder.glob("eval-*/predictions.parquet")}
    assert len(done) == 2 and (state_of(plain).state, state_of(plain).stage) == ("queued", "score")
    assert state_of(wide).state == "failed" and "The process is gone" in str(state_of(wide).error)
    parts = list((wide.eval_folder(0) / "parts").glob("*.parquet"))
    assert len(parts) >= 1
    assert named(waiting_on(wide.root, "trial", "tiny")) == ["wide"]
    assert infer_together([wide])
    assert done == {p: p.stat().st_mtime_ns for p in plain.folder.glob("eval-*/predictions.parquet")}


@pytest.mark.engine
def test_the_driver_answers_what_shares_a_base_by_one_process(runs: list[Run]) -> None:
    full, plain, wide = runs
    assert drive(full.root, "trial")
    assert {state_of(run).state for run in runs} == {"done"}
    said = (full.root / "runs" / "trial" / "infer.log").read_text()
    assert "Traceback" not in said
    assert "One process answers 2 runs" in log_tail(plain) and "One process answers 2 runs" in log_tail(wide)
    assert "One process answers" not in log_tail(full)
