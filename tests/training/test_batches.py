"""Batches, schedules and the loss: compared with hand computations."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UserError
from core.prompts.templates import PromptSettings, Sample, training_sample
from core.prompts.vocabulary import PAD, embedded_tokenizer
from core.settings import validated
from core.training.batches import (
    IGNORED,
    Drawing,
    Piece,
    group_by_length,
    group_evenly,
    group_to_pack,
    pack,
    pad,
)
from core.training.checkpoints import Position
from core.training.loop import Loop, Training
from core.training.settings import TrainingSettings
from tests.training.conftest import tiny_settings, toy_mixture

BASE = PromptSettings()


def pieces(samples: list[Sample]) -> list[Piece]:
    """The samples as whoever draws them hands them over."""
    return [Piece.of(sample) for sample in samples]


@pytest.mark.parametrize(
    ("largest", "kind"), [(10, "uint8"), (255, "uint8"), (256, "int16"), (40_000, "int32")]
)
def test_a_piece_holds_its_sample_in_the_narrowest_type(largest: int, kind: str) -> None:
    """Rows hold the same tokens and labels whatever the vocabulary, above a byte, too."""
    sample = Sample([3, largest, 7], [False, True, True])
    piece = Piece.of(sample)
    assert piece.tokens.dtype == kind and piece.tokens.tolist() == sample.tokens
    for batch in (pack([piece, Piece.of(Sample([1, 2], [False, True]))]), pad([piece], PAD)):
        assert batch.tokens.dtype == batch.labels.dtype == np.int64
        assert batch.tokens[0, :3].tolist() == sample.tokens
        assert batch.labels[0, :3].tolist() == [IGNORED, largest, 7]


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 200))
def test_every_sample_is_in_one_group_that_fits(lengths: list[int], most: int) -> None:
    groups = group_by_length(lengths, most)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    sizes = [[lengths[index] for index in group] for group in groups]
    assert all(len(group) == 1 or len(group) * max(group) <= most for group in sizes)
    flat = [size for group in sizes for size in group]
    assert flat == sorted(flat), "short samples are padded to short ones"


def test_a_batch_is_padded_on_the_right_and_pads_do_not_count() -> None:
    tokenizer = embedded_tokenizer()
    samples = [training_sample(toy_mixture().sample(n), PromptSettings(), tokenizer) for n in range(3)]
    samples[1].tokens.append(5)
    samples[1].is_answer.append(True)
    batch = pad(pieces(samples), PAD)
    longest = max(len(sample.tokens) for sample in samples)
    assert batch.tokens.shape == batch.labels.shape == (3, longest)
    for row, sample in enumerate(samples):
        size = len(sample.tokens)
        assert batch.tokens[row, :size].tolist() == sample.tokens
        assert (batch.tokens[row, size:] == PAD).all() and (batch.labels[row, size:] == IGNORED).all()
        wanted = [t if a else IGNORED for t, a in zip(sample.tokens, sample.is_answer, strict=True)]
        assert batch.labels[row, :size].tolist() == wanted
    assert batch.useful_tokens == sum(len(sample.tokens) for sample in samples)
    assert batch.answer_tokens == sum(sum(sample.is_answer) for sample in samples)


def test_a_step_draws_its_own_samples_and_drops_what_is_too_long() -> None:
    tokenizer, settings = embedded_tokenizer(), tiny_settings(max_seq_len=128)
    lengths = [
        len(training_sample(toy_mixture().sample(n), PromptSettings(), tokenizer).tokens) for n in range(12)
    ]
    for step in range(3):
        drawn = drawing(tokenizer, settings).step(4 * step)
        assert (drawn.dropped, drawn.shortened, drawn.next_sample) == (0, 0, 4 * step + 4)
        assert sum(b.useful_tokens for b in drawn.batches) == sum(lengths[4 * step : 4 * step + 4])
    narrow = tiny_settings(max_seq_len=max(lengths[:4]) - 1)
    drawn = drawing(tokenizer, narrow).step(0)
    assert drawn.dropped == sum(length > narrow.max_seq_len for length in lengths[:4]) >= 1
    drawn = drawing(tokenizer, narrow, prompt=PromptSettings(too_long="shorten")).step(0)
    assert (drawn.dropped, sum(len(batch.tokens) for batch in drawn.batches)) == (0, 4)
    assert drawn.shortened == sum(length > narrow.max_seq_len for length in lengths[:4])


@pytest.mark.parametrize("way", [{"samples_per_step": 1}, {"tokens_per_step": 32}])
def test_a_step_goes_on_drawing_until_a_sample_fits(way: dict[str, int]) -> None:
    """Or a long training would end where, by chance, one step drew long samples alone."""
    tokenizer = embedded_tokenizer()
    sizes = [len(training_sample(toy_mixture().sample(n), BASE, tokenizer).tokens) for n in range(20)]
    narrow = drawing(tokenizer, tiny_settings(max_seq_len=min(sizes), **way))
    assert sizes[1] > min(sizes)
    drawn = narrow.step(1)
    assert (drawn.dropped, drawn.next_sample) == (
        sizes[1:].index(min(sizes)),
        sizes[1:].index(min(sizes)) + 2,
    )
    assert [batch.lengths for batch in drawn.batches] == [(min(sizes),)]


def drawing(
    tokenizer: Any, settings: TrainingSettings, *, prompt: PromptSettings = PromptSettings()
) -> Drawing:
    return Drawing(toy_mixture(), prompt, settings, tokenizer, tokens_per_batch=2048, packed=False)


@pytest.mark.parametrize("most", [16, 100, 250, 1000])
def test_steps_of_so_many_tokens_take_every_sample_once_and_in_order(most: int) -> None:
    tokenizer = embedded_tokenizer()
    steps = drawing(tokenizer, tiny_settings(tokens_per_step=most))
    sizes = [len(training_sample(toy_mixture().sample(n), BASE, tokenizer).tokens) for n in range(60)]
    first, taken = 0, 0
    while first < 50:
        drawn = steps.step(first)
        tokens = sum(batch.useful_tokens for batch in drawn.batches)
        assert tokens == sum(sizes[first : drawn.next_sample]) and drawn.next_sample > first
        assert tokens <= most or drawn.next_sample == first + 1
        assert tokens + sizes[drawn.next_sample] > most, "the next one would not have fitted"
        taken, first = taken + 1, drawn.next_sample
    assert taken >= 3


def test_a_step_of_so_many_tokens_ends_where_nothing_fits(training: Callable[..., Training]) -> None:
    loop = Loop.start(training(max_seq_len=16, tokens_per_step=64))
    with pytest.raises(UserError, match=r"None of the \d+ samples of step 1 fits max_seq_len 16"):
        loop.step(Position())


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 200))
def test_packed_rows_hold_every_sample_once_and_are_full(lengths: list[int], most: int) -> None:
    groups = group_to_pack(lengths, most)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    sums = [sum(lengths[index] for index in group) for group in groups]
    assert all(total <= most or len(group) == 1 for total, group in zip(sums, groups, strict=True))
    assert all(a + b > most for a, b in itertools.combinations(sums, 2)), "no two rows would fit into one"


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 200), st.integers(1, 5))
def test_rows_worked_on_side_by_side_are_as_equal_as_can_be(
    lengths: list[int], most: int, side_by_side: int
) -> None:
    groups = group_evenly(lengths, most, side_by_side)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    sums = [sum(lengths[index] for index in group) for group in groups]
    assert all(0 < total <= max(most, *lengths) for total in sums)
    if side_by_side > 1 and lengths:
        assert len(groups) % side_by_side == 0 or len(groups) == len(lengths)
        assert max(sums) - min(sums) <= max(lengths)


def test_a_row_is_filled_up_with_what_no_loss_counts() -> None:
    tokenizer = embedded_tokenizer()
    samples = [training_sample(toy_mixture().sample(n), BASE, tokenizer) for n in range(3)]
    plain, filled = pack(pieces(samples)), pack(pieces(samples), 64)
    size = plain.tokens.shape[1]
    assert size % 64 and filled.tokens.shape[1] == filled.ends[-1] == -(-size // 64) * 64  # type: ignore[index]
    assert np.array_equal(filled.tokens[:, :size], plain.tokens)
    assert np.all(filled.labels[:, size:] == IGNORED)
    for name in ("useful_tokens", "answer_tokens", "lengths"):
        assert getattr(filled, name) == getattr(plain, name)


def test_a_packed_row_holds_its_samples_whole_and_positions_restart() -> None:
    tokenizer = embedded_tokenizer()
    samples = [training_sample(toy_mixture().sample(n), BASE, tokenizer) for n in range(3)]
    batch = pack(pieces(samples))
    assert batch.tokens.shape == (1, sum(len(sample.tokens) for sample in samples))
    starts = [0, *batch.ends]  # type: ignore[misc]
    for sample, start, end in zip(samples, starts, starts[1:], strict=False):
        assert batch.tokens[0, start:end].tolist() == sample.tokens
        assert batch.positions[0, start:end].tolist() == list(range(end - start))
        wanted = [t if a else IGNORED for t, a in zip(sample.tokens, sample.is_answer, strict=True)]
        assert batch.labels[0, start:end].tolist() == wanted
    assert (batch.useful_tokens, batch.answer_tokens) == (starts[-1], int((batch.labels != IGNORED).sum()))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"stepz": 1}, r"trial: unknown key 'stepz'. Did you mean 'steps'\?"),
        ({"lora": {"rnk": 1}}, r"trial: unknown key 'lora.rnk'. Did you mean 'rank'\?"),
        ({"steps": 0}, r"trial: 'steps': Input should be greater than or equal to 1. Correct it in the file"),
        ({"schedule": "zigzag"}, r"trial: 'schedule': Input should be 'constant', 'linear', 'cosine'"),
        ({"lora": {"dropout": 1}}, r"trial: 'lora.dropout': Input should be less than 1"),
    ],
)
def test_wrong_settings_are_one_sentence(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        validated(TrainingSettings, values, "trial")
