"""Which layers of a model an adapter changes: names from the settings held against the model's own.

`all-linear` stands for every linear layer inside the blocks, whatever a family calls them. A name that no
layer has is refused, so that a misspelt one is not left untrained without a word; what stays without an
adapter is counted.
"""

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from core.errors import UserError
from core.modeling.last_block import block_stacks
from core.number_words import share_text

if TYPE_CHECKING:
    import torch

ALL_LINEAR = "all-linear"


def layers_to_adapt(model: Any, names: Sequence[str]) -> list[str]:
    """The names of the linear layers to adapt, `all-linear` spelt out. Raises `UserError` for a name that no
    layer of the model has."""
    inside = sorted({name.rpartition(".")[2] for name, _ in _linear_layers(_blocks(model))})
    known = [name for name, _ in model.named_modules()]
    found: dict[str, None] = {}
    for name in names:
        if name == ALL_LINEAR:
            found |= dict.fromkeys(inside)
        elif any(one == name or one.endswith(f".{name}") for one in known):
            found[name] = None
        else:
            near = difflib.get_close_matches(name, inside, n=1)
            hint = f"Did you mean '{near[0]}'? " if near else ""
            raise UserError(
                f"The model has no layer named '{name}'. {hint}It has {', '.join(inside) or 'none'}"
                f" inside its blocks. Correct training.lora.target_modules, or set it to {ALL_LINEAR}."
            )
    return list(found)


def coverage(model: Any) -> tuple[float, dict[str, int]]:
    """Of an adapted model: the share of the weights of matrices inside the blocks that an adapter changes,
    and how many weights stay as they are, by name of the matrix."""
    adapted = {id(weights) for layer in model.modules() for weights in _base_weights(layer)}
    covered, left = 0, Counter[str]()
    for name, weights in _blocks(model).named_parameters():
        if weights.ndim < 2 or "lora_" in name:
            continue
        if id(weights) in adapted:
            covered += _size(weights)
        else:
            left[name.removesuffix(".weight").rpartition(".")[2]] += _size(weights)
    total = covered + sum(left.values())
    return (covered / total if total else 0.0), dict(left.most_common())


def coverage_sentence(share: float, left: dict[str, int]) -> str | None:
    """What to know where an adapter leaves matrices out; None where it changes all."""
    if not left:
        return None
    names = ", ".join(list(left)[:6])
    return (
        f"The adapter changes {share_text(share, 0)} of the weights inside the blocks and leaves out:"
        f" {names}. Set training.lora.target_modules to {ALL_LINEAR} to reach every linear layer."
    )


def _base_weights(layer: Any) -> "Iterable[torch.Tensor]":
    if not hasattr(layer, "lora_A"):
        return []
    return [weights for name, weights in layer.named_parameters() if "lora_" not in name]


def _blocks(model: Any) -> Any:
    """The largest stack of blocks; the model where it has none."""
    return max(block_stacks(model), key=lambda part: sum(map(_size, part.parameters())), default=model)


def _linear_layers(part: Any) -> Iterator[tuple[str, Any]]:
    import torch

    for name, layer in part.named_modules():
        if isinstance(layer, torch.nn.Linear) or type(layer).__name__ == "Conv1D":
            yield name, layer


def _size(weights: Any) -> int:
    """Numbers in a matrix; one in 4 bits keeps its shape beside its packed bytes."""
    state = getattr(weights, "quant_state", None)
    return int(weights.numel() if state is None else state.shape.numel())
