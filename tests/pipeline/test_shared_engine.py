"""Inference of several runs in one process: told apart in state, log and files, whatever is killed."""

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from core.commands.follow_progress import follow
from core.experiments.launched_experiment import LaunchedExperiment
from core.experiments.listing import list_runs
from core.launching.launch import launch, prepare
from core.pipeline.job_order import jobs_of
from core.pipeline.shared_engine import engine_groups
from core.pipeline.stages import run_stage, run_stage_of
from core.runs.layout import Run
from core.runs.progress import log_tail
from core.runs.state import state_of
from core.storage.files import read_json
from tests.pipeline.test_stages import killed
from tests.specs.tiny import spec_of
from tests.training.tiny import tiny_root

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
    return list_runs(tmp_path, "trial")


def named(runs: list[Run]) -> list[str]:
    return [run.variant for run in runs]


@pytest.mark.engine
def test_adapters_share_an_engine_and_full_models_do_not(runs: list[Run]) -> None:
    groups = engine_groups(runs, LaunchedExperiment.of(runs[0]))
    assert [named(group) for group in groups] == [["full"], ["plain", "wide"]]
    jobs = {job.runs for job in jobs_of(runs) if job.stages == ("infer",)}
    assert sorted(named(list(job)) for job in jobs) == [["full"], ["plain", "wide"]]


@pytest.mark.engine
def test_together_is_what_each_is_alone(runs: list[Run], tmp_path_factory: pytest.TempPathFactory) -> None:
    alone_root = tmp_path_factory.mktemp("alone")
    shutil.copytree(runs[0].root, alone_root, dirs_exist_ok=True)
    _, plain, wide = runs
    assert run_stage_of([plain, wide], "infer", scores=False)
    for run in (plain, wide):
        assert (state_of(run).state, state_of(run).stage) == ("queued", "score")
        assert "One process answers several runs; what it says stands in the log of plain/0." in log_tail(run)
        assert read_json(run.folder / "run.json")["engine"]["name"] == "transformers"
        alone = Run(alone_root, "trial", run.variant, 0)
        assert run_stage(alone, "infer")
        for seed in (0, 1):
            one, other = (pq.read_table(r.eval_folder(seed) / "predictions.parquet") for r in (run, alone))
            assert one.equals(other) and one.num_rows == 15
            assert set(one["variant"].to_pylist()) == {run.variant}
    assert run_stage_of([plain, wide], "infer", scores=False), "and nothing is left to do"


@pytest.mark.engine
def test_a_damaged_adapter_fails_its_own_run(runs: list[Run]) -> None:
    _, plain, wide = runs
    (plain.folder / "adapter" / "adapter_model.safetensors").write_bytes(b"junk" * 100)
    assert run_stage_of([plain, wide], "infer", scores=False) is False
    assert state_of(plain).state == "failed" and "the training is repeated" in str(state_of(plain).error)
    assert "the training is repeated" in log_tail(plain)
    assert (state_of(wide).state, state_of(wide).stage) == ("queued", "score")
    assert len(list(wide.folder.glob("eval-*/predictions.parquet"))) == 2


@pytest.mark.engine
def test_a_kill_is_reported_in_every_run_and_repeats_nothing(runs: list[Run]) -> None:
    _, plain, wide = runs
    killed([plain, wide], "infer", 33)
    done = {p: p.stat().st_mtime_ns for p in plain.folder.glob("eval-*/predictions.parquet")}
    assert len(done) == 2 and (state_of(plain).state, state_of(plain).stage) == ("queued", "score")
    assert state_of(wide).state == "failed" and "The process is gone" in str(state_of(wide).error)
    parts = list((wide.eval_folder(0) / "parts").glob("*.parquet"))
    assert len(parts) >= 1
    assert run_stage_of([plain, wide], "infer")
    assert {state_of(plain).state, state_of(wide).state} == {"done"}
    assert done == {p: p.stat().st_mtime_ns for p in plain.folder.glob("eval-*/predictions.parquet")}


@pytest.mark.engine
def test_the_worker_lets_one_process_answer_what_shares_a_base(runs: list[Run]) -> None:
    full, plain, wide = runs
    launch(full.root, LaunchedExperiment.of(full).spec, ["launch"])
    assert follow(full.root, "trial")
    assert {state_of(run).state for run in runs} == {"done"}
    assert "One process answers several" in log_tail(plain) and "One process answers several" in log_tail(
        wide
    )
    assert "One process answers" not in log_tail(full)
    said = (full.root / "runs" / ".worker.log").read_text()
    assert "trial plain/0, wide/0: infer" in said and "trial full/0: infer" in said


@pytest.mark.engine
def test_free_slots_answer_adapters_beside_each_other(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three slots, named as GPUs are but computed on the cores: one for each run, two of them of one base."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    full = runs[0]
    launch(full.root, LaunchedExperiment.of(full).spec, ["launch"])
    assert follow(full.root, "trial")
    assert {state_of(run).state for run in runs} == {"done"}
    assert not [run for run in runs if "One process answers several" in log_tail(run)]
