"""Attention within packed samples: one row of tokens holds several samples, none of which sees another.

Registered with transformers under a name of its own, so that any model that takes its attention from
there can be trained on packed rows. On a GPU the kernel for variable lengths of torch does the work; on
a CPU, and in float32, each sample is attended to by itself. Nothing is padded and no mask is made in either
case.
"""

import functools
import inspect
import itertools
import math
from typing import TYPE_CHECKING, Any

from core.errors import UserError
from core.modeling.last_block import is_last, looked_at, spread_out

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

NAME = "packed_samples"


def can_pack(model: "PreTrainedModel", longest: int) -> bool:
    """Whether all attention of the model is plain causal attention for samples of up to `longest` tokens,
    and can be replaced."""
    config = model.config
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    window = getattr(config, "sliding_window", None)
    return (
        bool(getattr(model, "_supports_attention_backend", False))
        and kinds <= {"full_attention", "sliding_attention"}
        and (window is None or window >= longest)
        and not getattr(config, "attn_logit_softcapping", None)
        and not getattr(config, "attention_dropout", 0)
    )


def attend_within_samples(model: "PreTrainedModel", longest: int) -> None:
    """Let the model read packed rows: `forward` then takes what `boundaries` returns.

    Raises `UserError` where its attention is of another kind.
    """
    from transformers import AttentionInterface, AttentionMaskInterface

    if not can_pack(model, longest):
        raise UserError(
            f"The attention of {type(model).__name__} can't be kept within packed samples."
            " Set training.batching to 'padded'."
        )
    AttentionInterface.register(NAME, _attention)
    AttentionMaskInterface.register(NAME, _no_mask)
    model.set_attn_implementation(NAME)


def boundaries(ends: tuple[int, ...], device: str) -> dict[str, Any]:
    """The arguments of the model that say where the samples of a row end; `ends` counts tokens from 0."""
    import torch

    starts = [0, *ends]
    longest = max(end - start for start, end in itertools.pairwise(starts))
    sums = torch.tensor(starts, dtype=torch.int32, device=device)
    return {"cu_seq_lens_q": sums, "cu_seq_lens_k": sums, "max_length_q": longest, "max_length_k": longest}


def _no_mask(*_: Any, **__: Any) -> None:
    """The boundaries say it all."""


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
    **_: Any,
) -> tuple["torch.Tensor", None]:
    """Causal attention within samples: (1, heads, tokens, width) in, (1, tokens, heads, width) out."""
    repeats = query.shape[1] // key.shape[1]
    if repeats > 1:
        key, value = (part.repeat_interleave(repeats, dim=1) for part in (key, value))
    dtype = _computed_in(value)
    if query.device.type == "cuda" and dtype.itemsize == 2 and value.shape[-1] % 8 == 0:
        return _on_gpu(query, key, value, cu_seq_lens_q, max_length_q, scaling, dtype), None
    places = looked_at() if is_last(module) else None
    return _one_by_one(query, key, value, cu_seq_lens_q.tolist(), scaling, places), None


def _one_by_one(
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    starts: list[int],
    scaling: float,
    places: "torch.Tensor | None",
) -> "torch.Tensor":
    """Each sample by itself; with `places`, the answers there alone and 0 at all other tokens."""
    import torch

    found = []
    for start, end in itertools.pairwise(starts):
        q, k, v = (part[:, :, start:end] for part in (query, key, value))
        if places is None:
            found.append(_causal(q, k, v, scaling))
            continue
        own = places[(places >= start) & (places < end)] - start
        part = _causal(q[:, :, own], k, v, scaling, own) if len(own) else v[:, :, :0]
        found.append(spread_out(part, own, end - start, 2))
    return torch.cat(found, dim=2).transpose(1, 2)


def _causal(
    q: "torch.Tensor",
    k: "torch.Tensor",
    v: "torch.Tensor",
    scaling: float,
    places: "torch.Tensor | None" = None,
) -> "torch.Tensor":
    """Causal attention of one sample, (1, heads, tokens, width) in and out; `places` are those of the queries
    where they do not come from all tokens."""
    import torch

    mask = None
    if places is not None:
        unseen = torch.arange(k.shape[2]) > places[:, None]
        mask = torch.zeros(unseen.shape, dtype=v.dtype).masked_fill_(unseen, -math.inf)[None, None]
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


def _on_gpu(
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    sums: "torch.Tensor",
    longest: int,
    scaling: float,
    dtype: "torch.dtype",
) -> "torch.Tensor":
    """torch's own variable-length kernel, whose way to say "causal" and "scale" changed between versions."""
    from torch.nn.attention.varlen import varlen_attn

    q, k, v = (part[0].transpose(0, 1).to(dtype) for part in (query, key, value))
    known = inspect.signature(varlen_attn).parameters
    options: dict[str, Any] = {"is_causal": True} if "is_causal" in known else {"window_size": (-1, 0)}
    if "scale" in known:
        options["scale"] = scaling
    else:  # the kernel divides by the root of the width
        q = q * (scaling * q.shape[-1] ** 0.5)
    found: Any = varlen_attn(q, k, v, sums, sums, longest, longest, **options)
    batched: torch.Tensor = found[None]
    return batched
