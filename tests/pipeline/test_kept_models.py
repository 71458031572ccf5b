"""A base model made of a run: of what it finished, or of where its checkpoint stands."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from core.errors import UserError
from core.experiments.launched_experiment import LaunchedExperiment
from core.launching.launch import prepare
from core.parallel.ranks import Workers
from core.pipeline.real_work import save_model_of, train_here
from core.runs.layout import Run
from core.training.models import load_for_training
from tests.specs.tiny import spec_of
from tests.training.test_train import Interrupted
from tests.training.tiny import tiny_root

pytestmark = pytest.mark.engine


def train_until(run: Run, step: int | None) -> None:
    def report(record: dict[str, Any]) -> None:
        if record["step"] == step:
            raise Interrupted

    with suppress(Interrupted):
        train_here(LaunchedExperiment.of(run), run, report, Workers())


def test_a_training_leaves_its_model_on_its_way_and_at_its_end(tmp_path: Path) -> None:
    root, kept = tiny_root(tmp_path), tmp_path / "kept"
    (run,) = prepare(root, spec_of(root, variants={"plain": {"training": {"method": "full"}}}), ["launch"])
    experiment = LaunchedExperiment.of(run)
    with pytest.raises(UserError, match="no checkpoint yet"):
        save_model_of(experiment, run, kept)
    train_until(run, 5)
    assert save_model_of(experiment, run, kept) == 4
    saved = load_file(run.checkpoint / "step-00000004" / "weights.safetensors")
    model = load_for_training(str(kept), experiment.recipe_of(run).training, "cpu", "float32")
    found = dict(model.named_parameters())
    assert saved and all(found[name].equal(weights) for name, weights in saved.items())
    train_until(run, None)
    finished = tmp_path / "finished"
    assert save_model_of(experiment, run, finished) is None
    now, last = (load_file(one / "model.safetensors") for one in (finished, run.folder / "model"))
    assert all(last[name].equal(weights) for name, weights in now.items())
    assert any(not now[name].equal(weights) for name, weights in saved.items())


def test_an_adapter_is_no_base_model(tmp_path: Path) -> None:
    root = tiny_root(tmp_path)
    (run,) = prepare(root, spec_of(root), ["launch"])
    with pytest.raises(UserError, match="trains an adapter"):
        save_model_of(LaunchedExperiment.of(run), run, tmp_path / "kept")
