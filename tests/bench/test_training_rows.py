"""The training rows: the same samples on both sides, and honest gaps where a peer or a GPU is missing."""

from pathlib import Path

import pytest

from core.bench import training
from core.bench.bench_context import Workshop
from core.prompts.templates import PromptSettings, training_sample
from core.prompts.vocabulary import embedded_tokenizer

SMALL = {"hidden_size": 32, "layers": 1, "heads": 1, "mlp_size": 64}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Two steps of three samples on a model that is as small as possible."""
    monkeypatch.setattr(training, "STEPS", 1)
    monkeypatch.setattr(training, "SAMPLES_PER_STEP", 3)
    monkeypatch.setattr(training, "LONGEST", 1024)
    return training.embedded(tmp_path, "small", SMALL)


def test_samples_are_as_unequal_as_those_of_arc_and_most_fit() -> None:
    tokenizer = embedded_tokenizer()
    made = training.training_of(Path("nowhere"))
    sizes = [
        len(training_sample(made.mixture.sample(n), PromptSettings(), tokenizer).tokens) for n in range(100)
    ]
    assert max(sizes) > 4 * min(sizes) and sum(size <= training.LONGEST for size in sizes) >= 95


def test_without_the_peer_the_own_figure_stands_alone(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.importlib.util, "find_spec", lambda name: None)
    assert training.peer_speed(short, packed=True) is None
    speed, share = training.our_speed(short, method="full", devices=1)
    assert speed > 0 and share is None
    (measured,) = training._against(training.PACKED, [speed], [None])
    assert (measured.value, measured.peer_value, measured.ratio) == (speed, None, None)


def test_ratios_are_those_of_turns() -> None:
    (measured,) = training._against(training.PADDED, [10.0, 30.0, 40.0], [5.0, 10.0, 10.0])
    assert (measured.value, measured.peer_value, measured.ratio) == (30.0, 10.0, 3.0)


def test_without_a_gpu_its_rows_stay_unmeasured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    said: list[str] = []
    assert list(training.measure_gpu(Workshop(tmp_path, notify=said.append))) == []
    assert said == ["no GPU here: its training rows stay unmeasured"]
