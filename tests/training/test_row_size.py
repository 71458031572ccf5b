"""Rows for a GPU: from what two short ones take to what fills memory, on a machine that is pretended."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.parallel.ranks import Workers
from core.training.loop import Loop, Training
from core.training.row_size import FILLED, LONG, SHORT, STEP, row_that_fits, tokens_in


@given(st.floats(0, 1e9), st.floats(1e3, 3e6), st.floats(1e9, 1e11))
def test_a_row_fills_its_share_and_no_more(always: float, per_token: float, free: float) -> None:
    found = tokens_in(free, round(always + per_token * SHORT), round(always + per_token * LONG))
    assert found % STEP == 0 and STEP <= found <= 32_768
    taken = always + per_token * found
    if STEP < found < 32_768:
        assert FILLED * free * (1 - 1e-3) - per_token * STEP <= taken <= FILLED * free * (1 + 1e-3)


def test_the_row_is_measured_beside_gradients_and_moments(
    training: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A card of which weights, gradients and moments leave a part, and a pass that takes 2 MB for a token."""
    loop = Loop.start(training(method="full", samples_per_step=64))
    honest, rows = type(loop.gradients).add, []

    def add(self: Any, batches: Any, *more: Any) -> Any:
        rows.append(batches[0][1].tokens.size)
        return honest(self, batches, *more)

    monkeypatch.setattr(type(loop.gradients), "add", add)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 10**9)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 10**9)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 10**9 + 10**8 + 2 * 10**6 * rows[-1])
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (24 * 10**9, 25 * 10**9))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    found = row_that_fits(loop.drawing, loop.gradients, loop.trained, Workers())
    kept = 3 * sum(weights.nbytes for weights in loop.trained.values())
    wanted = (FILLED * (24e9 - kept) - 1e8) / 2e6
    assert found == pytest.approx(wanted, rel=0.05)
    assert all(weights.grad is None for weights in loop.trained.values()), "nothing is left behind"
