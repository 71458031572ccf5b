"""The base of a training is tried before the first step; side files keep no model from being saved."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.errors import UserError
from core.prompts.templates import PromptSettings
from core.prompts.vocabulary import load_tokenizer
from core.storage.models import load_model
from core.training.base_model import check_base
from core.training.models import init_model
from tests.training.tiny import SHAPE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    init_model(tmp_path / "base", SHAPE, 0)
    return tmp_path / "base"


@pytest.mark.parametrize(
    "value",
    [
        {"do_sample": False, "temperature": 0.9, "top_p": 0.6, "eos_token_id": 2},
        {"temperature": "hot"},
        [],
        3,
        {},
        [1],
        None,
        {"cache_implementation": "nope"},
    ],
)
def test_an_invalid_generation_config_keeps_no_model_from_being_saved(
    folder: Path, tmp_path: Path, value: Any
) -> None:
    (folder / "generation_config.json").write_text(json.dumps(value))
    model = load_model(str(folder))
    check_base(model, load_tokenizer(str(folder)), PromptSettings())
    model.save_pretrained(tmp_path / "saved")
    assert load_model(str(tmp_path / "saved")).generation_config.eos_token_id == 2


def test_a_model_that_can_not_be_saved_is_named_before_the_first_step(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer = load_model(str(folder)), load_tokenizer(str(folder))

    def refuse(*_: Any, **__: Any) -> None:
        raise ValueError("rope_parameters contradict each other\nmore")

    monkeypatch.setattr(model, "save_pretrained", refuse)
    with pytest.raises(UserError, match=r"could not be saved after a training \(rope_parameters contradict"):
        check_base(model, tokenizer, PromptSettings())


def test_a_tokenizer_of_another_model_and_broken_weights_are_named(folder: Path) -> None:
    import torch

    model, tokenizer = load_model(str(folder)), load_tokenizer(str(folder))
    whole = model.get_input_embeddings()
    model.set_input_embeddings(torch.nn.Embedding(4, whole.weight.shape[1]))
    with pytest.raises(UserError, match="its model only 4 rows"):
        check_base(model, tokenizer, PromptSettings())
    model.set_input_embeddings(whole)
    with torch.no_grad():
        model.model.norm.weight.fill_(3e38)
        whole.weight.fill_(10.0)
    with pytest.raises(UserError, match="answers with no numbers"):
        check_base(model, tokenizer, PromptSettings())
    with torch.no_grad():
        whole.weight[7, 0] = float("nan")
    with pytest.raises(UserError, match=r"The weights model.embed_tokens.weight of .* hold no numbers"):
        check_base(model, tokenizer, PromptSettings())
