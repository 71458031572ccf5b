"""The gradients of a step: each batch's loss and its way back, on a GPU in turn, on a CPU a batch for each
core.

What is random in a batch depends on the step's seed and the batch's number alone, not on who works on it.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core.modeling.dropout import draw_by_batch, drawing_from, draws_by_itself
from core.seeds import derived_seed
from core.training.batches import Batch
from core.training.forward import Reader

if TYPE_CHECKING:
    import torch

Numbered = tuple[int, Batch]


@dataclass
class Gradients:
    """What is needed to add up the gradients of a step."""

    model: Any
    weights: "list[torch.nn.Parameter]"
    read: Reader
    device: str
    draws: bool
    side_by_side: bool
    _pool: list[ThreadPoolExecutor] = field(default_factory=list)

    @classmethod
    def of(cls, model: Any, read: Reader, device: str, *, torchs_stream: bool) -> "Gradients":
        """Make a model ready. Activations that are computed anew, and compiled ones, draw from torch's own
        stream; with it batches keep their turns."""
        layers, by_itself = draw_by_batch(model), draws_by_itself(model)
        weights = [one for one in model.parameters() if one.requires_grad]
        turns = device != "cpu" or by_itself or (torchs_stream and layers)
        return cls(model, weights, read, device, layers or by_itself, not turns)

    def add(self, batches: Sequence[Numbered], answer_tokens: int, seed: int) -> "torch.Tensor":
        """Add the gradients of all batches, in their order; the mean loss over all counted tokens, a scalar
        in float64 that is not read, so that a GPU goes on working."""
        import torch

        threads = min(torch.get_num_threads(), len(batches))
        if not self.side_by_side or threads < 2:
            total = torch.zeros((), dtype=torch.float64, device=self.device)
            for number, batch in batches:
                total += self._backward(number, batch, answer_tokens, seed)
            return total

        def work(numbered: Numbered) -> "tuple[float, tuple[torch.Tensor | None, ...]]":
            with drawing_from(derived_seed(seed, "batch", numbered[0])):
                loss = self.loss(numbered[1], answer_tokens)
                return float(loss.detach()), torch.autograd.grad(loss, self.weights, allow_unused=True)

        summed = 0.0
        for loss, gradients in self._cores().map(work, batches):
            summed += loss
            for one, gradient in zip(self.weights, gradients, strict=True):
                if gradient is not None:
                    one.grad = gradient if one.grad is None else one.grad.add_(gradient)
        return torch.tensor(summed, dtype=torch.float64)

    def _backward(self, number: int, batch: Batch, answer_tokens: int, seed: int) -> "torch.Tensor":
        """Add one batch's gradients; its share of the mean loss."""
        import torch

        own = derived_seed(seed, "batch", number)
        if not self.draws:
            loss = self.loss(batch, answer_tokens)
            loss.backward()
        elif self.side_by_side:  # as on several cores
            with drawing_from(own):
                loss = self.loss(batch, answer_tokens)
                loss.backward()
        else:
            with torch.random.fork_rng(
                devices=[torch.cuda.current_device()] if self.device == "cuda" else []
            ):
                torch.manual_seed(own)
                loss = self.loss(batch, answer_tokens)
                loss.backward()
        return loss.detach()

    def loss(self, batch: Batch, answer_tokens: int) -> "torch.Tensor":
        """A batch's share of the mean loss over all counted tokens of the step, a scalar."""
        return self.read(batch).loss() / answer_tokens

    def _cores(self) -> ThreadPoolExecutor:
        """A thread for each core, which keeps its memory and the kernels made for it from step to step."""
        import torch

        if not self._pool:
            count = torch.get_num_threads()
            self._pool.append(ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)))
        return self._pool[0]
