"""Attention within packed samples: one row of tokens holds several samples, none of which sees another.

Registered with transformers under a name of its own, so that any model that takes its attention from
there can be trained on packed rows. On a GPU the kernel for variable lengths of torch does the work; on
a CPU, and in float32, each sample is attended to by itself. Nothing is padded and no mask is made in either
case.
"""

import functools
import itertools
import math
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from core.modeling.last_block import is_last, looked_at, spread_out

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

NAME = "packed_samples"
ENDS_STEP = 256
_KNOWS_FEWER_HEADS = tuple(map(int, version("torch").split(".")[:2])) >= (2, 12)
VARLEN_ON = {"cuda"}
"""Kinds of devices for which torch has a kernel for variable lengths."""


def can_pack(model: "PreTrainedModel") -> bool:
    """Whether all attention of the model is plain causal attention, whole or within a window, and can be
    replaced. What its configuration says is held against what it computes (`keeps_samples_apart`)."""
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    return (
        bool(getattr(model, "_supports_attention_backend", False))
        and kinds <= {"full_attention", "sliding_attention"}
        and not getattr(config, "attn_logit_softcapping", None)
        and not getattr(config, "attention_dropout", 0)
        and not getattr(config, "use_bidirectional_attention", False)
        and not any(getattr(module, "sinks", None) is not None for module in model.modules())
    )


def attend_within_samples(model: "PreTrainedModel") -> bool:
    """Let the model read packed rows: `forward` then takes what `boundaries` returns. Whether it does; a
    model whose samples see each other all the same, through layers of another kind, is left as it was."""
    if not can_pack(model):
        return False
    before = _kind(model)
    register(model)
    if keeps_samples_apart(model):
        return True
    model.set_attn_implementation(before)
    return False


def register(model: "PreTrainedModel") -> None:
    """Let the model take its attention from here."""
    from transformers import AttentionInterface

    # No mask is registered under the name: transformers then makes none, nor asks a GPU where samples end.
    AttentionInterface.register(NAME, _attention)
    model.set_attn_implementation(NAME)


def reads_packed_rows(model: Any) -> bool:
    """Whether `attend_within_samples` has made the model ready."""
    return _kind(model) == NAME


def _kind(model: Any) -> str:
    return str(model.config._attn_implementation)  # noqa: SLF001 - where the library keeps it


def keeps_samples_apart(model: "PreTrainedModel") -> bool:
    """Whether what the model says of the second sample of a row is the same behind any first one.

    State-space layers, convolutions along the row and attention by other means mix samples, whatever the
    configuration calls them.
    """
    import torch

    device, first, second = str(model.device), 9, 7
    rows = torch.arange(first + second, device=device).expand(2, -1).clone() % 5 + 3
    rows[1, :first] += 4
    places = [*range(first), *range(second)]
    shared = {"position_ids": torch.tensor([places], device=device), "use_cache": False}
    was_training = model.training
    model.eval()
    with torch.no_grad():
        one, other = (
            model(input_ids=row[None], **shared, **boundaries((first, first + second), device)).logits[
                0, first:
            ]
            for row in rows
        )
    model.train(was_training)
    off = (one.float() - other.float()).abs().max()
    return bool(off <= (1e-4 if one.dtype == torch.float32 else 2e-2) * one.float().std())


def boundaries(ends: tuple[int, ...], device: str, longest: int | None = None) -> dict[str, Any]:
    """The arguments of the model that say where the samples of a row end; `ends` counts tokens from 0.

    With `longest`, a bound of the samples' lengths, what a compiled model sees stays the same from row to
    row: the bound itself, and a number of ends that grows in steps; the added samples are empty.
    """
    import torch

    starts = [0, *ends]
    if longest is None:
        longest = max(end - start for start, end in itertools.pairwise(starts))
    else:
        starts += [starts[-1]] * (-len(starts) % ENDS_STEP)
    sums = torch.tensor(starts, dtype=torch.int32)
    if device != "cpu":
        sums = sums.pin_memory().to(device, non_blocking=True)
    return {"cu_seq_lens_q": sums, "cu_seq_lens_k": sums, "max_length_q": longest, "max_length_k": longest}


