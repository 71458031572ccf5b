"""How a training is computed: recorded, kept where it goes on, said where it differs."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from core.training import train as train_module
from core.training.numerics import Numerics
from core.training.train import Training, train
from tests.training.conftest import tiny_settings
from tests.training.test_train import interrupted_at, losses_of, same_weights

ROOT = Path(__file__).resolve().parents[2]
NUMERICAL = (
    "tests/modeling/test_last_block.py",
    "tests/training/test_batches.py",
    "tests/training/test_efficiency.py",
    "tests/inference/test_vllm_cpu_adapters.py::test_an_update_is_added_to_its_rows_alone",
)
"""Tests that compare floating-point numbers, and take seconds."""


def capabilities() -> list[str]:
    """The instruction sets that this processor can be held to, apart from its best."""
    best = torch.backends.cpu.get_cpu_capability().lower()
    order = ["default", "avx2", "avx512"]
    return order[: order.index(best)] if best in order else []


@pytest.mark.engine
@pytest.mark.parametrize("capability", ["default", "avx2"])
def test_numbers_hold_with_other_instructions(capability: str) -> None:
    """One machine computes as others do: its kernels add in the order of a processor without AVX-512, and of
    one without AVX2."""
    if capability not in capabilities():
        pytest.skip(f"{capability} is the best of this processor, or none of its sets")
    env = {
        **os.environ,
        "ATEN_CPU_CAPABILITY": capability,
        "ONEDNN_MAX_CPU_ISA": {"default": "SSE41", "avx2": "AVX2"}[capability],
        "OMP_NUM_THREADS": "1",
    }
    words = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *NUMERICAL]
    child = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, timeout=500)
    assert child.returncode == 0, child.stdout[-3000:]
    assert "[100%]" in child.stdout


def test_what_a_training_is_computed_with_is_noted(training: Callable[..., Training], tmp_path: Path) -> None:
    noted: list[dict[str, Any]] = []
    train(training(steps=1), tmp_path, lambda record: None, note=noted.append)
    assert noted[0]["threads"] == torch.get_num_threads() and noted[0]["differences"] == []
    assert noted[0]["capability"] == torch.backends.cpu.get_cpu_capability()
    assert (noted[0]["device"], noted[0]["precision"], noted[0]["weights"]) == ("cpu", "float32", "float32")


def test_a_training_resumed_elsewhere_keeps_its_threads_and_reports_differences(
    training: Callable[..., Training],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Rows are packed for as many cores as where it began, so that even its losses stay the same here."""
    make = training(method="full", steps=6, checkpoint_every=2)
    here = Numerics.here(make.settings)
    elsewhere = replace(here, threads=3, side_by_side=5, capability="DEFAULT", precision="bfloat16")
    honest = Numerics.here
    monkeypatch.setattr(train_module.Numerics, "here", lambda *_: replace(elsewhere, precision="float32"))
    before = interrupted_at(5, make, tmp_path / "a")
    whole = losses_of(make, tmp_path / "b")
    monkeypatch.setattr(train_module.Numerics, "here", honest)
    noted: list[dict[str, Any]] = []
    after: dict[int, float] = {}
    with caplog.at_level(logging.WARNING):
        train(
            make,
            tmp_path / "a",
            lambda record: after.__setitem__(record["step"], record["loss"]),
            note=noted.append,
        )
    assert before | after == whole and same_weights(tmp_path / "a", tmp_path / "b")
    assert (noted[0]["threads"], noted[0]["side_by_side"]) == (3, 5)
    if here.capability != "DEFAULT":
        (sentence,) = noted[0]["differences"]
        assert sentence in caplog.text
        assert sentence.startswith(
            "The training began with DEFAULT as what the processor's kernels are made for and goes on with"
        )


def test_precision_goes_on_as_it_began() -> None:
    here = Numerics.here(tiny_settings(precision="float32"))
    begun = replace(here, precision="bfloat16", tokens_per_batch=77, torch="1.0")
    kept, differences = here.going_on_from(begun)
    assert (kept.precision, kept.tokens_per_batch, kept.torch) == ("bfloat16", 77, here.torch)
    assert len(differences) == 1 and "began with 1.0 as torch" in differences[0]
