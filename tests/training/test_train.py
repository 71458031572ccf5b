"""Training: it learns, depends on its seed alone, and survives kills, damage and nonsense."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from core.errors import UserError
from core.prompts.templates import prompt_of_model
from core.storage.models import check_seal
from core.training import train as train_module
from core.training.checkpoints import Position, latest_checkpoint
from core.training.gradients import Gradients
from core.training.loop import Loop, Training
from core.training.models import load_for_training
from core.training.train import train
from tests.training.conftest import tiny_settings

pytestmark = pytest.mark.engine
Make = Callable[..., Training]
TOKENS = torch.arange(3, 23).reshape(1, 20)


def losses_of(training: Training, folder: Path) -> dict[int, float]:
    """Train; the loss of each step that was made."""
    losses: dict[int, float] = {}
    train(training, folder, lambda record: losses.__setitem__(record["step"], record["loss"]))
    return losses


def weights_in(folder: Path) -> dict[str, torch.Tensor]:
    (path,) = [*folder.glob("adapter/*.safetensors"), *folder.glob("model/*.safetensors")]
    return load_file(path)


def same_weights(one: Path, other: Path) -> bool:
    a, b = weights_in(one), weights_in(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class Interrupted(BaseException):
    """Like Ctrl-C: nothing in the project may catch it."""


def interrupted_at(step: int, training: Training, folder: Path) -> dict[int, float]:
    losses: dict[int, float] = {}

    def report(record: dict[str, Any]) -> None:
        losses[record["step"]] = record["loss"]
        if record["step"] == step:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(training, folder, report)
    return losses


@pytest.mark.parametrize("method", ["lora", "full"])
def test_training_reduces_the_loss(training: Make, tmp_path: Path, method: str) -> None:
    losses = losses_of(training(method=method, steps=40, learning_rate=1e-2, samples_per_step=8), tmp_path)
    assert list(losses) == list(range(1, 41))
    early, late = (sum(losses[step] for step in steps) / 5 for steps in (range(1, 6), range(36, 41)))
    assert late < early - (0.05 if method == "lora" else 0.3)
    assert sorted(path.name for path in (tmp_path / ("adapter" if method == "lora" else "model")).iterdir())


def test_every_step_is_reported_whole(training: Make, tmp_path: Path) -> None:
    records: list[dict[str, Any]] = []
    train(training(steps=4), tmp_path, records.append)
    assert [record["step"] for record in records] == [1, 2, 3, 4]
    for record in records:
        assert (record["total"], record["dropped"]) == (4, 0)
        assert record["tokens_per_second"] > 0 and record["learning_rate"] > 0
    assert records[-1]["eta_seconds"] == 0


def test_the_same_seed_gives_the_same_adapter_and_another_seed_another(
    training: Make, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    one = losses_of(training(seed=1, lora={"rank": 4, "dropout": 0.2}), tmp_path / "a")
    torch.manual_seed(2)
    assert losses_of(training(seed=1, lora={"rank": 4, "dropout": 0.2}), tmp_path / "b") == one
    assert losses_of(training(seed=2, lora={"rank": 4, "dropout": 0.2}), tmp_path / "c") != one
    assert same_weights(tmp_path / "a", tmp_path / "b")
    assert not same_weights(tmp_path / "a", tmp_path / "c")


def test_samples_that_never_fit_are_named(training: Make, tmp_path: Path) -> None:
    with pytest.raises(
        UserError,
        match=r"None of the 1001 samples of step 1 fits max_seq_len 16. Raise it, or choose smaller",
    ):
        train(training(max_seq_len=16), tmp_path, lambda record: None)
    assert not (tmp_path / "adapter").exists()


def test_a_loss_that_is_no_number_ends_the_training(training: Make, tmp_path: Path) -> None:
    wild = training(method="full", learning_rate=100.0, clip_norm=1e6, warmup_share=0.0)
    with pytest.raises(
        UserError, match=r"The (loss|gradient) of step \d is (nan|inf). Lower training.learning_rate"
    ):
        train(wild, tmp_path, lambda record: None)
    assert not (tmp_path / "model").exists()


def test_a_gradient_that_is_no_number_reaches_no_weight(
    training: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss may be finite while its gradient is not; a step would spoil weights and checkpoints."""
    honest = Gradients.add

    def add(self: Gradients, *arguments: Any) -> torch.Tensor:
        loss = honest(self, *arguments)
        assert self.weights[0].grad is not None
        self.weights[0].grad.fill_(torch.inf)
        return loss

    monkeypatch.setattr(Gradients, "add", add)
    with pytest.raises(UserError, match=r"The gradient of step 1 is (nan|inf). Lower training.learning_rate"):
        train(training(checkpoint_every=1), tmp_path, lambda record: None)
    assert not (tmp_path / "checkpoint").exists()


@pytest.mark.parametrize(
    "problem",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError(),
    ],
)
@pytest.mark.parametrize("place", [(Gradients, "loss"), (Loop, "start")], ids=["step", "start"])
def test_memory_that_ends_is_one_sentence(
    training: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    problem: Exception,
    place: tuple[Any, str],
) -> None:
    def end(*_: Any) -> Any:
        raise problem

    monkeypatch.setattr(*place, end)
    with pytest.raises(
        UserError, match=r"too little memory. Lower training.tokens_per_batch or training.max"
    ):
        train(training(), tmp_path, lambda record: None)


