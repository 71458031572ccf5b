"""The branch of a GPU with compiling, on a CPU: one graph without breaks for all rows, the same losses."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from core.training.batches import IGNORED
from core.training.checkpoints import Position
from core.training.loop import Loop, Training
from tests.modeling.varlen import varlen_on_cpu

pytestmark = pytest.mark.engine


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Compiling traces with all rules and makes no code; how many operations each graph has."""
    graphs: list[int] = []
    honest = torch.compile

    def backend(graph: torch.fx.GraphModule, _: Any) -> Any:
        graphs.append(len(graph.graph.nodes))
        return graph.forward

    def whole(part: Any, **options: Any) -> Any:
        return honest(part, backend=backend, fullgraph=True, **options)

    monkeypatch.setattr(torch, "compile", whole)
    torch._dynamo.reset()
    yield graphs
    torch._dynamo.reset()


CHANGES: dict[str, Any] = {
    "batching": "packed",
    "precision": "bfloat16",
    "samples_per_step": 6,
    "tokens_per_batch": 512,
    "learning_rate": 1e-2,
}


@pytest.mark.parametrize(
    "kind",
    [{"method": "full"}, {"lora": {"rank": 4}}, {"lora": {"rank": 4, "rslora": True}}],
    ids=["full", "lora", "rslora"],
)
def test_the_decoder_is_one_graph_and_its_losses_are_those_without(
    training: Callable[..., Training], traced: list[int], kind: dict[str, Any]
) -> None:
    """fullgraph refuses breaks; rows of one length and numbers of ends that grow in steps need one graph."""
    losses = []
    with varlen_on_cpu():
        for compiled in (False, True):
            loop, position = Loop.start(training(**CHANGES, **kind, compile=compiled)), Position()
            losses.append([])
            for _ in range(4):
                record, position = loop.step(position)
                losses[-1].append(record["loss"])
    assert len(traced) == 1 and traced[0] > 100
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_fixed_rows_are_all_of_one_length(training: Callable[..., Training]) -> None:
    """What fills them is in pieces no longer than a sample may be, and counts for nothing."""
    loop = Loop.start(training(**CHANGES, method="full", max_seq_len=100, compile=False))
    plain, fixed = loop.drawing, replace(loop.drawing, fixed=True, side_by_side=1)
    found = fixed.step(0).batches
    assert {batch.tokens.shape for batch in found} == {(1, 512)}
    for batch in found:
        assert batch.ends is not None and batch.ends[-1] == 512
        lengths = [b - a for a, b in zip((0, *batch.ends), batch.ends, strict=False)]
        assert max(lengths) <= 100 and tuple(lengths[: len(batch.lengths)]) == batch.lengths
        assert (batch.labels[0, sum(batch.lengths) :] == IGNORED).all()
    answers = [sum(batch.answer_tokens for batch in one.step(0).batches) for one in (plain, fixed)]
    assert answers[0] == answers[1]