def _attention(
    module: "torch.nn.Module",
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    _mask: None,
    *,
    scaling: float,
    cu_seq_lens_q: "torch.Tensor",
    max_length_q: int,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple["torch.Tensor", None]:
    """Causal attention within samples: (1, heads, tokens, width) in, (1, tokens, heads, width) out. With a
    sliding window a token sees so many, itself included."""
    dtype = _computed_in(value)
    if query.device.type in VARLEN_ON and dtype.itemsize == 2 and value.shape[-1] % 8 == 0:
        return _varlen(query, key, value, cu_seq_lens_q, max_length_q, scaling, dtype, sliding_window), None
    repeats = query.shape[1] // key.shape[1]
    if repeats > 1:
        key, value = (part.repeat_interleave(repeats, dim=1) for part in (key, value))
    places = looked_at() if is_last(module) else None
    starts = cu_seq_lens_q.tolist()
    return _one_by_one(query, key, value, starts, scaling, places, sliding_window), None


def _one_by_one(
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    starts: list[int],
    scaling: float,
    places: "torch.Tensor | None",
    window: int | None,
) -> "torch.Tensor":
    """Each sample by itself; with `places`, the answers there alone and 0 at all other tokens."""
    import torch

    sizes = [end - start for start, end in itertools.pairwise(starts)]
    parts = zip(*(part.split(sizes, dim=2) for part in (query, key, value)), strict=True)
    found = []
    for start, end, (q, k, v) in zip(starts, starts[1:], parts, strict=False):
        if places is None:
            found.append(_causal(q, k, v, scaling, None, window))
            continue
        own = places[(places >= start) & (places < end)] - start
        part = _causal(q[:, :, own], k, v, scaling, own, window) if len(own) else v[:, :, :0]
        found.append(spread_out(part, own, end - start, 2))
    return torch.cat(found, dim=2).transpose(1, 2)


def _causal(
    q: "torch.Tensor",
    k: "torch.Tensor",
    v: "torch.Tensor",
    scaling: float,
    places: "torch.Tensor | None" = None,
    window: int | None = None,
) -> "torch.Tensor":
    """Causal attention of one sample, (1, heads, tokens, width) in and out; `places` are those of the queries
    where they do not come from all tokens."""
    import torch

    mask = None
    if window is not None and window >= k.shape[2]:
        window = None
    if places is not None or window is not None:
        seen_from = torch.arange(k.shape[2], device=v.device) if places is None else places
        behind = seen_from[:, None] - torch.arange(k.shape[2], device=v.device)
        unseen = behind < 0 if window is None else (behind < 0) | (behind >= window)
        zeros = torch.zeros(unseen.shape, dtype=v.dtype, device=v.device)
        mask = zeros.masked_fill_(unseen, -math.inf)[None, None]
    if v.dtype == torch.bfloat16 and v.device.type == "cpu":
        attention = _with_gradient_in_float32()
        mixed: torch.Tensor = attention.apply(q.to(v.dtype), k.to(v.dtype), v, mask, scaling)
        return mixed
    return torch.nn.functional.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=mask is None, scale=scaling
    )


@functools.cache
def _with_gradient_in_float32() -> Any:
    """torch's kernels for attention on CPUs: in bfloat16 on the way forth, in float32 on the way back.

    The way back in bfloat16 converts so much that it takes up to twice as long, and errs twice as much.
    """
    import torch

    class CausalAttention(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, q: Any, k: Any, v: Any, mask: Any, scaling: float) -> Any:
            found, logsumexp = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(  # noqa: SLF001
                q, k, v, 0.0, mask is None, attn_mask=mask, scale=scaling
            )
            ctx.save_for_backward(q, k, v, found, logsumexp)
            ctx.mask, ctx.scaling = mask, scaling
            return found

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            q, k, v, found, logsumexp = (saved.float() for saved in ctx.saved_tensors)
            mask = None if ctx.mask is None else ctx.mask.float()
            back = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(  # noqa: SLF001
                gradients[0].float(), q, k, v, found, logsumexp, 0.0, mask is None,
                attn_mask=mask, scale=ctx.scaling,
            )  # fmt: skip
            return *(part.to(gradients[0].dtype) for part in back), None, None

    return CausalAttention


def _computed_in(value: "torch.Tensor") -> "torch.dtype":
    """What attention is computed in: the kernel for variable lengths knows 16 bits only."""
    import torch

    kind = value.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else value.dtype


def _varlen(
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    sums: "torch.Tensor",
    longest: int,
    scaling: float,
    dtype: "torch.dtype",
    window: int | None,
) -> "torch.Tensor":
    """torch's own kernel for variable lengths; keys and values may have fewer heads than queries, which torch
    up to 2.11 does not know."""
    from torch.nn.attention.varlen import varlen_attn

    fewer: dict[str, Any] = {"enable_gqa": True} if query.shape[1] != key.shape[1] else {}
    if fewer and not _KNOWS_FEWER_HEADS:
        key, value = (part.repeat_interleave(query.shape[1] // key.shape[1], dim=1) for part in (key, value))
        fewer = {}
    q, k, v = (part[0].transpose(0, 1).to(dtype) for part in (query, key, value))
    found: Any = varlen_attn(
        q, k, v, sums, sums, longest, longest,
        scale=scaling,
        window_size=(-1 if window is None else window - 1, 0),
        **fewer,
    )  # fmt: skip
    batched: torch.Tensor = found[None]
    return batched
