"""Tokenizers with only the tokens that ARC prompts need.

Kept are: every token made of the characters that grids are written with, what the model's chat template
writes around them, the tokens for single bytes, the special tokens in use, and the pieces that all these
are merged from. So byte-pair encoding reads a prompt into the same pieces as before, numbered anew.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.arc.tasks import parse_task
from core.errors import UserError
from core.prompts.templates import PromptSettings, prompt_tokens, training_sample
from core.prompts.vocabulary import GRID_CHARACTERS, load_tokenizer
from core.storage.files import read_json, write_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_NUMBERED = ("bos", "eos", "pad", "unk", "sep", "cls", "mask")


def kept_tokens(location: str) -> list[int]:
    """The numbers of the tokens that prompts need, in their order. Raises `UserError` where the tokenizer is
    of another kind than byte-pair encoding."""
    tokenizer = load_tokenizer(location)
    model = _definition(tokenizer)["model"]
    vocabulary: dict[str, int] = model["vocab"]
    kept = {token for token in vocabulary if _is_needed(token)}
    used = {*_example_tokens(tokenizer), *_special(tokenizer)}
    names = {number: token for token, number in vocabulary.items()}
    kept |= {names[number] for number in used if number in names}
    parts: dict[str, list[str]] = {}
    for left, right in _merges(model):
        parts.setdefault(left + right, []).extend((left, right))
    waiting = list(kept)
    while waiting:
        fresh = set(parts.get(waiting.pop(), ())) - kept
        kept |= fresh
        waiting += fresh
    return sorted({vocabulary[token] for token in kept} | used)


def write_shrunk_tokenizer(location: str, kept: list[int], folder: Path) -> None:
    """The tokenizer with the kept tokens only, numbered in their order, into a folder.

    Raises `UserError` where it does not read prompts as before.
    """
    tokenizer = load_tokenizer(location)
    tokenizer.save_pretrained(folder)
    for name in ("vocab.json", "merges.txt", "added_tokens.json"):
        (folder / name).unlink(missing_ok=True)
    number = {old: new for new, old in enumerate(kept)}
    definition = _definition(tokenizer)
    model = definition["model"]
    model["vocab"] = {token: number[old] for token, old in model["vocab"].items() if old in number}
    model["merges"] = [
        [left, right]
        for left, right in _merges(model)
        if {left, right, left + right} <= model["vocab"].keys()
    ]
    definition["added_tokens"] = [
        {**token, "id": number[token["id"]]} for token in definition["added_tokens"] if token["id"] in number
    ]
    for part in _inside(definition["post_processor"]):
        for special in part.get("special_tokens", {}).values():
            special["ids"] = [number[old] for old in special["ids"]]
    write_json(folder / "tokenizer.json", definition)
    settings = read_json(folder / "tokenizer_config.json")
    added = settings.pop("added_tokens_decoder", None)
    if added:
        settings["added_tokens_decoder"] = {
            str(number[int(old)]): token for old, token in added.items() if int(old) in number
        }
    write_json(folder / "tokenizer_config.json", settings)
    _check(tokenizer, load_tokenizer(str(folder)), kept, location)


def _definition(tokenizer: "PreTrainedTokenizerBase") -> dict[str, Any]:
    """The content of `tokenizer.json`."""
    fast = getattr(tokenizer, "backend_tokenizer", None)
    definition: dict[str, Any] = {} if fast is None else json.loads(fast.to_str())
    if definition.get("model", {}).get("type") != "BPE":
        raise UserError(
            f"The tokenizer of {tokenizer.name_or_path} is no byte-pair encoding, so its vocabulary can't be"
            " shrunk. Train with the whole one."
        )
    return definition


def _merges(model: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for merge in model["merges"]:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        yield left, right


def _is_needed(token: str) -> bool:
    """Whether a token stands for a single byte, or for characters of grids alone."""
    from tokenizers import pre_tokenizers

    bytes_as_written = set(pre_tokenizers.ByteLevel.alphabet())
    grid_characters = set(GRID_CHARACTERS) | {"Ċ", "Ġ", "▁"}
    single = len(token) == 1 and token in bytes_as_written
    return single or bool(_BYTE.fullmatch(token)) or set(token) <= grid_characters


def _special(tokenizer: "PreTrainedTokenizerBase") -> set[int]:
    """The tokens that begin, end and pad."""
    numbers = (getattr(tokenizer, f"{name}_token_id", None) for name in _NUMBERED)
    return {int(number) for number in numbers if number is not None}


def _examples(tokenizer: "PreTrainedTokenizerBase") -> Iterator[list[int]]:
    """A prompt in each template that the tokenizer has."""
    rows = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [0] * 10, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]]
    pairs = [{"input": rows, "output": rows[:width]} for width in (1, 2, 3)]
    task = parse_task({"train": pairs[:2], "test": pairs[2:]}, task_id="example", source="example")
    yield training_sample(task, PromptSettings(), tokenizer).tokens
    if tokenizer.chat_template:
        yield prompt_tokens(task, PromptSettings(template="chat"), tokenizer)


def _example_tokens(tokenizer: "PreTrainedTokenizerBase") -> set[int]:
    return {token for tokens in _examples(tokenizer) for token in tokens}


def _inside(part: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """A post-processor and those that it is made of."""
    if part is not None:
        yield part
        for inner in part.get("processors", []):
            yield from _inside(inner)


def _check(
    whole: "PreTrainedTokenizerBase", shrunk: "PreTrainedTokenizerBase", kept: list[int], location: str
) -> None:
    for before, after in zip(_examples(whole), _examples(shrunk), strict=True):
        if [kept[token] for token in after] != before:
            raise UserError(
                f"The tokenizer of {location} reads prompts otherwise once it is shrunk."
                " Train with the whole vocabulary."
            )
