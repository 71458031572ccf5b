"""Arithmetic by hand for a small model, peaks by name, memory that grows."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch

from core.training import forward
from core.training.checkpoints import Position
from core.training.efficiency import memory_bytes, operations, peak_of
from core.training.loop import Loop, Training


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("batching", ["padded", "packed"])
def test_operations_of_a_step_by_hand(training: Callable[..., Training], method: str, batching: str) -> None:
    """Two layers of width 32, MLP 64, one head, 32 tokens of vocabulary, adapters of rank 4."""
    loop = Loop.start(training(method=method, batching=batching))
    batches = loop.drawing.step(0).batches
    lengths = [length for batch in batches for length in batch.lengths]
    blocks = 2 * (4 * 32 * 32 + 3 * 32 * 64)
    adapters = 2 * 4 * (4 * (32 + 32) + 3 * (32 + 64))
    frozen = method == "lora"
    wanted = (4 * blocks + 6 * adapters if frozen else 6 * blocks) * sum(lengths)
    wanted += (4 if frozen else 6) * 32 * 32 * sum(batch.answer_tokens for batch in batches)
    attention = sum(2 * (2 * 2 * 32 * length**2 / 2) for length in lengths)  # two layers, two products
    assert operations(loop.model, batches) == pytest.approx(wanted + 3 * attention)


def test_operations_agree_with_those_that_torch_counts(
    training: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch counts whole products, the masked half of attention as well; apart from that both agree where
    the last block works at all tokens, as on a GPU."""
    from torch.utils.flop_counter import FlopCounterMode

    monkeypatch.setattr(forward, "looking_at", nullcontext)
    monkeypatch.setattr(forward, "MULTIPLE", 1)
    loop = Loop.start(training(method="full", batching="packed", tokens_per_batch=16))
    batches = replace(loop.drawing, multiple=1).step(0).batches[:1]
    with FlopCounterMode(display=False) as counter:
        loop.gradients.add([(0, batches[0])], 1, 0)
    counts = counter.get_flop_counts()["Global"]
    matrices = sum(count for name, count in counts.items() if str(name) in ("aten.mm", "aten.addmm"))
    attention = 3 * 2 * 2 * 2 * 32 * batches[0].lengths[0] ** 2 / 2
    assert matrices == pytest.approx(operations(loop.model, batches) - attention, rel=0.02)


def test_peaks_are_known_by_name() -> None:
    assert peak_of("NVIDIA H200") == 989e12
    assert peak_of("NVIDIA H100 PCIe") == 756e12 < (peak_of("NVIDIA H100 80GB HBM3") or 0)
    assert (
        len({peak_of(f"NVIDIA {name}") for name in ("L4", "L40", "L40S", "H100 NVL", "A100-SXM4-80GB")}) == 5
    )
    assert peak_of("NVIDIA L400") is None, "a name is a whole word"
    assert peak_of("Some other card") is None


@pytest.mark.parametrize("instructions", ["avx512_bf16", "amx_bf16", "bf16", None])
def test_activations_are_lowered_where_the_processor_multiplies_them_faster(
    training: Callable[..., Training], monkeypatch: pytest.MonkeyPatch, instructions: str | None
) -> None:
    found = {"avx512_f": True} | ({instructions: True} if instructions else {})
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    loop = Loop.start(training(method="full", precision="auto"))
    assert loop.gradients.read.lower == (instructions is not None)
    assert not Loop.start(training(method="full", precision="float32")).gradients.read.lower


def test_a_cpu_has_memory_but_no_peak(training: Callable[..., Training]) -> None:
    record, _ = Loop.start(training()).step(Position())
    assert record["mfu"] is None and 1e7 < record["memory_bytes"] < 1e12
    before = memory_bytes("cpu")
    block = torch.ones(2**24)
    assert memory_bytes("cpu") >= before > block.numel()
