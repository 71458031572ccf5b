"""Two processes share a training: the same losses as one alone, and an exact resume after a kill."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from core.errors import UserError
from core.launching.launch import prepare
from core.parallel.ranks import Workers, share_work, wanted_workers
from core.pipeline.stages import run_stage
from core.runs import reporter
from core.runs.layout import Run
from core.specs.spec import checked_spec
from core.storage.files import read_records
from tests.patience import patience
from tests.training.test_train import Interrupted
from tests.training.tiny import tiny_root, tiny_spec

pytestmark = pytest.mark.engine


def launched(root: Path, **training: Any) -> Run:
    """A run of the tiny spec, ready for its train stage."""
    values = tiny_spec()
    values["recipe"]["training"] |= {"tokens_per_batch": 64, "learning_rate": 1e-2} | training
    (run,) = prepare(root, checked_spec(values, "trial"), ["test"])
    return run


def records_of(run: Run) -> list[dict[str, Any]]:
    return read_records(run.folder / "progress.jsonl")


def losses_of(run: Run) -> list[tuple[int, float]]:
    return [(record["step"], record["loss"]) for record in records_of(run)]


def test_two_processes_take_the_steps_of_one_also_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses agree to 1e-5 with those of one process, since gradients are added in another order; after
    both are killed at step 5, step 5 is repeated from the checkpoint of step 4 exactly."""
    changes = {"validation": {"every": 3, "share": 0.3, "tasks": 4}}
    alone = launched(tiny_root(tmp_path / "one"), **changes)
    assert run_stage(alone, "train")
    shared = launched(tiny_root(tmp_path / "two"), devices=2, **changes)
    honest = reporter.Reporter.__call__

    def killing(self: Any, record: dict[str, Any]) -> None:
        honest(self, record)
        if record["step"] == 5:
            raise Interrupted  # which kills both processes at once

    with monkeypatch.context() as patch:
        patch.setattr(reporter.Reporter, "__call__", killing)
        with pytest.raises(Interrupted):
            run_stage(shared, "train")
    assert len(list((shared.folder / "checkpoint").glob("step-*"))) == 2
    assert run_stage(shared, "train")
    one, two = losses_of(alone), losses_of(shared)
    assert [step for step, _ in two] == [1, 2, 3, 4, 5, 5, 6]
    assert two[4] == two[5]
    assert [loss for _, loss in two[:4] + two[5:]] == pytest.approx([loss for _, loss in one], rel=1e-5)
    seen = [
        [record["validation_loss"] for record in records_of(run) if "validation_loss" in record]
        for run in (alone, shared)
    ]
    assert seen[1] == pytest.approx(seen[0], rel=1e-5) and len(seen[0]) == 2
    weights = [load_file(run.folder / "adapter" / "adapter_model.safetensors") for run in (alone, shared)]
    assert all(torch.allclose(weights[0][name], weights[1][name], atol=1e-4) for name in weights[0])


def test_the_sentence_of_a_process_is_raised_and_records_are_reported() -> None:
    code = "from core.parallel.ranks import send_record as send; send({'step': 1});"
    code += " send({'error': 'Too wide. Narrow it.'})"
    records: list[dict[str, Any]] = []
    with pytest.raises(UserError, match=r"Too wide. Narrow it."):
        share_work(["-c", code], 2, records.append)
    assert records[0] == {"step": 1}


def test_a_dead_process_is_reported() -> None:
    with pytest.raises(UserError, match=r"code 3 \(process \d\).* The log says why; launch again, or set"):
        share_work(["-c", "raise SystemExit(3)"], 2, lambda record: None)
    with pytest.raises(UserError, match=r"code -9 \(process 0\)"):
        share_work(["-c", f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})"], 1, lambda record: None)


@pytest.mark.parametrize("way", ["os._exit(3)", f"os.kill(os.getpid(), {int(signal.SIGKILL)})"])
def test_one_that_dies_ends_all_the_others_at_once(way: str) -> None:
    """They would wait for it within an operation, for hours."""
    code = f"import os, time; {way} if os.environ['RANK'] == '1' else time.sleep(300)"
    began = time.monotonic()
    with pytest.raises(UserError, match=r"Of the 3 processes .* code (3|-9) \(process 1\)"):
        share_work(["-c", code], 3, lambda record: None)
    assert time.monotonic() - began < 60 * patience()


def test_any_error_of_a_process_is_reported(tmp_path: Path) -> None:
    code = (
        "import sys; from core.pipeline import train_rank;"
        " train_rank.LaunchedExperiment.of = lambda run: 1 / 0; train_rank.main(sys.argv[1], 'a', 'b', '0')"
    )
    with pytest.raises(
        UserError, match=r"Process \d of those .* failed \(ZeroDivisionError: division by zero"
    ):
        share_work(["-c", code, str(tmp_path)], 2, lambda record: None)


def test_shares_are_whole_and_apart() -> None:
    parts = [Workers(rank, 3).share(range(10)) for rank in range(3)]
    assert sorted(one for part in parts for one in part) == list(range(10))
    assert Workers().share([1, 2]) == [1, 2] and Workers().add(2.5) == 2.5


def test_more_gpus_than_there_are_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert (wanted_workers(None), wanted_workers(1), wanted_workers(2)) == (2, 1, 2)
    with pytest.raises(UserError, match=r"3 GPUs are wanted, but 2 are visible. Lower training.devices"):
        wanted_workers(3)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert (wanted_workers(None), wanted_workers(3)) == (1, 3)
    assert os.environ.get("RANK") is None
