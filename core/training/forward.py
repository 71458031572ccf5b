"""A batch through the model: logits where labels count, for the loss and for validation.

Logits are computed where they are looked at only: in a packed row at the tokens before counted ones (and a
few more, which no loss counts), in padded rows from the first of these on.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from core.modeling.attention import boundaries
from core.modeling.last_block import looking_at
from core.training.batches import IGNORED, MULTIPLE, Batch

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Forward:
    """Logits of shape (places, vocabulary) in float32, their labels, and which sample each place is of."""

    logits: "torch.Tensor"
    labels: "torch.Tensor"
    samples: npt.NDArray[np.int64]

    def loss(self) -> "torch.Tensor":
        """The sum of the counted tokens' losses, in nats."""
        import torch

        return torch.nn.functional.cross_entropy(
            self.logits, self.labels, ignore_index=IGNORED, reduction="sum"
        )


def forward(model: Any, batch: Batch, device: str, *, lower: bool) -> Forward:
    """What the model says of a batch; `lower` computes in bfloat16."""
    import torch

    counted = np.flatnonzero((batch.labels[:, 1:] != IGNORED).any(axis=0))
    every = np.arange(batch.labels.shape[1] - 1)
    kept = _filled_up(counted, every) if batch.ends else every[counted[0] :]
    labels = torch.from_numpy(batch.labels[:, kept + 1]).to(device)
    places: dict[str, Any] = {"input_ids": torch.from_numpy(batch.tokens).to(device)}
    if batch.ends:
        places["position_ids"] = torch.from_numpy(batch.positions).to(device)
        places |= boundaries(batch.ends, device)
    places["logits_to_keep"] = torch.from_numpy(kept).to(device)
    at_all = not batch.ends or device != "cpu" or model.is_gradient_checkpointing
    # Without a cache of lowered weights, which batches on several threads would share.
    autocast = torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=lower, cache_enabled=False)
    with autocast, nullcontext() if at_all else looking_at(places["logits_to_keep"]):
        logits = model(**places).logits
    return Forward(logits.float().flatten(0, 1), labels.flatten(), _samples(batch, kept))


def _filled_up(counted: npt.NDArray[np.int64], every: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The counted places and a few others, in ascending order, so that few numbers of them occur."""
    others = np.setdiff1d(every, counted, assume_unique=True)
    return np.union1d(counted, others[: -len(counted) % MULTIPLE])


def _samples(batch: Batch, kept: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each place the number of its sample within the batch."""
    if batch.ends:
        return np.searchsorted(np.array(batch.ends), kept, side="right")
    return np.repeat(np.arange(len(batch.tokens)), len(kept))
