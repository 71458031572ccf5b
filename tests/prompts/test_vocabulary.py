"""The embedded tokenizer: one token per character, also when transformers loads it beside a model."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast, Qwen2Config

from core.errors import UserError
from core.prompts.templates import PromptSettings, check_tokenizer
from core.prompts.vocabulary import (
    BOS,
    CHARACTERS,
    EOS,
    GRID_CHARACTERS,
    PAD,
    VOCABULARY,
    embedded_tokenizer,
    load_tokenizer,
    tokens_of,
)


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


def byte_level(merges: list[tuple[str, str]], *, prefix: bool = False) -> PreTrainedTokenizerFast:
    """One token per character but for merged ones; `prefix` puts a space before every text."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    letters = [*VOCABULARY, "Ċ", "Ġ", *("".join(pair) for pair in merges)]
    tokens = {letter: number for number, letter in enumerate(letters)}
    tokenizer = Tokenizer(models.BPE(tokens, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=False)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>")


TOKENIZERS = {
    "embedded": embedded_tokenizer(),
    "merging": byte_level([("1", "2")]),
    "prefixed": byte_level([], prefix=True),
    "loaded": None,
}


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerFast:
    """As transformers makes it of the embedded one beside a model: with rules of its own for words."""
    folder = tmp_path_factory.mktemp("model")
    Qwen2Config(vocab_size=len(VOCABULARY)).save_pretrained(folder)
    embedded_tokenizer().save_pretrained(folder)
    found = load_tokenizer(str(folder))
    assert isinstance(found, PreTrainedTokenizerFast)
    return found


@pytest.mark.parametrize("name", TOKENIZERS)
@given(text=st.text(GRID_CHARACTERS + "+", max_size=40))
def test_tokens_are_those_of_the_tokenizer(name: str, loaded: PreTrainedTokenizerFast, text: str) -> None:
    tokenizer = TOKENIZERS[name] or loaded
    assert tokens_of(text, tokenizer) == tokenizer(text, add_special_tokens=False)["input_ids"]


def test_characters_are_looked_up_where_each_is_a_token(
    loaded: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "I3x2\n1 09\nO"
    expected = {name: tokens_of(text, one or loaded) for name, one in TOKENIZERS.items()}
    asked: list[str] = []

    def ask(self: PreTrainedTokenizerFast, text: str, **_: bool) -> dict[str, list[int]]:
        asked.append(text)
        return {"input_ids": []}

    monkeypatch.setattr(PreTrainedTokenizerFast, "__call__", ask)
    for name, one in TOKENIZERS.items():
        looked_up = name in ("embedded", "loaded")
        assert tokens_of(text, one or loaded) == (expected[name] if looked_up else [])
    assert asked == [text, text]


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
    with pytest.raises(UserError, match=r"tokenizer.json is no valid JSON .*Correct, restore or delete it"):
        load_tokenizer(str(tmp_path))
