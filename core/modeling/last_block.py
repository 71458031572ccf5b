"""The last block of a model at the tokens alone that are looked at.

Above it tokens do not mix any more, so what it makes of the others is thrown away. Its queries and its
MLP are left out there, about a fifth of the work in a model of four blocks that counts answers; keys and
values still come from all tokens. For packed rows on a CPU.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_row = threading.local()  # each core works on a row of its own


def shorten_last_block(model: Any) -> None:
    """Let the MLP of the last block skip what `looking_at` leaves out; nothing where no such MLP is found."""
    import torch

    stacks = block_stacks(model)
    mlp = getattr(stacks[0][-1], "mlp", None) if len(stacks) == 1 else None
    if isinstance(mlp, torch.nn.Module):
        mlp.register_forward_pre_hook(_gather)
        mlp.register_forward_hook(_scatter)


def block_stacks(model: Any) -> list[Any]:
    """The module lists with as many members as the model has layers: its blocks, in most models one list."""
    import torch

    count = model.config.get_text_config().num_hidden_layers
    return [part for part in model.modules() if isinstance(part, torch.nn.ModuleList) and len(part) == count]


@contextmanager
def looking_at(places: "torch.Tensor") -> Iterator[None]:
    """Inside, this thread looks at these tokens of its row alone; they ascend."""
    _row.places = places
    try:
        yield
    finally:
        _row.places = None


def looked_at() -> "torch.Tensor | None":
    """The tokens that this thread looks at; None where it looks at all."""
    return getattr(_row, "places", None)


def is_last(attention: Any) -> bool:
    """Whether this is the attention of a last block."""
    return bool(getattr(attention, "layer_idx", None) == attention.config.num_hidden_layers - 1)


def spread_out(part: "torch.Tensor", places: "torch.Tensor", size: int, dim: int) -> "torch.Tensor":
    """What was computed at these places, with 0 at all others of `size`."""
    return part.new_zeros((*part.shape[:dim], size, *part.shape[dim + 1 :])).index_copy(dim, places, part)


def _gather(_: Any, inputs: "tuple[torch.Tensor]") -> "tuple[torch.Tensor]":
    places = looked_at()
    if places is None:
        return inputs
    _row.size = inputs[0].shape[1]
    return (inputs[0][:, places],)


def _scatter(_: Any, __: Any, output: "torch.Tensor") -> "torch.Tensor":
    places = looked_at()
    return output if places is None else spread_out(output, places, _row.size, 1)
