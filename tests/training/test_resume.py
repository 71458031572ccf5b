"""A killed training goes on as if undisturbed, whatever happened to its checkpoints."""

import errno
import json
import logging
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from core.errors import UserError
from core.training import checkpoints
from core.training.checkpoints import CheckpointWriter, Position, Snapshot, latest_checkpoint
from core.training.loop import Loop
from core.training.numerics import Numerics
from tests.training.test_train import Make, interrupted_at, losses_of, same_weights

pytestmark = pytest.mark.engine


ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("changes", "threads", "when", "first"),
    [
        ({"lora": {"rank": 4, "dropout": 0.2}}, 2, "written", 7),
        ({"method": "full", "optimizer": "muon", "schedule": "wsd"}, 1, "half-written", 4),
    ],
    ids=["dropout on two threads", "muon on one, while a checkpoint is written"],
)
def test_a_killed_training_goes_on_as_if_undisturbed(
    training: Make,
    model_folder: Path,
    tmp_path: Path,
    changes: dict[str, Any],
    threads: int,
    when: str,
    first: int,
) -> None:
    """SIGKILL at step 7, one step beyond the checkpoint of step 6, which is written or not. It goes on in a
    process that computes with one thread usually, and keeps the number that it began with."""
    settings = {**changes, "steps": 10}
    child = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.training.killed",
            str(model_folder),
            str(tmp_path / "killed"),
            "7",
            str(threads),
            json.dumps(settings),
            when,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    before = dict(json.loads(line) for line in child.stdout.splitlines())
    assert list(before) == [1, 2, 3, 4, 5, 6, 7]
    assert torch.get_num_threads() == 1
    after = losses_of(training(**settings), tmp_path / "killed")
    assert list(after) == list(range(first, 11)) and torch.get_num_threads() == 1
    with replace(Numerics.here(training().settings), threads=threads).threads_set():
        whole = losses_of(training(**settings), tmp_path / "whole")
    assert before | after == whole
    assert all(before[step] == after[step] for step in range(first, 8))
    assert same_weights(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.parametrize("stop_at", [1, 3, 5])
@pytest.mark.parametrize(
    "options", [{}, {"batching": "packed"}, {"tokens_per_step": 300}, {"schedule": "cyclic", "cycles": 2}]
)
def test_a_full_training_resumes_from_any_step(
    training: Make, tmp_path: Path, stop_at: int, options: dict[str, Any]
) -> None:
    make = training(method="full", steps=6, checkpoint_every=2, **options)
    before = interrupted_at(stop_at, make, tmp_path / "a")
    assert before | losses_of(make, tmp_path / "a") == losses_of(make, tmp_path / "b")
    assert same_weights(tmp_path / "a", tmp_path / "b")


def test_a_finished_training_is_not_repeated(training: Make, tmp_path: Path) -> None:
    assert losses_of(training(steps=2), tmp_path)
    assert losses_of(training(steps=2), tmp_path) == {}


def test_two_checkpoints_are_kept(training: Make, tmp_path: Path) -> None:
    interrupted_at(8, training(steps=9, checkpoint_every=2), tmp_path)
    kept = sorted(path.name for path in (tmp_path / "checkpoint").iterdir())
    assert kept == ["step-00000004", "step-00000006"]


def test_a_checkpoint_holds_what_was_when_it_was_taken(training: Make, tmp_path: Path) -> None:
    """The training goes on while it is written, and nothing that it does reaches the copy."""
    loop = Loop.start(training(method="full"))
    _, position = loop.step(Position())
    taken = Snapshot.of(position, loop.trained, loop.optimizer, loop.numerics)
    taken.write(tmp_path / "at-once")
    loop.step(position)
    taken.write(tmp_path / "later")
    sums = [(tmp_path / name / "step-00000001" / "sha256.json").read_text() for name in ("at-once", "later")]
    assert sums[0] == sums[1] and taken.size > 0
    now = Snapshot.of(position, loop.trained, loop.optimizer, loop.numerics)
    assert any(not now.weights[name].equal(weights) for name, weights in taken.weights.items())


def test_a_checkpoint_that_cannot_be_written_ends_the_training(
    training: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written beside the next steps, whose save hears of it; the one before it stays."""
    honest = checkpoints.write_json

    def full(path: Path, record: dict[str, Any]) -> None:
        if "step-00000004" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        honest(path, record)

    monkeypatch.setattr(checkpoints, "write_json", full)
    with pytest.raises(OSError, match="No space left"):
        losses_of(training(steps=9, checkpoint_every=2), tmp_path)
    assert [path.name for path in (tmp_path / "checkpoint").iterdir()] == ["step-00000002"]


@pytest.mark.parametrize("free", [0, 2**40])
def test_where_memory_is_short_a_checkpoint_is_written_at_once(
    training: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    monkeypatch.setattr(checkpoints.psutil, "virtual_memory", lambda: SimpleNamespace(available=free))
    goes_on, honest = threading.Event(), Snapshot.write

    def slow(self: Snapshot, folder: Path) -> None:
        assert not free or goes_on.wait(60)
        honest(self, folder)

    monkeypatch.setattr(Snapshot, "write", slow)
    loop = Loop.start(training())
    with CheckpointWriter(tmp_path) as writer:
        writer.save(Snapshot.of(Position(1, 4), loop.trained, loop.optimizer, loop.numerics))
        assert (tmp_path / "step-00000001").exists() == (not free)
        goes_on.set()
    assert latest_checkpoint(tmp_path) is not None


def flip_a_byte(checkpoint: Path) -> None:
    path = checkpoint / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def cut_the_optimizer(checkpoint: Path) -> None:
    path = checkpoint / "optimizer.safetensors"
    path.write_bytes(path.read_bytes()[:100])


def lose_the_sums(checkpoint: Path) -> None:
    (checkpoint / "sha256.json").unlink()


def nonsense_sums(checkpoint: Path) -> None:
    (checkpoint / "sha256.json").write_text("[]")


@pytest.mark.parametrize("damage", [flip_a_byte, cut_the_optimizer, lose_the_sums, nonsense_sums])
def test_a_damaged_checkpoint_is_reported_and_the_one_before_it_used(
    training: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    make = training(steps=6, checkpoint_every=2)
    before = interrupted_at(5, make, tmp_path / "a")
    damage(tmp_path / "a" / "checkpoint" / "step-00000004")
    with caplog.at_level(logging.WARNING):
        after = losses_of(make, tmp_path / "a")
    assert "Checkpoint step-00000004 is damaged; the one before it is used." in caplog.text
    assert list(after) == [3, 4, 5, 6]
    assert before | after == losses_of(make, tmp_path / "b")
    assert same_weights(tmp_path / "a", tmp_path / "b")


def test_when_every_checkpoint_is_damaged_it_begins_anew(
    training: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make = training(steps=6, checkpoint_every=2)
    interrupted_at(5, make, tmp_path)
    for checkpoint in (tmp_path / "checkpoint").iterdir():
        shutil.rmtree(checkpoint)
        checkpoint.mkdir()
    assert list(losses_of(make, tmp_path)) == [1, 2, 3, 4, 5, 6]
    assert caplog.text.count("is damaged") == 2


@pytest.mark.parametrize("other", [{"lora": {"rank": 8}}, {"method": "full"}])
def test_a_checkpoint_of_other_settings_is_refused(
    training: Make, tmp_path: Path, other: dict[str, Any]
) -> None:
    interrupted_at(4, training(), tmp_path)
    loop, checkpoint = Loop.start(training(**other)), latest_checkpoint(tmp_path / "checkpoint")
    assert checkpoint is not None
    with pytest.raises(
        UserError, match=r"belongs to other settings. Delete the folder to train from the beginning"
    ):
        checkpoint.restore(loop.trained, loop.optimizer)
