"""What turns gradients into steps: AdamW alone, or Muon for the matrices inside the blocks.

AdamW is torch's own. Muon (Jordan 2024) gives each matrix an update whose singular values are all about
one, which suits weights that mix features and not those that look tokens up: embeddings, heads, biases
and norms stay with AdamW. Its updates are scaled to the size of AdamW's (Liu et al. 2025), so one
learning rate serves both.
"""

import contextlib
import functools
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from core.training.efficiency import has_fast_bfloat16
from core.training.settings import TrainingSettings

if TYPE_CHECKING:
    import torch

_LOOKED_UP = ("embed", "lm_head", "wte", "wpe")
_MOMENTUM = 0.95
_NEWTON_SCHULZ = (3.4445, -4.775, 2.0315)


class Optimizers:
    """One or more optimizers as one: their groups in one list, their moments under one roof."""

    def __init__(self, parts: "list[torch.optim.Optimizer]") -> None:
        self.parts = parts
        self.state: defaultdict[torch.Tensor, dict[str, Any]] = defaultdict(dict)
        for part in parts:
            part.state = self.state  # parameters are distinct, so the parts can share it

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of all parts; setting a group's `lr` sets it."""
        return [group for part in self.parts for group in part.param_groups]

    def step(self) -> None:
        """One step of every part."""
        for part in self.parts:
            part.step()

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)


def make_optimizers(trained: "dict[str, torch.nn.Parameter]", settings: TrainingSettings) -> Optimizers:
    """The optimizers of the named weights. Matrices decay; biases and norms do not."""
    import torch

    decay = settings.weight_decay
    wanted = settings.optimizer == "muon"
    by_muon = [name for name, weights in trained.items() if wanted and _is_mixing(name, weights)]
    rest = [weights for name, weights in trained.items() if name not in set(by_muon)]
    groups = [
        {"params": [w for w in rest if w.ndim >= 2], "weight_decay": decay},
        {"params": [w for w in rest if w.ndim < 2], "weight_decay": 0.0},
    ]
    on_gpu = any(weights.device.type == "cuda" for weights in rest)
    parts: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.95), fused=on_gpu or None)
    ]
    if by_muon:
        matrices = [trained[name] for name in by_muon]
        parts.append(_stacked_muon()(matrices, settings.learning_rate, decay))
    return Optimizers(parts)


@functools.cache
def _stacked_muon() -> Any:
    """torch's Muon (`torch.optim.Muon`), which turns matrices of one shape together: a few products of stacks
    instead of some dozen small operations for each matrix."""
    import torch

    class StackedMuon(torch.optim.Optimizer):
        """Nesterov momentum of .95; five Newton-Schulz steps; updates of AdamW's size (.2 √ of the longer
        side)."""

        def __init__(self, params: "list[torch.nn.Parameter]", lr: float, weight_decay: float) -> None:
            super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

        @torch.no_grad()
        def step(self, _closure: None = None) -> None:  # type: ignore[override]
            """Turn every matrix that has a gradient."""
            for group in self.param_groups:
                alike: dict[torch.Size, list[torch.Tensor]] = defaultdict(list)
                for matrix in group["params"]:
                    if matrix.grad is not None:
                        alike[matrix.shape].append(matrix)
                for matrices in alike.values():
                    self._turn(matrices, group["lr"], group["weight_decay"])

        def _turn(self, matrices: "list[torch.Tensor]", rate: float, decay: float) -> None:
            gradients = [matrix.grad for matrix in matrices if matrix.grad is not None]
            moments = []
            for matrix in matrices:
                state = self.state[matrix]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(matrix)
                moments.append(state["momentum_buffer"])
            stacked, before = torch.stack(gradients), torch.stack(moments)
            before.lerp_(stacked, 1 - _MOMENTUM)
            turned = turn_to_unit_scales(stacked.lerp(before, _MOMENTUM)).to(stacked.dtype)
            size = 0.2 * max(matrices[0].shape) ** 0.5
            for moment, matrix, new, update in zip(moments, matrices, before, turned, strict=True):
                moment.copy_(new)
                matrix.mul_(1 - rate * decay).add_(update, alpha=-rate * size)

    return StackedMuon


def turn_to_unit_scales(stack: "torch.Tensor") -> "torch.Tensor":
    """Matrices of shape (count, rows, columns) with the same singular vectors and values of about one,
    by Newton-Schulz iteration (Jordan 2024): in bfloat16, or in float32 where a processor would only imitate
    that, which took a quarter of a small model's training."""
    import torch

    tall = stack.shape[1] > stack.shape[2]
    turned = stack.to(torch.bfloat16 if has_fast_bfloat16(stack.device.type) else torch.float32)
    turned = turned.mT if tall else turned
    turned = turned / torch.linalg.matrix_norm(turned, keepdim=True).clamp(min=1e-7)
    first, second, third = _NEWTON_SCHULZ
    for _ in range(5):
        gram = turned @ turned.mT
        change = torch.baddbmm(gram, gram, gram, beta=second, alpha=third)
        turned = torch.baddbmm(turned, change, turned, beta=first)
    return turned.mT if tall else turned


def _is_mixing(name: str, weights: "torch.nn.Parameter") -> bool:
    return weights.ndim == 2 and not any(word in name for word in _LOOKED_UP)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One core for the many small operations of an optimizer, where waiting costs more than working."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
