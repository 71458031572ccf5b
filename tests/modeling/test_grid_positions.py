"""Positions on the grid: what the angles tell apart; transformers computes them as the formula says."""

import math

import numpy as np
import pytest
import torch

from core.modeling.grid_positions import grid_frequencies, grid_positions
from core.modeling.vocabulary_rows import grow_vocabulary


@pytest.mark.parametrize(("side", "width"), [(3, 32), (12, 32), (13, 32), (30, 32), (30, 64), (30, 128)])
def test_columns_repeat_after_a_row_and_rows_after_a_section(side: int, width: int) -> None:
    frequencies = np.array(grid_frequencies(side, width))
    assert (
        len(frequencies) == width // 2 and (frequencies > 0).all() and (frequencies <= math.pi + 1e-9).all()
    )
    stride, section = side + 1, side * (side + 1)
    turns_per_row, turns_per_section = (frequencies * size / (2 * math.pi) for size in (stride, section))

    def is_whole(turns: np.ndarray) -> np.ndarray:
        return np.abs(turns - np.round(turns)) < 1e-9

    columns = is_whole(turns_per_row)
    rows = is_whole(turns_per_section) & ~columns
    slow = ~columns & ~rows
    assert columns.sum() >= width // 8 and rows.sum() >= width // 8 and 1 <= slow.sum() <= 2
    assert (turns_per_section[slow] <= 0.25 + 1e-9).all()


@pytest.mark.parametrize("side", [12, 30])
def test_every_cell_of_both_sections_has_angles_of_its_own(side: int) -> None:
    places = np.arange(2 * side * (side + 1))
    angles = places[:, None] * np.array(grid_frequencies(side, 32))[None]
    seen = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    apart = seen @ seen.T / 16
    np.fill_diagonal(apart, 0)
    assert apart.max() < 0.999


def test_transformers_turns_by_these_frequencies_at_any_length() -> None:
    from transformers import Qwen2Config
    from transformers.models.qwen2.modeling_qwen2 import Qwen2RotaryEmbedding

    config = Qwen2Config(
        hidden_size=96,
        num_attention_heads=3,
        num_key_value_heads=3,
        max_position_embeddings=512,
        rope_parameters=grid_positions(13, 32, 512),
    )
    rotary = Qwen2RotaryEmbedding(config)
    for length in (10, 400, 512):
        places = torch.arange(length)[None]
        cosine, sine = rotary(torch.zeros(1, length, 96), places)
        angles = torch.arange(length, dtype=torch.float64)[:, None] * torch.tensor(grid_frequencies(13, 32))
        wanted = torch.cat([angles, angles], dim=-1)
        assert torch.allclose(cosine[0].double(), wanted.cos(), atol=1e-4)
        assert torch.allclose(sine[0].double(), wanted.sin(), atol=1e-4)


def test_new_rows_depend_on_seed_and_place_alone_and_old_ones_stay() -> None:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    def model(tied: bool) -> Qwen2ForCausalLM:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            config = Qwen2Config(
                vocab_size=20,
                hidden_size=32,
                intermediate_size=32,
                num_hidden_layers=1,
                tie_word_embeddings=tied,
            )
            config.num_attention_heads = config.num_key_value_heads = 1
            return Qwen2ForCausalLM(config)

    for tied in (True, False):
        plain, some, more, other = (model(tied) for _ in range(4))
        grow_vocabulary(some, 23, seed=1)
        torch.rand(5)
        grow_vocabulary(more, 29, seed=1)
        grow_vocabulary(other, 23, seed=2)
        for layer in ("get_input_embeddings", "get_output_embeddings"):
            rows = [getattr(one, layer)().weight.detach() for one in (plain, some, more, other)]
            assert torch.equal(rows[1][:20], rows[0]) and torch.equal(rows[2][:23], rows[1])
            assert not torch.equal(rows[3][20:], rows[1][20:])
            assert float(rows[2][20:].std()) == pytest.approx(float(rows[0].std()), rel=0.3)
        assert (some.get_output_embeddings().weight is some.get_input_embeddings().weight) is tied
