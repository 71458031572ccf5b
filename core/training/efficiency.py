"""How well a training uses its machine: arithmetic per step, share of the peak, memory.

The arithmetic is that of the model as it is trained, counted like Chowdhery et al. 2022 (PaLM, appendix B):
a multiplication and an addition are two operations, what is computed anew to save memory does not
count. Peaks are the vendors' data-sheet figures for dense bfloat16.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from core.training.batches import Batch

# Dense bfloat16 operations per second, by words of the device's name; the first that fits counts.
PEAKS = (
    ("B200", 2250e12),
    ("H200", 989e12),
    ("H100 PCIe", 756e12),
    ("H100 NVL", 835e12),
    ("H100", 989e12),
    ("A100", 312e12),
    ("L40S", 362e12),
    ("L40", 181e12),
    ("A10G", 70e12),
    ("A10", 125e12),
    ("L4", 121e12),
    ("RTX 4090", 165e12),
    ("RTX 3090", 71e12),
)


def peak_of(device_name: str) -> float | None:
    """The peak of a GPU in operations per second; None where it is not known."""
    return next((peak for part, peak in PEAKS if re.search(rf"\b{part}\b", device_name)), None)


def operations(model: Any, batches: "Iterable[Batch]") -> float:
    """Floating-point operations of one step, forward and backward.

    A token passes each weight matrix of the blocks at 2 operations per weight on the way forth, 2 on the
    way back to its input, and 2 more where the matrix is trained; a counted token passes the head as well.
    In each layer causal attention makes two products of T²/2 pairs for a sample of T tokens, each as wide as
    all heads together, and four on the way back.
    """
    config = model.config.get_text_config()
    head_width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    width = config.num_attention_heads * head_width * config.num_hidden_layers
    per_token, per_counted_token = _per_token(model)
    total = 0.0
    for batch in batches:
        total += per_token * batch.useful_tokens + per_counted_token * batch.answer_tokens
        total += 3 * 2 * width * sum(length**2 for length in batch.lengths)
    return total


def _per_token(model: Any) -> tuple[int, int]:
    """Operations in the matrices inside the blocks (adapters, too) for a token, and in the head."""
    embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    inside = sum(
        _operations(weights)
        for weights in model.parameters()
        if (weights.ndim == 2 or hasattr(weights, "quant_state"))
        and weights is not embedding
        and weights is not head
    )
    return inside, _operations(head)


def _operations(weights: "torch.nn.Parameter") -> int:
    """Operations for a token; a matrix in 4 bits keeps its shape beside its packed bytes."""
    state = getattr(weights, "quant_state", None)
    return (6 if weights.requires_grad else 4) * int(
        weights.numel() if state is None else state.shape.numel()
    )


def has_fast_bfloat16(device: str) -> bool:
    """Whether a device multiplies bfloat16 faster than float32: GPUs of compute capability 8.0 on, and CPUs
    with instructions for it.

    A CPU without them converts each number there and back: with AVX2 alone it takes twice as long.
    """
    import torch

    if device != "cpu":
        return torch.cuda.get_device_capability() >= (8, 0)

    found = torch.cpu.get_capabilities()
    return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def memory_bytes(device: str) -> int:
    """The most memory so far: of the GPU, as torch allocated it, or of this process."""
    if device != "cpu":
        import torch

        return int(torch.cuda.max_memory_allocated())
    import resource
    import sys

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
