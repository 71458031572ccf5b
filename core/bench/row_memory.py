"""What a row of a training takes of a GPU's memory, priced without one: shapes and dtypes alone, no numbers.

The model is built on no device, its weights become fake tensors, and one pass forth and back runs on them
with the kernel for variable lengths that a GPU has, while every allocation is counted. What a GPU's allocator
rounds up, its context (about half a gigabyte), and the workspaces of its kernels come on top.
"""

import itertools
import weakref
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np

from core.training.batches import IGNORED, Batch
from core.training.settings import TrainingSettings

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

SAMPLE = 1024
GIGABYTE = 2**30


def priced_gigabytes(
    config: "PreTrainedConfig", settings: TrainingSettings, tokens: int, counted: float = 0.25
) -> tuple[float, float]:
    """Gigabytes (2^30 bytes) that stay through a training (weights, gradients, moments), and the most that a
    pass over a row of so many tokens takes beside them. Samples are of 1,024 tokens, of which a share is
    `counted`."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    from core.modeling import attention
    from core.training.forward import Reader

    lora = settings.method == "lora"
    model = _on_no_device(config, settings, torch.bfloat16 if lora else torch.float32)
    if settings.recompute:
        model.enable_input_require_grads()
        model.gradient_checkpointing_enable({"use_reentrant": False})
    model.train()
    with FakeTensorMode(allow_non_fake_inputs=True):
        _make_fake(model)
        inner = model.get_base_model() if lora else model
        reader = Reader(model, "cpu", True, inner.get_decoder(), inner.get_output_embeddings())
        count = counter()
        before, attention.VARLEN_ON = attention.VARLEN_ON, {"cpu"}
        try:
            with count:
                reader(_row(tokens, counted)).loss().backward()
        finally:
            attention.VARLEN_ON = before
    weights = sum(one.nbytes for one in model.parameters())
    trained = sum(one.nbytes for one in model.parameters() if one.requires_grad)
    return (weights + 3 * trained) / GIGABYTE, max(0, count.peak - trained) / GIGABYTE


def counter() -> Any:
    """A mode that counts the bytes of what is made inside it and still referred to; `peak` is their most."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Counter(TorchDispatchMode):
        peak = held = 0

        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self._known: WeakSet[Any] = WeakSet()

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            found = function(*args, **(kwargs or {}))
            for one in tree_leaves((args, kwargs)):
                if isinstance(one, torch.Tensor) and one.untyped_storage() not in self._known:
                    self._known.add(one.untyped_storage())  # it was there before
            for one in tree_leaves(found):
                if isinstance(one, torch.Tensor) and one.untyped_storage() not in self._known:
                    self._add(one.untyped_storage())
            return found

        def _add(self, storage: Any) -> None:
            self._known.add(storage)
            self.held += storage.nbytes()
            self.peak = max(self.peak, self.held)
            weakref.finalize(storage, self._drop, storage.nbytes())

        def _drop(self, size: int) -> None:
            self.held -= size

    return Counter()


def _on_no_device(config: "PreTrainedConfig", settings: TrainingSettings, dtype: Any) -> Any:
    """The model with its adapter, ready for packed rows; its weights have shapes only."""
    import torch
    from transformers import AutoModelForCausalLM

    from core.modeling.attention import register
    from core.training.models import with_adapter

    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config, dtype=dtype)
        register(model)
        return with_adapter(model, settings, 0) if settings.method == "lora" else model


def _make_fake(model: Any) -> None:
    """Give every weight and buffer a fake tensor on a CPU, ties kept."""
    import torch

    known: dict[int, torch.nn.Parameter] = {}
    for module in model.modules():
        for name, weights in list(module.named_parameters(recurse=False)):
            if id(weights) not in known:
                empty = torch.empty(weights.shape, dtype=weights.dtype)
                known[id(weights)] = torch.nn.Parameter(empty, requires_grad=weights.requires_grad)
            setattr(module, name, known[id(weights)])
        for name, buffer in list(module.named_buffers(recurse=False)):
            setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype))


def _row(tokens: int, counted: float) -> Batch:
    ends = (*range(SAMPLE, tokens, SAMPLE), tokens)
    lengths = tuple(end - start for start, end in itertools.pairwise((0, *ends)))
    positions = np.concatenate([np.arange(length) for length in lengths])
    within = np.concatenate([np.arange(length) >= length * (1 - counted) for length in lengths])
    labels = np.where(within, 5, IGNORED)[None]
    return Batch(np.full((1, tokens), 5), labels, positions[None], tokens, int(within.sum()), lengths, ends)
