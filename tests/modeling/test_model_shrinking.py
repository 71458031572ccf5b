"""A vocabulary shrunk to what ARC needs: same tokens, same logits, and back, for chat and base models."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.arc.tasks import parse_task
from core.errors import UserError
from core.modeling.model_shrinking import MAPPING, expand_model, shrink_model
from core.prompts.encoders import GridEncoding
from core.prompts.templates import PromptSettings, check_tokenizer, prompt_tokens, training_sample
from core.prompts.vocabulary import load_tokenizer
from core.storage.models import check_model_folder, load_model
from core.training.train import Training, train
from tests.arc.strategies import grids
from tests.prompts.test_encoders import ENCODINGS
from tests.training.conftest import tiny_settings, toy_mixture

CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|never_used|>"]


def large_tokenizer() -> Any:
    """Byte-level BPE of a few thousand tokens, learned from words and rows of digits."""
    import numpy as np
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    rng = np.random.default_rng(0)
    words = ["".join(chr(97 + c) for c in rng.integers(0, 26, rng.integers(2, 9))) for _ in range(3000)]
    rows = ["".join(map(str, rng.integers(0, 3, 12))) for _ in range(1500)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=3000,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(words), "user\nI1", "assistant\n", *rows], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=CHAT
    )


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def models(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model with a large vocabulary, and the same one shrunk."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    folder = tmp_path_factory.mktemp("models")
    tokenizer = large_tokenizer()
    config = Qwen2Config(
        vocab_size=len(tokenizer) + 37,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=1,
        num_key_value_heads=1,
        tie_word_embeddings=request.param,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    torch.manual_seed(0)
    Qwen2ForCausalLM(config).save_pretrained(folder / "whole")
    tokenizer.save_pretrained(folder / "whole")
    before, after = shrink_model(str(folder / "whole"), folder / "small")
    assert (before, after) == (len(tokenizer) + 37, len(kept_in(folder / "small")))
    assert after < before / 3
    return folder / "whole", folder / "small"


def kept_in(folder: Path) -> list[int]:
    kept: list[int] = json.loads((folder / MAPPING).read_text())["kept"]
    return kept


def logits(folder: Path, tokens: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = load_model(str(folder)).eval()(torch.tensor([tokens])).logits[0]
    return found


@settings(max_examples=30)
@given(st.data(), st.sampled_from(ENCODINGS), st.sampled_from(["base", "chat"]))
def test_every_prompt_is_read_into_the_same_pieces(
    models: tuple[Path, Path], data: st.DataObject, encoding: GridEncoding, template: Any
) -> None:
    whole, small = (load_tokenizer(str(folder)) for folder in models)
    kept = kept_in(models[1])
    pairs = [{"input": data.draw(grids()), "output": data.draw(grids())} for _ in range(3)]
    task = parse_task({"train": pairs[:2], "test": pairs[2:]}, task_id="a", source="toy")
    prompt = PromptSettings(encoding=encoding, template=template)
    before, after = (training_sample(task, prompt, one).tokens for one in (whole, small))
    assert [kept[token] for token in after] == before
    assert small.decode(after) == whole.decode(before)
    check_tokenizer(small, prompt)


def test_the_logits_of_kept_tokens_stay_what_they_were(models: tuple[Path, Path]) -> None:
    whole, small = models
    check_model_folder(small)
    prompt = PromptSettings(template="chat")
    tokens = [prompt_tokens(toy_mixture().sample(0), prompt, load_tokenizer(str(one))) for one in models]
    assert torch.equal(logits(whole, tokens[0])[:, kept_in(small)], logits(small, tokens[1]))
    config, tokenizer = load_model(str(small)).config, load_tokenizer(str(small))
    assert (config.eos_token_id, config.pad_token_id) == (tokenizer.eos_token_id, tokenizer.pad_token_id)
    assert tokenizer.convert_ids_to_tokens(config.eos_token_id) == "<|im_end|>"
    assert config.vocab_size == len(kept_in(small)) == len(tokenizer)
    assert "<|never_used|>" not in tokenizer.get_vocab()


def trained(base: Path, folder: Path, **changes: Any) -> Path:
    settings = tiny_settings(steps=3, learning_rate=1e-2, max_seq_len=512, **changes)
    training = Training(settings, PromptSettings(template="chat"), toy_mixture(), str(base), 0)
    return train(training, folder, lambda record: None)


def test_a_trained_small_model_goes_back_into_the_whole_one(
    models: tuple[Path, Path], tmp_path: Path
) -> None:
    whole, small = models
    result = trained(small, tmp_path, method="full")
    expand_model(result, str(whole), tmp_path / "expanded")
    kept = kept_in(small)
    tokens = list(range(3, 40))
    before = logits(result, tokens)
    after = logits(tmp_path / "expanded", [kept[token] for token in tokens])
    assert after.shape[1] == logits(whole, [0]).shape[1]
    assert torch.allclose(after[:, kept], before, atol=1e-5)
    assert not torch.allclose(logits(small, tokens), before, atol=1e-2), "it was trained"


def test_an_adapter_of_the_small_model_fits_the_whole_one(models: tuple[Path, Path], tmp_path: Path) -> None:
    from peft import PeftModel

    whole, small = models
    adapter = trained(small, tmp_path)
    kept = kept_in(small)
    tokens = torch.arange(3, 40)
    with torch.inference_mode():
        on_small = PeftModel.from_pretrained(load_model(str(small)), adapter)(tokens[None]).logits[0]
        seen = torch.tensor(kept)[tokens][None]
        on_whole = PeftModel.from_pretrained(load_model(str(whole)), adapter)(seen).logits[0]
    assert torch.allclose(on_whole[:, kept], on_small, atol=1e-5)


def test_what_does_not_belong_together_is_one_sentence(
    models: tuple[Path, Path], model_folder: Path, tmp_path: Path
) -> None:
    whole, small = models
    with pytest.raises(UserError, match=r"exists already"):
        shrink_model(str(whole), small)
    with pytest.raises(UserError, match=r"made from another model than .*. Name the one it was made"):
        expand_model(small, str(model_folder), tmp_path / "new")
    with pytest.raises(UserError, match=r"so its vocabulary was not shrunk. Choose another"):
        expand_model(whole, str(whole), tmp_path / "new")


def test_a_tokenizer_without_merges_of_bytes_is_refused(models: tuple[Path, Path], tmp_path: Path) -> None:
    import shutil

    from tests.prompts.test_templates import word_tokenizer

    folder = tmp_path / "words"
    shutil.copytree(models[0], folder)
    for path in folder.glob("tokenizer*"):
        path.unlink()
    config = json.loads((folder / "config.json").read_text()) | {"model_type": "llama"}
    (folder / "config.json").write_text(json.dumps(config))
    word_tokenizer(list("0123456789IO\n"), eos_token="<eos>").save_pretrained(folder)
    with pytest.raises(UserError, match=r"is no byte-pair encoding, so its vocabulary can't be shrunk"):
        shrink_model(str(folder), tmp_path / "new")
