"""An evaluation in parts is what it is in one piece, whichever part ends last and whatever is killed."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from core.errors import UserError
from core.experiments.launched_experiment import LaunchedExperiment
from core.inference import engines
from core.inference.requests import Completion, Request
from core.launching.launch import prepare
from core.pipeline.shards import (
    Shard,
    progress_of_shards,
    put_together,
    run_shard,
    shard_is_done,
    shards,
)
from core.pipeline.stages import run_stage
from core.runs.layout import SHARDS, Run
from core.storage.files import read_json, write_json
from tests.specs.tiny import spec_of
from tests.training.tiny import tiny_root


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tiny_root(tmp_path_factory.mktemp("trained"), tasks=5)
    inference = {"engine": "transformers", "attempts": 3, "max_model_len": 128, "max_output_tokens": 8}
    evaluation = {"sources": [{"source": "toy"}], "inference": inference}
    (run,) = prepare(root, spec_of(root, evaluation=evaluation), ["launch"])
    assert run_stage(run, "train")
    return run


def copy_of(run: Run, root: Path) -> Run:
    shutil.copytree(run.root, root, dirs_exist_ok=True)
    return Run(root, run.experiment, run.variant, run.train_seed)


class Parrot:
    """An engine whose answer depends on the request alone, as that of a model does."""

    name, version, dtype = "parrot", "1", "float32"

    def __init__(self) -> None:
        self.asked = 0

    def prepare(self, adapter: Path) -> None:
        assert adapter.exists()

    def load(self, model: str) -> bool:
        return False

    def close(self) -> None:
        pass

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        for index, request in reversed(list(enumerate(requests))):
            self.asked += 1
            yield Completion(index, f"{sum(request.tokens)}", 2, "stop", -request.seed / 2**64)


def answered(run: Run) -> list[bytes]:
    return [(run.eval_folder(seed) / "predictions.parquet").read_bytes() for seed in (0, 1)]


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_parts_together_are_the_identical_file(
    trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: tuple[int, ...]
) -> None:
    monkeypatch.setattr(engines, "open_engine", lambda *_: Parrot())
    whole, parts = copy_of(trained, tmp_path / "whole"), copy_of(trained, tmp_path / "parts")
    launched = LaunchedExperiment.of(parts)
    assert run_stage(whole, "infer")
    for number in order:
        assert not (parts.eval_folder(0) / "predictions.parquet").exists()
        assert run_shard(launched, parts, "infer", Shard(number, 3))
    assert answered(parts) == answered(whole)
    assert pq.read_metadata(parts.eval_folder(0) / "predictions.parquet").num_rows == 18
    assert not (parts.eval_folder(0) / SHARDS).exists()
    assert all(shard_is_done(launched, parts, "infer", part) for part in shards(3))


def test_a_part_without_a_task_is_done_and_what_is_left_of_parts_goes(
    trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "open_engine", lambda *_: Parrot())
    whole, parts = copy_of(trained, tmp_path / "whole"), copy_of(trained, tmp_path / "parts")
    assert run_shard(LaunchedExperiment.of(whole), whole, "infer", Shard(1, 2))
    assert run_stage(whole, "infer"), "by one process after all"
    assert not (whole.eval_folder(0) / SHARDS).exists() and not (whole.folder / SHARDS).exists()
    assert all(run_shard(LaunchedExperiment.of(parts), parts, "infer", part) for part in shards(7))
    assert answered(parts) == answered(whole)


@pytest.mark.engine
def test_a_real_engine_answers_the_same_in_parts(trained: Run, tmp_path: Path) -> None:
    """Apart from the last bits of the log-probabilities, which depend on what shares a batch."""
    whole, parts = copy_of(trained, tmp_path / "whole"), copy_of(trained, tmp_path / "parts")
    assert run_stage(whole, "infer")
    assert all(run_shard(LaunchedExperiment.of(parts), parts, "infer", part) for part in shards(2))
    for seed in (0, 1):
        one, other = (pq.read_table(run.eval_folder(seed) / "predictions.parquet") for run in (whole, parts))
        assert one.drop(["logprob"]) == other.drop(["logprob"])
        assert one["logprob"].to_pylist() == pytest.approx(other["logprob"].to_pylist(), abs=1e-3)
    assert read_json(parts.folder / "run.json")["engine"]["name"] == "transformers"


def test_a_finished_part_is_not_answered_again(
    trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parrot = Parrot()
    monkeypatch.setattr(engines, "open_engine", lambda *_: parrot)
    run = copy_of(trained, tmp_path)
    launched = LaunchedExperiment.of(run)
    assert run_shard(launched, run, "infer", Shard(1, 2))
    asked = parrot.asked
    assert asked == 2 * 3 * 4  # evaluations × attempts × outputs of the tasks 0 (two tests), 2 and 4
    assert run_shard(launched, run, "infer", Shard(1, 2))
    assert parrot.asked == asked
    said = progress_of_shards(run, "infer", 2)
    assert (said["step"], said["total"], said["error"]) == (24, None, None)
    put_together(launched, run, "infer", 2)
    assert not (run.eval_folder(0) / "predictions.parquet").exists()


def test_a_damaged_report_counts_as_none(tmp_path: Path) -> None:
    run = Run(tmp_path, "trial", "plain", 0)
    write_json(Shard(1, 2).report_file(run, "infer"), {"step": 3, "total": 8, "error": None})
    for damage in ([], {"step": "text", "total": 8}, {"step": -1, "total": 8}, None):
        write_json(Shard(2, 2).report_file(run, "infer"), damage)
        assert progress_of_shards(run, "infer", 2)["step"] == 3
        assert progress_of_shards(run, "infer", 2)["total"] is None


def test_a_failed_part_reports_its_reason(
    trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: Any) -> None:
        raise UserError("The engine is out of order. Mend it.")

    monkeypatch.setattr(engines, "open_engine", refuse)
    run = copy_of(trained, tmp_path)
    assert not run_shard(LaunchedExperiment.of(run), run, "infer", Shard(2, 2))
    assert caplog.messages == ["The engine is out of order. Mend it."]
    assert progress_of_shards(run, "infer", 2)["error"] == "The engine is out of order. Mend it."


def test_a_stage_that_has_no_parts_is_refused(trained: Run) -> None:
    launched = LaunchedExperiment.of(trained)
    with pytest.raises(UserError, match="The stage score has no parts"):
        run_shard(launched, trained, "score", Shard(1, 2))
    with pytest.raises(UserError, match="has no test-time training to do in parts"):
        run_shard(launched, trained, "adapt", Shard(1, 2))


@pytest.mark.parametrize("text", ["0/2", "3/2", "2", "a/b", "1/2/3", ""])
def test_an_unknown_shard_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"names no shard\. Write it as NUMBER/OF"):
        Shard.parse(text)
    assert Shard.parse("2/4") == Shard(2, 4)
