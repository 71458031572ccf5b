"""Models with a vocabulary of the tokens that ARC prompts need, and back.

Of embedding and head only the rows of kept tokens stay, which saves memory and work where the vocabulary
is large and the model small. All other weights are untouched, so an adapter that was trained on the small
model fits the whole one as it is; `expand_model` puts a small model that was trained itself back.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import UserError
from core.prompts.vocabulary import load_tokenizer
from core.prompts.vocabulary_shrinking import kept_tokens, write_shrunk_tokenizer
from core.storage.files import read_json, write_json, writing
from core.storage.json_records import Count, Record, Text, read_as
from core.storage.model_files import model_fingerprint
from core.storage.models import load_model

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

MAPPING = "shrunk_vocabulary.json"
_NUMBERED = ("bos_token_id", "eos_token_id", "pad_token_id")


class _Mapping(Record):
    """Which tokens of which base a small vocabulary kept."""

    base: Text
    kept: list[Count]


def shrink_model(base: str, folder: Path) -> tuple[int, int]:
    """Write a base model with the needed rows of its vocabulary only; how many it had and has.

    The numbers of the kept tokens stand in `shrunk_vocabulary.json`. Raises `UserError` where the folder
    exists or the tokenizer can't be shrunk.
    """
    if folder.exists():
        raise UserError(f"{folder} exists already. Choose another name or delete the folder first.")
    kept = kept_tokens(base)
    model = load_model(base)
    before = int(model.get_input_embeddings().weight.shape[0])
    for layer in _vocabulary_layers(model):
        _set_rows(layer, layer.weight.detach()[kept].clone())
    model.config.get_text_config().vocab_size = len(kept)
    number = {old: new for new, old in enumerate(kept)}
    for settings in (model.config, model.generation_config):
        _renumber(settings, number)
    with writing(folder) as temporary:
        model.save_pretrained(temporary)
        write_shrunk_tokenizer(base, kept, temporary)
        write_json(temporary / MAPPING, {"base": model_fingerprint(base), "kept": kept})
    return before, len(kept)


def expand_model(shrunk: Path, base: str, folder: Path) -> None:
    """Write the base model with all weights of a (trained) small one, kept rows included.

    Raises `UserError` where the folder exists, or the small model was not made from this base.
    """
    if folder.exists():
        raise UserError(f"{folder} exists already. Choose another name or delete the folder first.")
    if not (shrunk / MAPPING).is_file():
        raise UserError(f"{shrunk} holds no {MAPPING}, so its vocabulary was not shrunk. Choose another.")
    mapping = read_as(shrunk / MAPPING, _Mapping)
    if mapping.base != model_fingerprint(base):
        raise UserError(f"{shrunk} was made from another model than {base}. Name the one it was made from.")
    small, whole = load_model(str(shrunk)), load_model(base)
    rows = [layer.weight.detach() for layer in _vocabulary_layers(small)]
    for layer, values in zip(_vocabulary_layers(whole), rows, strict=True):
        full = layer.weight.detach().clone()
        full[mapping.kept] = values.to(full.dtype)
        _set_rows(layer, full)
    theirs = {id(layer.weight) for layer in _vocabulary_layers(small)}
    others = {name: value.detach() for name, value in small.named_parameters() if id(value) not in theirs}
    whole.load_state_dict(others, strict=False)
    with writing(folder) as temporary:
        whole.save_pretrained(temporary)
        load_tokenizer(base).save_pretrained(temporary)


def carry_mapping(base: str, folder: Path) -> None:
    """Put the mapping of a base with a small vocabulary, if it is one, beside what was trained from it."""
    if (Path(base) / MAPPING).is_file():
        write_json(folder / MAPPING, read_json(Path(base) / MAPPING))


def _vocabulary_layers(model: "PreTrainedModel") -> list[Any]:
    """The embedding and, where it has weights of its own, the head."""
    embedding: Any = model.get_input_embeddings()
    head: Any = model.get_output_embeddings()
    if getattr(head, "bias", None) is not None:
        raise UserError("A model whose head has a bias can't be shrunk. Train with the whole vocabulary.")
    return [embedding] if head is None or head.weight is embedding.weight else [embedding, head]


def _set_rows(layer: Any, rows: "torch.Tensor") -> None:
    """Give a layer other rows in place, so that a head that shares them sees them too."""
    layer.weight.data = rows
    for size in ("num_embeddings", "out_features"):
        if hasattr(layer, size):
            setattr(layer, size, rows.shape[0])
    if getattr(layer, "padding_idx", None) is not None:
        layer.padding_idx = None


def _renumber(settings: Any, number: dict[int, int]) -> None:
    """The special tokens that a configuration names, numbered anew; those that went are not named."""
    for name in _NUMBERED:
        old = getattr(settings, name, None)
        if isinstance(old, list):
            setattr(settings, name, [number[one] for one in old if one in number] or None)
        elif old is not None:
            setattr(settings, name, number.get(old))
