"""Attention in packed rows: samples apart, windows kept, one kernel for a row, models that aren't packed."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers

from core.modeling.attention import _attention, attend_within_samples, boundaries, can_pack
from core.modeling.last_block import looking_at
from tests.modeling.varlen import by_hand, varlen_on_cpu
from tests.training.test_models import fresh

LENGTHS = (5, 70, 1, 24)
STARTS = [0, 5, 75, 76, 100]


class Block(torch.nn.Module):
    """Attention that is in no last block."""

    layer_idx, config = 0, transformers.Qwen2Config(num_hidden_layers=2)


def drawn(heads: int, dtype: torch.dtype, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((1, heads, 100, 16), generator=generator).to(dtype).requires_grad_()


@pytest.mark.parametrize("window", [None, 8])
@pytest.mark.parametrize("kv_heads", [4, 2])
@pytest.mark.parametrize("way", ["one by one", "one kernel"])
def test_attention_and_its_gradient_are_those_of_each_sample(
    window: int | None, kv_heads: int, way: str
) -> None:
    """To 1e-5 in float32 and to 2 % of the largest in bfloat16, queries sharing keys and values or not."""
    dtype = torch.float32 if way == "one by one" else torch.bfloat16
    q, k, v = drawn(4, dtype, 0), drawn(kv_heads, dtype, 1), drawn(kv_heads, dtype, 2)
    ends = boundaries(tuple(STARTS[1:]), "cpu")
    with varlen_on_cpu():
        found, _ = _attention(Block(), q, k, v, None, scaling=0.3, sliding_window=window, **ends)
    rows = [part[0].transpose(0, 1).float() for part in (q, k, v)]
    wanted, _ = by_hand(*rows, STARTS, 0.3, [-1 if window is None else window - 1, 0])
    off = 1e-5 if dtype == torch.float32 else 0.02 * float(wanted.detach().abs().max())
    assert torch.allclose(found[0].float(), wanted, atol=off)
    back = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(3))
    ours = torch.autograd.grad(found[0], (q, k, v), back.to(dtype))
    theirs = torch.autograd.grad(wanted, (q, k, v), back)
    for mine, its in zip(ours, theirs, strict=True):
        bound = 1e-4 if dtype == torch.float32 else 0.02 * float(its.float().abs().max())
        assert torch.allclose(mine.float(), its.float(), atol=bound)


def gemma3(window: int) -> Any:
    config = transformers.Gemma3TextConfig(
        vocab_size=32, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, sliding_window=window, max_position_embeddings=256,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    )  # fmt: skip
    torch.manual_seed(0)
    return transformers.Gemma3ForCausalLM(config).eval()


def nested_gemma3(window: int) -> Any:
    """A model whose text settings lie inside others."""
    config = transformers.Gemma3Config(
        text_config=gemma3(window).config.to_dict(),
        vision_config={"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
                       "num_attention_heads": 1, "image_size": 28, "patch_size": 14},
        mm_tokens_per_image=1,
    )  # fmt: skip
    torch.manual_seed(0)
    return transformers.Gemma3ForConditionalGeneration(config).eval()


def mistral(window: int) -> Any:
    config = transformers.MistralConfig(
        vocab_size=32, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, sliding_window=window, max_position_embeddings=256,
    )  # fmt: skip
    torch.manual_seed(0)
    return transformers.MistralForCausalLM(config).eval()


@pytest.mark.parametrize("make", [gemma3, nested_gemma3, mistral])
def test_a_packed_row_gives_the_logits_of_its_samples(make: Callable[[int], Any]) -> None:
    """With a window shorter than the samples, and the last block at some tokens only or at all."""
    model = make(8)
    tokens = torch.randint(3, 31, (1, 100), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        alone = [model(input_ids=tokens[:, a:b]).logits for a, b in itertools.pairwise(STARTS)]
        assert attend_within_samples(model)
        places = torch.cat([torch.arange(length) for length in LENGTHS])[None]
        given = {"position_ids": places, **boundaries(tuple(STARTS[1:]), "cpu")}
        packed = model(input_ids=tokens, **given).logits
        looked = torch.arange(10, 100)
        with looking_at(looked):
            some = model(input_ids=tokens, **given, logits_to_keep=looked).logits
    wanted = torch.cat(alone, dim=1)
    assert torch.allclose(packed, wanted, atol=1e-4)
    assert torch.allclose(some, wanted[:, 10:], atol=1e-4)
    wide = make(64)
    assert not torch.allclose(wide(input_ids=tokens[:, 5:75]).logits, wanted[:, 5:75], atol=1e-4), (
        "the window matters"
    )


def small(kind: str, **more: Any) -> Any:
    torch.manual_seed(0)
    return fresh(kind, **more).eval()


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("Gemma2", {"head_dim": 16}),  # its attention scores are capped
        ("GptOss", {"head_dim": 16, "num_local_experts": 2, "num_experts_per_tok": 1}),  # attention sinks
        ("Lfm2", {"layer_types": ["conv", "full_attention"]}),  # a convolution along the row
        ("FalconH1", {"mamba_d_ssm": 32, "mamba_n_heads": 2, "mamba_d_head": 16, "mamba_d_state": 8}),
    ],
)  # fmt: skip
def test_a_model_that_mixes_samples_is_padded(kind: str, more: dict[str, Any]) -> None:
    model = small(kind, **more)
    before = model.config._attn_implementation
    assert not attend_within_samples(model)
    assert model.config._attn_implementation == before


def test_what_a_model_computes_decides_where_its_configuration_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A layer that looks at the token before, in a model whose configuration tells of plain attention."""
    model = small("Qwen2")
    assert can_pack(model) and attend_within_samples(model)
    mixing = small("Qwen2")
    first = mixing.model.layers[0].mlp
    honest = first.forward
    first.forward = lambda hidden: honest(hidden + hidden.roll(1, dims=1))
    assert can_pack(mixing) and not attend_within_samples(mixing)
