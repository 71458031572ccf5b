"""The rows of the shipped base model: both figures come from the model itself, and grow with nothing else."""

import pytest

from core.bench import shipped_model, training
from core.bench.bench_context import Workshop
from core.bench.registry import all_rows


def test_both_rows_are_listed() -> None:
    names = [row.name for row in all_rows()]
    assert {shipped_model.TRAINING.name, shipped_model.INFERENCE.name} <= set(names)


@pytest.mark.engine
def test_its_figures_are_measured_on_the_model_that_ships(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setattr(training, "STEPS", 1)
    monkeypatch.setattr(training, "SAMPLES_PER_STEP", 2)
    monkeypatch.setattr(shipped_model, "ANSWER_TOKENS", 2)
    honest = shipped_model.answering_speed
    monkeypatch.setattr(shipped_model, "answering_speed", lambda: honest(prompts=2, engine="transformers"))
    measured = list(shipped_model.measure(Workshop(tmp_path, repeats=1)))  # type: ignore[arg-type]
    assert [one.name for one in measured] == [shipped_model.TRAINING.name, shipped_model.INFERENCE.name]
    assert all(one.value > 0 and one.peer_value is None for one in measured)
