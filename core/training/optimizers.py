"""What turns gradients into steps: AdamW alone, or Muon for the matrices inside the blocks.

Both are torch's own. Muon (Jordan 2024) gives each matrix an update whose singular values are all about
one, which suits weights that mix features and not those that look tokens up: embeddings, heads, biases
and norms stay with AdamW. Its updates are scaled to the size of AdamW's (Liu et al. 2025), so one
learning rate serves both.
"""

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from core.training.settings import TrainingSettings

if TYPE_CHECKING:
    import torch

_LOOKED_UP = ("embed", "lm_head", "wte", "wpe")


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
    parts: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.95))
    ]
    if by_muon:
        matrices = [trained[name] for name in by_muon]
        parts.append(
            torch.optim.Muon(
                matrices, lr=settings.learning_rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"
            )
        )
    return Optimizers(parts)


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
