"""Tokenizers: that of any model, and that of the embedded ones, with one token per character, 32 in all.

The embedded one is an ordinary `tokenizer.json`, so transformers and vLLM load it like any other.
"""

import functools
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from core.errors import panics_as_errors
from core.storage.models import leave_out_unneeded, unreadable

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

SPECIAL = ["<pad>", "<bos>", "<eos>"]
GRID_CHARACTERS = "0123456789\nIO x"
"""Every character that a prompt may hold, whatever its encoding (a chat template adds its own)."""
CHARACTERS = list(GRID_CHARACTERS + ",:|;.#+-=>?()/")
VOCABULARY = SPECIAL + CHARACTERS
PAD, BOS, EOS = range(3)

# Byte-level tokenizers write these two bytes as printable characters.
_BYTE_LEVEL = {"\n": "Ċ", " ": "Ġ"}


def embedded_tokenizer() -> "PreTrainedTokenizerFast":
    """A character tokenizer that puts `<bos>` before a prompt.

    It is byte-level BPE without merges, because transformers loads any tokenizer beside a Qwen2 model
    as that, whatever its file says.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokens = {_BYTE_LEVEL.get(token, token): number for number, token in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.BPE(tokens, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", BOS)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>", unk_token=None
    )


def load_tokenizer(location: str) -> "PreTrainedTokenizerBase":
    """The tokenizer of a model folder or hub model. Raises `UserError` where there is none."""
    leave_out_unneeded()
    from transformers import AutoTokenizer

    try:
        with panics_as_errors():
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
                location, trust_remote_code=False
            )
            tokenizer("0")  # some settings of another type are found when it is used
    except Exception as problem:  # a damaged file raises whatever its parser likes: KeyError, Exception, …
        raise unreadable("tokenizer", location, problem) from problem
    return tokenizer


def tokens_of(text: str, tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """The tokens of a piece of text, special ones not added.

    Where every character is a token of its own they are looked up, which is fifty times faster.
    """
    letters = _letters(tokenizer)
    try:
        return [letters[letter] for letter in text]
    except KeyError:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])


@functools.lru_cache(maxsize=8)
def _letters(tokenizer: "PreTrainedTokenizerBase") -> Mapping[str, int]:
    """The token of each character that grids are written with, where the tokenizer merges none and reads
    them alike wherever they stand; else nothing."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or json.loads(backend.to_str())["model"].get("merges") != []:
        return {}

    def read(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    neighbours = "".join(one + other for one in GRID_CHARACTERS for other in GRID_CHARACTERS)
    letters = {letter: tokens[0] for letter in GRID_CHARACTERS if len(tokens := read(letter)) == 1}
    alike = [letters.get(letter) for letter in neighbours] == read(neighbours)
    return letters if alike else {}
