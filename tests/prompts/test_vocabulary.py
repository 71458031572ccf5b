"""The embedded tokenizer: one token per character, also when transformers loads it beside a model."""

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast, Qwen2Config

from core.errors import UserError
from core.prompts.templates import PromptSettings, check_tokenizer
from core.prompts.vocabulary import BOS, CHARACTERS, EOS, PAD, VOCABULARY, load_tokenizer


def test_it_has_at_most_64_tokens_and_no_character_twice() -> None:
    assert len(VOCABULARY) == len(set(VOCABULARY)) <= 64
    assert all(len(character) == 1 for character in CHARACTERS)


def test_it_reads_back_every_character_beside_a_model(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    Qwen2Config(vocab_size=len(VOCABULARY)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(str(tmp_path))
    text = "".join(CHARACTERS) + "  \n\n 10 IO\n"
    tokens = loaded(text, add_special_tokens=False)["input_ids"]
    assert tokens == [VOCABULARY.index(character) for character in text]
    assert loaded.decode(tokens) == text
    for character in CHARACTERS:
        (token,) = loaded(character, add_special_tokens=False)["input_ids"]
        assert loaded.decode([token]) == character
    assert loaded("I1")["input_ids"] == [BOS, *loaded("I1", add_special_tokens=False)["input_ids"]]
    assert (loaded.pad_token_id, loaded.bos_token_id, loaded.eos_token_id) == (PAD, BOS, EOS)
    assert loaded.decode([BOS, *tokens, EOS], skip_special_tokens=True) == text


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"The tokenizer of '.*' can't be loaded \(.+\). Check the folder"):
        load_tokenizer(str(tmp_path))


def test_a_model_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    """The library makes an empty tokenizer up beside a Qwen2 model; the check finds it."""
    Qwen2Config(vocab_size=32).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"The tokenizer of .* can't write \['\\n', '0', .*\] back"):
        check_tokenizer(load_tokenizer(str(tmp_path)), PromptSettings())


def test_a_broken_tokenizer_is_one_sentence(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    Qwen2Config(vocab_size=len(VOCABULARY)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"version": ')
    with pytest.raises(UserError, match=r"The tokenizer of '.*' can't be loaded \(.+\). Check the folder"):
        load_tokenizer(str(tmp_path))
