"""The last block at the tokens that are looked at: fewer tokens, the same answers; attention by torch's own.

That loss and gradients stay those of whole blocks is tested with the batches (`test_batches`).
"""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch

from core.modeling.attention import _causal
from core.modeling.last_block import looked_at, looking_at
from core.training.batches import IGNORED, MULTIPLE
from core.training.loop import Loop, Training


@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_last_mlp_sees_the_counted_tokens_and_every_other_one_all(
    training: Callable[..., Training], method: str
) -> None:
    loop = Loop.start(training(method=method, batching="packed", precision="float32"))
    (batch, *_) = loop.drawing.step(0).batches
    seen: list[int] = []
    for name, part in loop.model.named_modules():
        if name.endswith("mlp.act_fn"):
            part.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[1]))
    found = loop.gradients.read(batch)
    found.loss()
    counted = int((batch.labels[:, 1:] != IGNORED).sum())
    assert seen == [batch.tokens.shape[1], -(-counted // MULTIPLE) * MULTIPLE] and seen[1] < seen[0]
    assert int((found.labels != IGNORED).sum()) == counted


def test_each_thread_looks_at_its_own_row() -> None:
    places, others = torch.tensor([1, 2]), []
    with looking_at(places):
        thread = threading.Thread(target=lambda: others.append(looked_at()))
        thread.start()
        thread.join()
        assert looked_at() is places and others == [None]
    assert looked_at() is None


@pytest.mark.parametrize("places", [None, [0], [3, 4, 17, 40], list(range(50))])
@pytest.mark.parametrize(("dtype", "off"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
def test_attention_and_its_gradient_are_those_by_hand(
    places: list[int] | None, dtype: torch.dtype, off: float
) -> None:
    generator = torch.Generator().manual_seed(0)

    def drawn() -> Any:
        return torch.randn((1, 3, 50, 16), generator=generator)

    q, k, v, gradient = (drawn().to(dtype).requires_grad_() for _ in range(4))
    rows = torch.arange(50) if places is None else torch.tensor(places)
    scores = 0.3 * q.float()[:, :, rows] @ k.float().transpose(2, 3)
    unseen = torch.arange(50) > rows[:, None]
    wanted = scores.masked_fill(unseen, -torch.inf).softmax(-1) @ v.float()
    given = None if places is None else rows
    found = _causal(q[:, :, rows], k, v, 0.3, given)
    assert torch.allclose(found.float(), wanted, atol=off)
    back = gradient[:, :, rows].detach()
    ours = torch.autograd.grad(found, (q, k, v), back)
    theirs = torch.autograd.grad(wanted, (q, k, v), back.float())
    for mine, its in zip(ours, theirs, strict=True):
        assert mine.dtype == dtype and torch.allclose(mine.float(), its.float(), atol=2 * off)
