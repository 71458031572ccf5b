"""The engine of transformers: batches change no answer, and samples follow the softmax."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core.arc.tasks import Task
from core.errors import UserError
from core.inference.predict import questions_of
from core.inference.requests import Request
from core.inference.sampling import nucleus
from core.inference.transformers_engine import TransformersEngine
from core.prompts.vocabulary import load_tokenizer
from tests.inference.conftest import evaluation_of, tiny_inference
from tests.inference.test_engines import by_transformers, engine_of

pytestmark = pytest.mark.engine


def requests_of(tasks: list[Task], trained: Path) -> list[Request]:
    questions = questions_of(evaluation_of(tasks), load_tokenizer(str(trained / "model")))
    return [question.request for question in questions if question.request]


def completed(engine: TransformersEngine, requests: list[Request]) -> list[Any]:
    found = sorted(engine.complete(requests), key=lambda completion: completion.index)
    assert [completion.index for completion in found] == list(range(len(requests)))
    return [(one.text, one.finish_reason, one.output_tokens, one.logprob) for one in found]


def assert_same(found: list[Any], wanted: list[Any]) -> None:
    assert [one[:3] for one in found] == [one[:3] for one in wanted]
    assert [one[3] for one in found] == pytest.approx([one[3] for one in wanted], abs=1e-3)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_neighbours_in_a_batch_change_no_answer(tasks: list[Task], trained: Path, temperature: float) -> None:
    requests = requests_of(tasks, trained)
    together = completed(engine_of(trained, temperature=temperature), requests)
    alone = completed(engine_of(trained, temperature=temperature, max_concurrent=1), requests)
    assert_same(together, alone)
    torch.manual_seed(5)
    assert_same(completed(engine_of(trained, temperature=temperature), requests[::-1]), together[::-1])


def test_the_logprob_is_that_of_the_generated_tokens(tasks: list[Task], trained: Path) -> None:
    """Computed again in one forward pass over prompt and answer."""
    requests = requests_of(tasks, trained)[:6]
    engine = engine_of(trained, temperature=0.7, top_p=0.9)
    for completion in engine.complete(requests):
        prompt = requests[completion.index].tokens
        written = engine._tokenizer(completion.text, add_special_tokens=False)["input_ids"]
        written += [engine._tokenizer.eos_token_id] * (completion.finish_reason == "stop")
        logits = engine._model(input_ids=torch.tensor([prompt + written])).logits[0].detach().log_softmax(-1)
        places = range(len(prompt) - 1, len(prompt) + len(written) - 1)
        wanted = sum(float(logits[place, token]) for place, token in zip(places, written, strict=True))
        assert completion.output_tokens == len(written)
        assert completion.logprob == pytest.approx(wanted, abs=1e-3)


def test_temperature_samples_from_the_softmax(trained: Path) -> None:
    """The first token of 2,000 answers to one prompt follows its probabilities."""
    engine = engine_of(trained, temperature=1.5, max_concurrent=1000)
    tokens = load_tokenizer(str(trained / "model"))("I123\n456\nO")["input_ids"]
    counts: dict[str, int] = {}
    for completion in engine.complete([Request(tokens, 1, seed) for seed in range(2000)]):
        counts[completion.text] = counts.get(completion.text, 0) + 1
    with torch.inference_mode():
        shares = (engine._model(input_ids=torch.tensor([tokens])).logits[0, -1] / 1.5).softmax(-1)
    for digit in "0123456789":
        share = float(shares[engine._tokenizer.convert_tokens_to_ids(digit)])
        spread = (2000 * share * (1 - share)) ** 0.5
        assert abs(counts.get(digit, 0) - 2000 * share) < 4 * spread + 1


def test_the_nucleus_is_the_smallest_set_that_holds_its_share() -> None:
    logits = torch.tensor([[0.1, 0.5, 0.15, 0.25]]).log()
    kept = [nucleus(logits, top_p).isfinite()[0].tolist() for top_p in (0.4, 0.5, 0.6, 0.8, 1.0)]
    assert kept[0] == [False, True, False, False]
    assert kept[2] == [False, True, False, True]
    assert kept[3] == [False, True, True, True]
    assert kept[4] == [True, True, True, True]


def test_a_models_own_penalties_are_left_out(trained: Path, tmp_path: Path, tasks: list[Task]) -> None:
    """Chat models come with generation settings such as a repetition penalty."""

    shutil.copytree(trained / "model", tmp_path / "model")
    (tmp_path / "model" / "generation_config.json").write_text(
        json.dumps({"repetition_penalty": 5.0, "do_sample": True, "top_k": 1, "eos_token_id": [2, 3]})
    )
    requests = requests_of(tasks, trained)
    plain = completed(engine_of(trained), requests)
    changed = TransformersEngine(tiny_inference(), str(tmp_path / "model"))
    assert changed._ends == {2, 3}
    changed._model.generation_config.eos_token_id = [2]
    changed._ends = {2}
    assert_same(completed(changed, requests), plain)


def junk_weights(trained: Path) -> str:
    (trained / "model" / "model.safetensors").write_bytes(b"junk" * 100)
    return r"The model of '.*' can't be loaded \(.+\). Check the folder"


def junk_adapter(trained: Path) -> str:
    (trained / "adapter" / "adapter_model.safetensors").write_bytes(b"junk" * 100)
    return r"The adapter of '.*' can't be loaded \(.+\). Check the folder"


@pytest.mark.parametrize("damage", [junk_weights, junk_adapter])
def test_damaged_weights_are_one_sentence(
    trained: Path, tmp_path: Path, damage: Callable[[Path], str]
) -> None:

    shutil.copytree(trained, tmp_path / "trained")
    sentence = damage(tmp_path / "trained")
    with pytest.raises(UserError, match=sentence):
        by_transformers(tmp_path / "trained", tmp_path / "out", "adapter")
