"""torch's kernel for attention of variable lengths, made for CPUs, so that the branch of GPUs runs here."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch.nn.attention import varlen

from core.modeling import attention

_registered: list[bool] = []


def by_hand(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    starts: list[int],
    scale: float | None,
    window: list[int] | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention of each sample as products of matrices: (tokens, heads, width), and the log of the sums of
    exponentials, (heads, tokens)."""
    repeats = query.shape[1] // key.shape[1]
    outputs, sums = [], []
    for start, end in itertools.pairwise(starts):
        q = query[start:end].transpose(0, 1).float()
        k, v = (
            part[start:end].transpose(0, 1).float().repeat_interleave(repeats, 0) for part in (key, value)
        )
        scores = q @ k.transpose(1, 2) * (scale if scale is not None else q.shape[-1] ** -0.5)
        scores = scores.masked_fill(_unseen(end - start, window), -torch.inf)
        outputs.append((scores.softmax(-1) @ v).transpose(0, 1))
        sums.append(scores.logsumexp(-1))
    return torch.cat(outputs).to(query.dtype), torch.cat(sums, dim=1)


def _unseen(size: int, window: list[int] | None) -> torch.Tensor:
    """What a token does not see, (size, size): beyond so many to the left and to the right; -1 is no
    bound."""
    left, right = window or (-1, -1)
    behind = torch.arange(size)[:, None] - torch.arange(size)
    unseen = (behind < -right) if right >= 0 else torch.zeros_like(behind, dtype=torch.bool)
    return unseen | (behind > left) if left >= 0 else unseen


def _forward(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seq_q: torch.Tensor,
    cu_seq_k: torch.Tensor | None,
    max_q: int,
    max_k: int,
    is_causal: bool = False,
    scale: float | None = None,
    window_size: list[int] | None = None,
    enable_gqa: bool = False,
    *_: Any,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    starts = cu_seq_q.tolist()
    assert enable_gqa or query.shape[1] == key.shape[1], "fewer heads of keys need enable_gqa"
    assert max(b - a for a, b in itertools.pairwise(starts)) <= max_q, "a sample is longer than said"
    out, lse = by_hand(query, key, value, starts, scale, window_size)
    return out, lse, torch.zeros(2, dtype=torch.uint64)


def _backward(
    grad: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    out: torch.Tensor,
    lse: torch.Tensor,
    cu_seq_q: torch.Tensor,
    cu_seq_k: torch.Tensor,
    max_q: int,
    max_k: int,
    is_causal: bool,
    rng_state: torch.Tensor,
    scale: float | None = None,
    window_size: list[int] | None = None,
) -> tuple[torch.Tensor, ...]:
    heads, repeats = key.shape[1], query.shape[1] // key.shape[1]
    scale = scale if scale is not None else query.shape[-1] ** -0.5
    found: list[list[torch.Tensor]] = [[], [], []]
    for start, end in itertools.pairwise(cu_seq_q.tolist()):
        q, o, g = (part[start:end].transpose(0, 1).float() for part in (query, out, grad))
        k, v = (
            part[start:end].transpose(0, 1).float().repeat_interleave(repeats, 0) for part in (key, value)
        )
        scores = (q @ k.transpose(1, 2) * scale).masked_fill(_unseen(end - start, window_size), -torch.inf)
        shares = scores.softmax(-1)
        inner = shares * (g @ v.transpose(1, 2) - (g * o).sum(-1, keepdim=True)) * scale
        parts = inner @ k, inner.transpose(1, 2) @ q, shares.transpose(1, 2) @ g
        found[0].append(parts[0].transpose(0, 1))
        for place in (1, 2):
            found[place].append(parts[place].unflatten(0, (heads, repeats)).sum(1).transpose(0, 1))
    return tuple(torch.cat(one).to(query.dtype) for one in found)


@contextmanager
def varlen_on_cpu() -> Iterator[None]:
    """Inside, packed rows in 16 bits take the branch of a GPU."""
    if not _registered:
        varlen._varlen_attn.register_kernel("cpu")(_forward)
        varlen._varlen_attn_backward.register_kernel("cpu")(_backward)
        _registered.append(True)
    with mock.patch.object(attention, "VARLEN_ON", {"cpu", "cuda"}):
        yield
