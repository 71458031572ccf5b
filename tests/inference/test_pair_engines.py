"""A model with positions on the grid gives the same answers in vLLM and in transformers."""

import itertools
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from core.mixing.mixtures import Augmentation, Mixture, MixtureSettings, SourceShare
from core.training.models import ModelShape, init_model
from core.training.train import Training, train
from tests.inference.conftest import rows_in
from tests.inference.pair_child import PAIR, TASKS, pairs_by
from tests.training.conftest import tiny_settings

pytestmark = pytest.mark.engine
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows some of the pairs by heart."""
    folder = tmp_path_factory.mktemp("pairs")
    shape = ModelShape(hidden_size=32, layers=2, heads=1, mlp_size=64, context=64, positions="grid", canvas=4)
    init_model(folder / "start", shape, 0)
    augmentation = Augmentation(colours="none")
    sources = MixtureSettings(sources=(SourceShare(source="toy"),), augmentation=augmentation)
    settings = tiny_settings(
        method="full",
        optimizer="muon",
        learning_rate=1e-2,
        max_seq_len=64,
        steps=80,
        samples_per_step=16,
        checkpoint_every=1000,
    )
    mixture = Mixture({"toy": TASKS}, sources, 0)
    return train(Training(settings, PAIR, mixture, str(folder / "start"), 0), folder, lambda record: None)


def test_both_engines_write_the_same_answers(model: Path, tmp_path: Path) -> None:
    """One engine of vLLM loads one model after the other, and the first once more."""
    pytest.importorskip("vllm")
    other = shutil.copytree(model, tmp_path / "other")
    weights = load_file(other / "model.safetensors")
    save_file({name: 1.25 * one for name, one in weights.items()}, other / "model.safetensors")
    child = subprocess.run(
        [sys.executable, "-m", "tests.inference.pair_child", str(tmp_path), str(model), str(other)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert child.returncode == 0, child.stderr[-2000:]
    pairs_by("transformers", [str(model), str(other)], tmp_path / "ours")
    for number, name in itertools.product(("0", "1"), ("plain", "grids")):
        theirs, ours = rows_in(tmp_path / number / name), rows_in(tmp_path / "ours" / number / name)
        assert [row["text"] for row in theirs] == [row["text"] for row in ours]
        assert len({row["text"] for row in ours}) > 6, "the model tells pairs and views apart"
        assert [row["logprob"] for row in theirs] == pytest.approx([row["logprob"] for row in ours], abs=2e-4)
    first, second, again = (rows_in(tmp_path / number / "plain") for number in ("0", "1", "2"))
    assert again == first != second
    assert all(row["output_cells"] is not None for row in rows_in(tmp_path / "0" / "grids"))
