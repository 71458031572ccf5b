"""Prompts: the same tokens in training and inference, and a loss that counts what it says."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from core.arc.tasks import Task, parse_task
from core.errors import UserError
from core.prompts.encoders import GridEncoding
from core.prompts.templates import (
    PromptSettings,
    Sample,
    answer_text,
    check_tokenizer,
    longest_answer,
    prompt_text,
    prompt_tokens,
    read_answer,
    training_sample,
)
from core.prompts.vocabulary import BOS, EOS, VOCABULARY, embedded_tokenizer
from tests.arc.strategies import grids
from tests.prompts.test_encoders import ENCODINGS

BASE = PromptSettings()
CHAT = PromptSettings(template="chat")
TASK = parse_task(
    {
        "train": [{"input": [[1, 2]], "output": [[3], [4]]}, {"input": [[5]], "output": [[6, 7]]}],
        "test": [{"input": [[8]], "output": [[9], [0]]}],
    },
    task_id="a",
    source="toy",
)
CHAT_TEMPLATE = (
    "{% for message in messages %}#{{ message['content'] }};{% endfor %}"
    "{% if add_generation_prompt %}?{% endif %}"
)


@pytest.fixture
def chat_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = embedded_tokenizer()
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def written(tokens: list[int]) -> str:
    """Tokens of the embedded vocabulary as text, special ones included."""
    return "".join(VOCABULARY[token] for token in tokens)


def counted(sample: Sample) -> list[str]:
    """The stretches of a sample that the loss counts."""
    stretches, before = [""], False
    for token, counts in zip(sample.tokens, sample.is_answer, strict=True):
        if counts:
            stretches[-1] += VOCABULARY[token]
        elif before:
            stretches.append("")
        before = counts
    return [stretch for stretch in stretches if stretch]


def test_the_prompt_ends_where_the_answer_begins() -> None:
    assert prompt_text(TASK, BASE) == "I12\nO3\n4\nI5\nO67\nI8\nO"
    assert answer_text(TASK.test[0].output, BASE) == "9\n0"  # type: ignore[arg-type]
    assert np.array_equal(read_answer("9\n0", BASE), [[9], [0]])  # type: ignore[arg-type]
    assert read_answer("9\n01", BASE) is None


def test_a_training_sample_is_the_prompt_of_inference_then_the_answer(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    prompt = prompt_tokens(TASK, BASE, tokenizer)
    sample = training_sample(TASK, BASE, tokenizer)
    assert prompt[0] == BOS and sample.tokens.count(BOS) == 1
    assert sample.tokens[: len(prompt)] == prompt
    assert written(sample.tokens) == "<bos>I12\nO3\n4<eos>I5\nO67<eos>I8\nO9\n0<eos>"
    assert sample.tokens[-1] == EOS
    assert counted(sample) == ["9\n0<eos>"]
    assert sample.is_answer == [False] * len(prompt) + [True] * 4


def test_loss_on_outputs_counts_those_after_the_first_as_well(tokenizer: PreTrainedTokenizerFast) -> None:
    sample = training_sample(TASK, BASE, tokenizer, every_output=True)
    assert sample.tokens == training_sample(TASK, BASE, tokenizer).tokens
    assert counted(sample) == ["67<eos>", "9\n0<eos>"]


@given(st.data(), st.sampled_from(ENCODINGS), st.integers(1, 4))
def test_loss_on_outputs_counts_whole_outputs_in_every_encoding(
    data: st.DataObject, encoding: GridEncoding, demonstrations: int
) -> None:
    pairs = [{"input": data.draw(grids()), "output": data.draw(grids())} for _ in range(demonstrations + 1)]
    task = parse_task({"train": pairs[:-1], "test": pairs[-1:]}, task_id="a", source="toy")
    settings = PromptSettings(encoding=encoding)
    tokenizer = embedded_tokenizer()
    outputs = [answer_text(pair.output, settings) for pair in task.pairs]  # type: ignore[arg-type]
    sample = training_sample(task, settings, tokenizer, every_output=True)
    assert counted(sample) == [f"{text}<eos>" for text in outputs[1:-1]] + [f"{outputs[-1]}<eos>"]
    assert counted(training_sample(task, settings, tokenizer)) == [f"{outputs[-1]}<eos>"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_no_answer_is_longer_than_the_longest(
    encoding: GridEncoding, tokenizer: PreTrainedTokenizerFast
) -> None:
    settings = PromptSettings(encoding=encoding)
    largest = np.full((30, 30), 9, dtype=np.uint8)
    tokens = tokenizer(answer_text(largest, settings), add_special_tokens=False)["input_ids"]
    assert len(tokens) + 1 <= longest_answer(settings) < len(tokens) + 64


def test_a_chat_model_gets_the_grids_inside_its_own_template(chat_tokenizer: PreTrainedTokenizerFast) -> None:
    text = f"#{prompt_text(TASK, CHAT)};?"
    assert written(prompt_tokens(TASK, CHAT, chat_tokenizer)) == text
    sample = training_sample(TASK, CHAT, chat_tokenizer)
    assert written(sample.tokens) == f"{text}9\n0<eos>"
    assert counted(sample) == ["9\n0<eos>"]


def test_a_missing_chat_template_is_named(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(
        UserError, match=r"has no chat template. Set prompt.template to 'base' or choose a chat model"
    ):
        prompt_tokens(TASK, CHAT, tokenizer)


def test_loss_on_outputs_needs_the_base_template(chat_tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(
        UserError,
        match=r"Loss on every output needs prompt.template 'base'. Set training.loss_on to 'answer'",
    ):
        training_sample(TASK, CHAT, chat_tokenizer, every_output=True)


def word_tokenizer(words: list[str], **special: Any) -> PreTrainedTokenizerFast:
    """A tokenizer that knows only these pieces of text."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {word: number for number, word in enumerate(["<unk>", "<eos>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    pieces = "|".join(sorted(map(str, words), key=len, reverse=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(f"{pieces}|.|\n"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", **special)


def test_loss_on_outputs_counts_tokens_of_several_characters() -> None:
    words = word_tokenizer(["12", "67", *"0123456789IO\n"], eos_token="<eos>")
    sample = training_sample(TASK, BASE, words, every_output=True)
    assert words.decode(sample.tokens) == "I12\nO3\n4<eos>I5\nO67<eos>I8\nO9\n0<eos>"
    counts = [t for t, counts in zip(sample.tokens, sample.is_answer, strict=True) if counts]
    assert words.convert_ids_to_tokens(counts) == ["67", "<eos>", "9", "\n", "0", "<eos>"]


def test_an_output_that_is_not_known_is_no_training_sample(tokenizer: PreTrainedTokenizerFast) -> None:
    hidden: Task = parse_task(
        {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3]]}]},
        task_id="a",
        source="toy",
    )
    assert prompt_tokens(hidden, BASE, tokenizer)
    with pytest.raises(
        UserError, match=r"A pair without an output can't be shown to a model. Choose a source with solutions"
    ):
        training_sample(hidden, BASE, tokenizer)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_embedded_tokenizer_serves_every_encoding(
    encoding: GridEncoding, tokenizer: PreTrainedTokenizerFast
) -> None:
    check_tokenizer(tokenizer, PromptSettings(encoding=encoding))


def test_a_tokenizer_without_a_needed_character_is_refused() -> None:
    no_nine = word_tokenizer(list("012345678IO\n"), eos_token="<eos>")
    with pytest.raises(UserError, match=r"can't write \['9'\] back. Choose another model or another prompt"):
        check_tokenizer(no_nine, BASE)
    no_header = word_tokenizer(list("0123456789IO\n"), eos_token="<eos>")
    check_tokenizer(no_header, BASE)
    with pytest.raises(UserError, match=r"can't write \[.*'x'\] back"):
        check_tokenizer(no_header, PromptSettings(encoding=GridEncoding(shape_header=True)))


def test_a_tokenizer_without_an_end_is_refused() -> None:
    with pytest.raises(UserError, match=r"has no end token. Choose another model"):
        check_tokenizer(word_tokenizer(list("0123456789IO\n")), BASE)
