"""A model and a mixture for the tests of this room."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.mixing.mixtures import Augmentation, Mixture, MixtureSettings, SourceShare
from core.prompts.templates import PromptSettings
from core.settings import validated
from core.training.models import init_model
from core.training.settings import TrainingSettings
from core.training.train import Training
from tests.training.tiny import SHAPE, copy_task


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    init_model(folder, SHAPE, 0)
    return folder


def toy_mixture(seed: int = 0, augmentation: Augmentation = Augmentation()) -> Mixture:
    """Samples of four copying tasks."""
    settings = MixtureSettings(sources=(SourceShare(source="toy"),), augmentation=augmentation)
    return Mixture({"toy": [copy_task(number) for number in range(4)]}, settings, seed)


def tiny_settings(**changes: Any) -> TrainingSettings:
    values = {
        "steps": 8,
        "samples_per_step": 4,
        "max_seq_len": 128,
        "checkpoint_every": 3,
        "lora": {"rank": 4},
        "precision": "float32",  # so that bounds hold on every processor
    }
    return validated(TrainingSettings, values | changes, "training")


@pytest.fixture
def training(model_folder: Path) -> Callable[..., Training]:
    """Makes a training of the tiny model: `training(seed=1, method="full", steps=4)`."""

    def make(seed: int = 0, base: Path = model_folder, **changes: Any) -> Training:
        return Training(tiny_settings(**changes), PromptSettings(), toy_mixture(seed), str(base), seed)

    return make


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Models so small are faster on one thread, above all beside other work."""
    import torch

    torch.set_num_threads(1)
