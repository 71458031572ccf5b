"""What decides the last bits of a training besides its settings and its seed: device, threads, precision.

The same training gives equal losses, bit by bit, only where all of this is equal: a product of matrices adds
its terms in an order that depends on the number of threads and on the processor's instructions. So a
checkpoint carries it, and a training that goes on keeps what can be kept and says what could not be.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from core.training.efficiency import has_fast_bfloat16
from core.training.settings import TrainingSettings

# On two cores small batches stay in the caches: 13,500 tokens/s at 2,048 tokens, 9,200 at 16,384.
TOKENS_PER_BATCH = {"cpu": 2048, "cuda": 32768}
MOST_SIDE_BY_SIDE = 8
_KEPT = ("threads", "side_by_side", "precision", "tokens_per_batch")
_IN_WORDS = {
    "device": "the device",
    "capability": "what the processor's kernels are made for",
    "processes": "the number of processes",
    "torch": "torch",
}


@dataclass(frozen=True)
class Numerics:
    """How a training is computed.

    `device` is "cpu" or the GPU's name; `capability` is what torch's kernels use of a processor (DEFAULT,
    AVX2, AVX512), or a GPU's compute capability; rows are packed for so many cores `side_by_side`;
    `precision` is that of activations, `weights` that of the base model; `tokens_per_batch` the most of one
    pass.
    """

    device: str
    capability: str
    processes: int
    threads: int
    side_by_side: int
    precision: str
    weights: str
    tokens_per_batch: int
    torch: str

    @classmethod
    def here(cls, settings: TrainingSettings, processes: int = 1) -> Self:
        """Those of a training that begins now, in this process."""
        import torch

        kind = "cuda" if torch.cuda.is_available() else "cpu"
        on_gpu = kind == "cuda"
        lower = settings.precision == "bfloat16" or (settings.precision == "auto" and has_fast_bfloat16(kind))
        return cls(
            torch.cuda.get_device_name() if on_gpu else "cpu",
            ".".join(map(str, torch.cuda.get_device_capability())) if on_gpu else _capability(),
            processes,
            torch.get_num_threads(),
            # Of the machine, not of the threads that happen to be free, so that rows are packed alike.
            processes if on_gpu else max(processes, min(os.cpu_count() or 1, MOST_SIDE_BY_SIDE)),
            "bfloat16" if lower else "float32",
            "bfloat16" if on_gpu and lower and settings.method == "lora" else "float32",
            settings.tokens_per_batch or TOKENS_PER_BATCH[kind],
            torch.__version__,
        )

    @property
    def kind(self) -> str:
        """The kind of device as torch names it."""
        return "cpu" if self.device == "cpu" else "cuda"

    def going_on_from(self, begun: Self | None) -> tuple[Self, list[str]]:
        """These, with what a training that began with others keeps of them; and a sentence for each
        difference that stays, after which losses agree to rounding only."""
        if begun is None:
            return self, []
        kept = replace(self, **{name: getattr(begun, name) for name in _KEPT})
        differences = [
            f"The training began with {getattr(begun, name)} as {words} and goes on with"
            f" {getattr(kept, name)}: its losses agree with those of an undisturbed one to rounding only."
            for name, words in _IN_WORDS.items()
            if getattr(begun, name) != getattr(kept, name)
        ]
        return kept, differences

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @contextmanager
    def threads_set(self) -> Iterator[None]:
        """Inside, torch computes with this number of threads."""
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


@contextmanager
def in_one_order(wanted: bool) -> Iterator[None]:
    """Inside, if that is wanted, a GPU adds in one order only. An operation that can't raises `RuntimeError`:
    where it only warned, the kernels of attention would add in any order."""
    import torch

    if not wanted:
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when the library is first used
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def _capability() -> str:
    import torch

    return str(torch.backends.cpu.get_cpu_capability())
