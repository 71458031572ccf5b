"""A language model as the base of pairs: new rows of its vocabulary are learned, the rest stays."""

from pathlib import Path

import pytest
import torch

from core.arc.views import View
from core.inference.adapters import load_merged, write_merged
from core.prompts.encoders import GridEncoding
from core.prompts.pairs import symmetry_token, task_token
from core.prompts.templates import PromptSettings, prompt_tokens
from core.prompts.vocabulary import load_tokenizer
from core.storage.models import load_model
from core.training.train import Training, train
from tests.modeling.test_model_shrinking import large_tokenizer
from tests.training.conftest import tiny_settings, toy_mixture
from tests.training.tiny import copy_task

PAIR = PromptSettings(template="pair", encoding=GridEncoding(shape_header=True))


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of byte-pair tokens with four rows that its tokenizer leaves unused."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    folder = tmp_path_factory.mktemp("base") / "model"
    tokenizer = large_tokenizer()
    config = Qwen2Config(
        vocab_size=len(tokenizer) + 4,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=1,
        num_key_value_heads=1,
        tie_word_embeddings=request.param,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Qwen2ForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_two_steps_teach_new_rows_and_an_adapter(base: Path, tmp_path: Path) -> None:
    settings = tiny_settings(steps=2, learning_rate=1e-2)
    training = Training(settings, PAIR, toy_mixture(), str(base), 0)
    adapter = train(training, tmp_path, lambda record: None)
    merged = write_merged(str(base), adapter, tmp_path / "merged")
    tokenizer, known = load_tokenizer(str(merged)), len(load_tokenizer(str(base)))
    names = [symmetry_token(0), *(task_token(f"{number:08x}") for number in range(4))]
    numbers = [tokenizer.convert_tokens_to_ids(name) for name in names]
    assert numbers == [known, *range(known + 8, known + 12)], "behind all that the tokenizer had"
    before = load_model(str(base)).get_input_embeddings().weight.detach()
    after = load_model(str(merged)).get_input_embeddings().weight.detach()
    assert len(after) == known + 12 and torch.equal(after[:known], before[:known])
    tokens = torch.tensor([prompt_tokens(View(5).apply(copy_task(2)), PAIR, tokenizer)])
    with torch.inference_mode():
        wanted = load_merged(str(base), adapter)(input_ids=tokens).logits
        found = load_model(str(merged))(input_ids=tokens).logits
    assert torch.allclose(wanted, found, atol=1e-5)


def test_full_training_learns_them_too(base: Path, tmp_path: Path) -> None:
    settings = tiny_settings(steps=2, method="full", learning_rate=1e-2)
    losses: list[float] = []
    folder = train(
        Training(settings, PAIR, toy_mixture(), str(base), 0),
        tmp_path,
        lambda record: losses.append(record["loss"]),
    )
    assert len(losses) == 2 and losses[1] < losses[0]
    assert len(load_model(str(folder)).get_input_embeddings().weight) == len(load_tokenizer(str(folder)))
