"""A batch through the model: logits where labels count, for the loss and for validation.

Logits are computed where they are looked at only: in a packed row at the tokens before counted ones (and a
few more, which no loss counts), in padded rows from the first of these on. Where the vocabulary is large they
are made piece by piece, and made anew on the way back, since all at once they would take gigabytes.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from core.errors import UserError
from core.modeling.attention import boundaries, reads_packed_rows
from core.modeling.last_block import looking_at
from core.training.batches import IGNORED, MULTIPLE, Batch

if TYPE_CHECKING:
    import torch

MOST_LOGITS = 2**26
"""Logits that are made at once: 256 MB in float32."""


@dataclass(frozen=True)
class Forward:
    """What the model says at some places: `states`, from which `head` makes logits of shape (places,
    vocabulary); their labels, and which sample each place is of;
    `places` counts them from the beginning of a row."""

    states: "torch.Tensor"
    head: "Callable[[torch.Tensor], torch.Tensor]"
    vocabulary: int
    labels: "torch.Tensor"
    samples: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]

    def loss(self) -> "torch.Tensor":
        """The sum of the counted tokens' losses, in nats."""
        from torch.utils.checkpoint import checkpoint

        pieces = list(self._pieces())
        if len(pieces) == 1:
            return self._loss(*pieces[0])
        losses: list[torch.Tensor] = [
            checkpoint(self._loss, *piece, use_reentrant=False, preserve_rng_state=False) for piece in pieces
        ]
        return sum(losses[1:], losses[0])

    def judged(self) -> "tuple[torch.Tensor, torch.Tensor]":
        """The same loss, and for each place whether its label counts and is not the likeliest token."""
        import torch

        losses, wrong = [], []
        for states, labels in self._pieces():
            logits = self.head(states)
            losses.append(_cross_entropy(logits, labels))
            wrong.append((logits.argmax(-1) != labels) & (labels != IGNORED))
        return torch.stack(losses).sum(), torch.cat(wrong)

    def _loss(self, states: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
        return _cross_entropy(self.head(states), labels)

    def _pieces(self) -> "Iterator[tuple[torch.Tensor, torch.Tensor]]":
        size = max(1, MOST_LOGITS // self.vocabulary)
        yield from zip(self.states.split(size), self.labels.split(size), strict=True)


def _cross_entropy(logits: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
    import torch

    return torch.nn.functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")


@dataclass(frozen=True)
class Reader:
    """Reads batches with a model on a device; `lower` computes in bfloat16.

    Where the model's logits are its head's products with the states of its decoder, and nothing else,
    `decoder` and `head` are known, and logits may be made in pieces.
    """

    model: Any
    device: str
    lower: bool
    decoder: Any = None
    head: Any = None
    longest: int | None = None
    """What a compiled decoder is told as the longest sample of every row, so that it sees one number only."""

    @classmethod
    def of(cls, model: Any, device: str, *, lower: bool, compiled: int | None = None) -> "Reader":
        """A reader that knows decoder and head, if a look at some tokens shows that they make the logits.
        With `compiled`, the longest sample, the decoder is compiled; raises `UserError` where that can't
        be."""
        import torch

        inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        decoder = inner.get_decoder() if hasattr(inner, "get_decoder") else None
        head = inner.get_output_embeddings()
        whole = cls(model, device, lower)
        if decoder is None or head is None or decoder is inner:
            return _only_if(whole, compiled)
        tokens = torch.arange(3, 11, device=device)[None]
        given = {
            "input_ids": tokens,
            "use_cache": False,
            "position_ids": torch.arange(8, device=device)[None],
        }
        if reads_packed_rows(model):
            given |= boundaries((8,), device)
        was_training = model.training
        model.eval()
        with torch.no_grad(), whole.autocast():
            wanted, found = model(**given).logits, head(decoder(**given).last_hidden_state)
        model.train(was_training)
        same = found.shape == wanted.shape and torch.allclose(found.float(), wanted.float(), rtol=1e-3)
        if not same:
            return _only_if(whole, compiled)
        if compiled:
            decoder = torch.compile(decoder, dynamic=False)
        return cls(model, device, lower, decoder, head, compiled)

    @property
    def uncompiled(self) -> "Reader":
        """A reader of rows of other sizes, for each of which a compiled decoder would be compiled anew."""
        decoder = getattr(self.decoder, "_orig_mod", self.decoder)
        return replace(self, decoder=decoder, longest=None)

    def autocast(self) -> AbstractContextManager[Any]:
        """Inside, products are computed in bfloat16 if that is wanted. Without a cache of lowered weights,
        which batches on several threads would share."""
        import torch

        kind = self.device.partition(":")[0]
        return torch.autocast(kind, torch.bfloat16, enabled=self.lower, cache_enabled=False)

    def __call__(self, batch: Batch) -> Forward:
        """What the model says of a batch."""
        counted = np.flatnonzero((batch.labels[:, 1:] != IGNORED).any(axis=0))
        every = np.arange(batch.labels.shape[1] - 1)
        kept = _filled_up(counted, every) if batch.ends else every[counted[0] :]
        labels = on_device(batch.labels[:, kept + 1], self.device).flatten()
        places: dict[str, Any] = {"input_ids": on_device(batch.tokens, self.device)}
        if batch.ends:
            places["position_ids"] = on_device(batch.positions, self.device)
            places |= boundaries(batch.ends, self.device, self.longest)
        at = on_device(kept, self.device)
        at_all = not batch.ends or self.device != "cpu" or self.model.is_gradient_checkpointing
        with self.autocast(), nullcontext() if at_all else looking_at(at):
            if self.decoder is None:
                states = self.model(**places, logits_to_keep=at).logits
            else:
                states = self.decoder(**places, use_cache=False).last_hidden_state[:, at]
        size = states.shape[-1] if self.head is None else self.head.weight.shape[0]
        return Forward(states.flatten(0, 1), self._logits, size, labels, _samples(batch, kept), kept)

    def _logits(self, states: "torch.Tensor") -> "torch.Tensor":
        if self.head is None:
            return states.float()
        with self.autocast():
            logits: torch.Tensor = self.head(states)
        return logits.float()


def _only_if(whole: Reader, compiled: int | None) -> Reader:
    if compiled:
        raise UserError(
            f"The decoder of {type(whole.model).__name__} can't be compiled by itself."
            " Set training.compile to false."
        )
    return whole


def on_device(values: npt.NDArray[Any], device: str) -> "torch.Tensor":
    """An array on a device; a copy to a GPU goes on beside its work."""
    import torch

    found = torch.from_numpy(np.ascontiguousarray(values))
    return found if device == "cpu" else found.pin_memory().to(device, non_blocking=True)


def _filled_up(counted: npt.NDArray[np.int64], every: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The counted places and a few others, in ascending order, so that few numbers of them occur."""
    others = np.setdiff1d(every, counted, assume_unique=True)
    return np.union1d(counted, others[: -len(counted) % MULTIPLE])


def _samples(batch: Batch, kept: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each place the number of its sample within the batch."""
    if batch.ends:
        return np.searchsorted(np.array(batch.ends), kept, side="right")
    return np.repeat(np.arange(len(batch.tokens)), len(kept))