def test_where_memory_ends_the_step_is_done_anew_with_rows_of_half_the_size(
    training: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What the step had added is forgotten, so that its gradient is that of smaller rows; what goes on from
    a checkpoint keeps the size."""
    honest, sizes = Gradients.loss, []

    def scarce(self: Gradients, batch: Any, answer_tokens: int) -> Any:
        sizes.append(batch.tokens.size)
        if batch.tokens.size > 250 and len(sizes) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return honest(self, batch, answer_tokens)

    make = training(method="full", steps=4, samples_per_step=8, tokens_per_batch=400, checkpoint_every=2)
    monkeypatch.setattr(Gradients, "loss", scarce)
    records: list[dict[str, Any]] = []
    with caplog.at_level(logging.WARNING), pytest.raises(Interrupted):
        train(make, tmp_path / "a", lambda record: records.append(record) or _stop(record, 3))
    rows = [record["tokens_per_batch"] for record in records]
    assert rows[0] == 400 and rows[-1] == 200 and "Memory ended at 400 tokens per batch" in caplog.text
    kept = latest_checkpoint(tmp_path / "a" / "checkpoint")
    assert kept is not None and kept.numerics.tokens_per_batch == 200
    monkeypatch.setattr(Gradients, "loss", honest)
    after: list[dict[str, Any]] = []
    train(make, tmp_path / "a", after.append)
    assert [record["tokens_per_batch"] for record in after] == [200, 200]
    whole: dict[int, float] = losses_of(make, tmp_path / "b")
    losses = {record["step"]: record["loss"] for record in [*records, *after]}
    assert losses == pytest.approx(whole, rel=1e-5)


def _stop(record: dict[str, Any], step: int) -> None:
    if record["step"] == step:
        raise Interrupted


def test_other_errors_keep_their_traceback(
    training: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("a defect")

    monkeypatch.setattr(train_module, "latest_checkpoint", fail)
    with pytest.raises(RuntimeError, match="a defect"):
        train(training(), tmp_path, lambda record: None)


KINDS: dict[str, dict[str, Any]] = {
    "rslora": {"rslora": True},
    "dora": {"dora": True},
    "pissa": {"init": "pissa"},
    "olora": {"init": "olora"},
    "olora with root scaling": {"init": "olora", "rslora": True},
}


def logits_of(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model.eval()(input_ids=tokens).logits


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_adapter_fits_the_untouched_base_and_resumes(
    training: Make, model_folder: Path, tmp_path: Path, kind: str
) -> None:
    """The saved adapter on a fresh base, as it is and merged, gives the trained model's logits to 1e-4."""
    changes = {"lora": {"rank": 4, **KINDS[kind]}, "batching": "padded"}  # the model is asked by itself, too
    make = training(**changes, steps=6, checkpoint_every=2, learning_rate=1e-2)
    loop, position = Loop.start(make), Position()
    before = logits_of(load_for_training(str(model_folder), make.settings, "cpu"), TOKENS)
    for _ in range(6):
        _, position = loop.step(position)
    wanted = logits_of(loop.model, TOKENS)
    assert (wanted - before).abs().max() > 0.01, "it has learned something"
    loop.save(tmp_path / "saved" / "adapter")
    base = load_for_training(str(model_folder), make.settings, "cpu")
    loaded = PeftModel.from_pretrained(base, tmp_path / "saved" / "adapter")
    assert torch.allclose(logits_of(loaded, TOKENS), wanted, atol=1e-4)
    assert torch.allclose(logits_of(loaded.merge_and_unload(), TOKENS), wanted, atol=1e-4)
    record = json.loads((tmp_path / "saved" / "adapter" / "adapter_config.json").read_text())
    assert (record["r"], record["init_lora_weights"]) == (8 if "init" in KINDS[kind] else 4, True)

    losses = interrupted_at(5, make, tmp_path / "a") | losses_of(make, tmp_path / "a")
    assert losses == losses_of(make, tmp_path / "b")
    assert same_weights(tmp_path / "a", tmp_path / "b")


def test_a_trained_model_answers_with_its_cache(training: Make, tmp_path: Path) -> None:
    folder = train(training(steps=1, method="full"), tmp_path, lambda record: None)
    for name in ("config.json", "generation_config.json"):
        assert json.loads((folder / name).read_text())["use_cache"] is True


@pytest.mark.parametrize("method", ["lora", "full"])
def test_what_was_trained_is_sealed_and_damage_is_seen(training: Make, tmp_path: Path, method: str) -> None:
    made = training(steps=1, method=method)
    folder = train(made, tmp_path, lambda record: None)
    check_seal(folder)
    assert prompt_of_model(folder) == made.prompt
    (weights,) = folder.glob("*.safetensors")
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(UserError, match=rf"{weights.name} is damaged: .* Delete the folder .* and launch"):
        check_seal(folder)
    (folder / "sha256.json").unlink()
    check_seal(folder)


@pytest.mark.parametrize("other", [{"dora": True}, {"four_bit": True}])
def test_an_init_that_changes_the_weights_goes_with_neither_dora_nor_four_bits(other: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"init pissa changes the weights, which goes with neither"):
        tiny_settings(lora={"init": "pissa", **other})


def test_four_bits_without_a_gpu_is_one_sentence(training: Make, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"4 bits need an NVIDIA GPU. Set training.lora.four_bit to false"):
        train(training(lora={"four_bit": True}), tmp_path, lambda record: None)


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("batching", ["padded", "packed"])
def test_activations_computed_anew_change_nothing(training: Make, method: str, batching: str) -> None:
    """To rounding: in packed rows the last block is shortened where its activations are kept."""
    losses = []
    for recompute in (False, True):
        changes = {"batching": batching, "recompute": recompute, "precision": "float32"}
        loop = Loop.start(training(method=method, **changes))
        first, position = loop.step(Position())
        second, _ = loop.step(position)
        losses.append((first["loss"], second["loss"]))
    assert losses[0] == pytest.approx(losses[1], rel=0 if batching == "padded" else 1e-6)
