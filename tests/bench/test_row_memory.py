"""The price of a row on fake tensors: bytes by hand, other shapes than the project's."""

import pytest
import torch
from transformers import LlamaConfig, Qwen2Config

from core.bench.row_memory import counter, priced_gigabytes
from core.settings import validated
from core.training.settings import TrainingSettings

GIGABYTE = 2**30


def test_what_is_alive_is_counted_and_what_has_gone_is_not() -> None:
    """Ten results of 4,000 bytes that the way back needs, and two that are alive at a time where it does
    not."""
    given = torch.ones(1000, requires_grad=True)
    with counter() as count:
        kept = given
        for _ in range(10):
            kept = kept.exp()
    assert count.peak == count.held == 40_000
    with torch.no_grad(), counter() as count:
        left = given
        for _ in range(10):
            left = left.exp()
    assert count.peak == 8_000 and count.held == 4_000
    del kept, left


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_row_costs_what_its_activations_hold(method: str) -> None:
    """Weights, gradients and moments by hand; activations are a straight line in tokens, less where they are
    computed anew; and they hold at least what each layer keeps for its products."""
    kinds = {
        "qwen": Qwen2Config(
            vocab_size=512, hidden_size=256, intermediate_size=1024, num_hidden_layers=4,
            num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True,
        ),
        "llama": LlamaConfig(
            vocab_size=4096, hidden_size=128, intermediate_size=320, num_hidden_layers=3,
            num_attention_heads=4, num_key_value_heads=1, tie_word_embeddings=False,
        ),
    }  # fmt: skip
    for config in kinds.values():
        settings = validated(TrainingSettings, {"method": method, "lora": {"rank": 8}}, "training")
        stays, two = priced_gigabytes(config, settings, 2048)
        _, four = priced_gigabytes(config, settings, 4096)
        _, eight = priced_gigabytes(config, settings, 8192)
        assert eight - four == pytest.approx(2 * (four - two), rel=0.02)
        # In 16 bits: what norms give to q, k, v and to gate and up, what down and o get, two of a width.
        width, inner = config.hidden_size, config.intermediate_size
        least = 2 * config.num_hidden_layers * (3 * width + 3 * inner) * 2048 / GIGABYTE
        assert least < two < 6 * least + 2048 * config.vocab_size * 4 / GIGABYTE
        if method == "full":
            layer = 2 * width * (width + width * config.num_key_value_heads // config.num_attention_heads)
            weights = config.num_hidden_layers * (layer + 3 * width * inner)
            weights += config.vocab_size * width * (1 if config.tie_word_embeddings else 2)
            assert stays == pytest.approx(4 * 4 * weights / GIGABYTE, rel=0.02)
        anew = settings.model_copy(update={"recompute": True})
        assert priced_gigabytes(config, anew, 4096)[1] < 0.7 * four
