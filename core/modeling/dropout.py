"""Dropout whose draws belong to a batch, so that batches worked on side by side don't share a stream."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_batch = threading.local()  # each core works on a batch of its own


@contextmanager
def drawing_from(seed: int) -> Iterator[None]:
    """Inside, dropout in this thread draws from a stream of its own."""
    import torch

    _batch.generator = torch.Generator().manual_seed(seed)
    try:
        yield
    finally:
        _batch.generator = None


def draw_by_batch(model: Any) -> bool:
    """Let every layer of dropout draw from the stream of its batch; whether the model has any that draws."""
    import torch

    class Dropout(torch.nn.Dropout):
        """torch's, or on a CPU inside `drawing_from` the same from that stream."""

        def forward(self, given: "torch.Tensor") -> "torch.Tensor":
            if not self.training or given.device.type != "cpu":
                return super().forward(given)
            generator = getattr(_batch, "generator", None)
            if generator is None:
                return super().forward(given)
            kept = torch.empty_like(given).bernoulli_(1 - self.p, generator=generator)
            return given * kept.div_(1 - self.p)

    found = False
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) is torch.nn.Dropout and layer.p > 0:
                setattr(parent, name, Dropout(layer.p))
                found = True
    return found


def draws_by_itself(model: Any) -> bool:
    """Whether the model drops activations outside of such layers, where functions are given a share only."""
    return any(
        isinstance(getattr(layer, name, None), float) and getattr(layer, name) > 0
        for layer in model.modules()
        for name in ("attention_dropout", "dropout")
    )
