"""TensorBoard and Weights & Biases get the same numbers as the progress; a missing one is a sentence."""

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.errors import UserError
from core.training.loop import Training
from core.training.train import train

Make = Callable[..., Training]


def test_tensorboard_reads_what_was_reported(training: Make, tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    records: list[dict[str, Any]] = []
    train(training(steps=3, log_to=["tensorboard"]), tmp_path, records.append)
    read = events.EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    assert {"loss", "learning_rate", "tokens_per_second", "memory_bytes"} <= set(read.Tags()["scalars"])
    losses = {event.step: event.value for event in read.Scalars("loss")}
    assert losses == pytest.approx({record["step"]: record["loss"] for record in records})
    assert not {"step", "mfu"} & set(read.Tags()["scalars"]), "neither the step itself nor what is unknown"


def test_wandb_receives_the_run_and_its_numbers(
    training: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the library's place stands one that writes down what it is told."""
    told: list[Any] = []
    run = types.SimpleNamespace(
        log=lambda numbers, step: told.append((step, numbers["loss"])), finish=lambda: told.append("end")
    )
    module = types.ModuleType("wandb")
    module.init = lambda **options: (told.append(options), run)[1]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", module)
    losses: list[Any] = []
    folder = tmp_path / "mine" / "plain" / "train-3"
    train(training(steps=2, log_to=["wandb"]), folder, lambda r: losses.append((r["step"], r["loss"])))
    options, *numbers, end = told
    assert (options["group"], options["name"]) == ("mine", "plain train-3")
    assert options["config"]["steps"] == 2 and options["dir"] == str(folder)
    assert (numbers, end) == (losses, "end")


@pytest.mark.parametrize(
    ("logger", "module"), [("wandb", "wandb"), ("tensorboard", "torch.utils.tensorboard")]
)
def test_a_missing_library_is_one_sentence(
    training: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logger: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf"{logger} is not installed. Install it .* out of training.log_to"):
        train(training(log_to=[logger]), tmp_path, lambda record: None)
