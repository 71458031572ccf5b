"""How many tokens a row may hold on a GPU: measured on short rows, then as many as memory has room for.

What a pass takes grows with its tokens in a straight line: activations and logits for each, and a part that
is always there. Two short rows tell both; a row then fills 85 % of what is free beside weights, gradients and
the optimizer's moments.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from core.machine.allocator import release_memory
from core.parallel.ranks import Workers
from core.training.batches import Drawing
from core.training.gradients import Gradients
from core.training.numerics import TOKENS_PER_BATCH

if TYPE_CHECKING:
    import torch

FILLED = 0.85
SHORT, LONG = 1024, 2048
STEP = 256
"""Rows are of so many tokens, or a multiple."""


def row_that_fits(
    drawing: Drawing, gradients: Gradients, trained: "Mapping[str, torch.nn.Parameter]", workers: Workers
) -> int:
    """Tokens of a row, the same for all workers, measured on samples of the first step. Memory that ends at
    a short row already ends the training."""
    import torch

    def peak(tokens: int) -> int:
        """Bytes that a row of about so many tokens takes, beside what is there before it."""
        batch = drawing.with_rows_of(tokens).step(0).batches[0]
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        gradients.add([(0, batch)], max(1, batch.answer_tokens), 0)
        return int((torch.cuda.max_memory_allocated() - before) * tokens / batch.tokens.size)

    peak(SHORT)  # which leaves the gradients behind
    found = peak(SHORT), peak(LONG)
    for weights in trained.values():
        weights.grad = None
    gradient_bytes = sum(weights.nbytes for weights in trained.values())
    free = torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    moments = 2 * gradient_bytes
    row = tokens_in(free - gradient_bytes - moments, *found)
    release_memory()
    return min(workers.gather(row))


def tokens_in(free: float, short: int, long: int, most: int = TOKENS_PER_BATCH["cuda"]) -> int:
    """Tokens of the largest row in `FILLED` of `free` bytes, where rows of `SHORT` and `LONG` tokens took so
    many; a multiple of `STEP`, at least one and at most `most`."""
    per_token = max((long - short) / (LONG - SHORT), 1e-9)
    always = max(0.0, short - per_token * SHORT)
    room = (FILLED * free - always) / per_token
    return int(min(most, max(STEP, room // STEP * STEP)))
