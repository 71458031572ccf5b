"""Losses, gradients and steps: compared with hand computations."""

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from core.prompts.templates import PromptSettings, training_sample
from core.training import forward
from core.training.checkpoints import Position
from core.training.loop import Loop, Training
from core.training.models import load_for_training
from core.training.optimizers import make_optimizers
from tests.training.conftest import tiny_settings


def hand_computed(loop: Loop, step: int, *, every_output: bool) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradients of a step: sample by sample, without padding, token by token."""
    settings = loop.training.settings
    model = load_for_training(loop.training.base, settings, "cpu")
    total, count = torch.zeros(()), 0
    for number in range(step * settings.samples_per_step, (step + 1) * settings.samples_per_step):
        task = loop.training.mixture.sample(number)
        sample = training_sample(task, PromptSettings(), loop.tokenizer, every_output=every_output)
        logprobs = model(input_ids=torch.tensor([sample.tokens])).logits[0].log_softmax(-1)
        for position, counts in enumerate(sample.is_answer):
            if counts:
                total = total - logprobs[position - 1, sample.tokens[position]]
                count += 1
    (total / count).backward()
    return float(total.detach()) / count, {
        n: w.grad for n, w in model.named_parameters() if w.grad is not None
    }


@pytest.mark.parametrize("loss_on", ["answer", "outputs"])
@pytest.mark.parametrize("batching", ["padded", "packed"])
@pytest.mark.parametrize("tokens_per_batch", [16, 150, 16384])
def test_the_loss_and_its_gradient_are_those_computed_by_hand(
    training: Callable[..., Training], loss_on: str, batching: str, tokens_per_batch: int
) -> None:
    """Also: padded batches and packed rows, one or several, equal single samples; to 1e-5 in the loss and
    1e-4 in the gradients (float32)."""
    loop = Loop.start(
        training(method="full", loss_on=loss_on, batching=batching, tokens_per_batch=tokens_per_batch)
    )
    wanted, gradients = hand_computed(loop, 1, every_output=loss_on == "outputs")
    batches = replace(loop.drawing, side_by_side=1).step(4).batches
    assert len(batches) == {16: 4, 150: 2, 16384: 1}[tokens_per_batch]
    assert all((batch.ends is not None) == (batching == "packed") for batch in batches)
    answer_tokens = sum(batch.answer_tokens for batch in batches)
    loss = float(loop.gradients.add(list(enumerate(batches)), answer_tokens, 0))
    assert loss == pytest.approx(wanted, rel=1e-5)
    assert gradients.keys() == {name for name, w in loop.trained.items() if w.grad is not None}
    for name, gradient in gradients.items():
        assert torch.allclose(loop.trained[name].grad, gradient, rtol=1e-4, atol=1e-6), name


def test_a_step_is_that_of_adamw_on_the_clipped_gradient(training: Callable[..., Training]) -> None:
    loop = Loop.start(training(method="full", clip_norm=0.5, warmup_share=0.5, weight_decay=0.1))
    _, gradients = hand_computed(loop, 0, every_output=False)
    norm = math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients.values()))
    before = {name: weights.detach().clone() for name, weights in loop.trained.items()}
    record, position = loop.step(Position())
    assert (position.steps, position.next_sample) == (1, 4)
    rate = loop.training.settings.learning_rate / 4  # the first of four steps of warm-up
    assert record["learning_rate"] == pytest.approx(rate)
    compared = 0
    for name, gradient in gradients.items():
        clipped = gradient * min(1.0, 0.5 / norm)
        decay = 0.1 if before[name].ndim >= 2 else 0.0
        # In AdamW's first step both moments, corrected, are the gradient and its square.
        wanted = before[name] * (1 - rate * decay) - rate * clipped / (clipped.abs() + 1e-8)
        settled = clipped.abs() > 1e-5
        compared += int(settled.sum())
        assert torch.allclose(loop.trained[name].detach()[settled], wanted[settled], atol=rate * 0.02), name
    assert compared > 10_000


def gradients_of(
    loop: Loop, threads: int, tokens_per_batch: int, seed: int = 0
) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradients of step 0, the batches worked on by so many threads."""
    drawn = replace(loop.drawing, tokens_per_batch=tokens_per_batch).step(0)
    assert len(drawn.batches) == 4 or tokens_per_batch > 16
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        answer_tokens = sum(batch.answer_tokens for batch in drawn.batches)
        loss = float(loop.gradients.add(list(enumerate(drawn.batches)), answer_tokens, seed))
    finally:
        torch.set_num_threads(before)
    gradients = {name: weights.grad for name, weights in loop.trained.items() if weights.grad is not None}
    loop.optimizer.zero_grad()
    return loss, gradients


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_batch_per_core_gives_the_gradients_of_one_core(
    training: Callable[..., Training], method: str
) -> None:
    """Bit by bit, and again the same: which thread ends first must not matter."""
    loop = Loop.start(training(method=method))
    loss, gradients = gradients_of(loop, 1, 16)
    assert gradients and any(float(gradient.abs().sum()) for gradient in gradients.values())
    for _ in range(3):
        again, found = gradients_of(loop, 3, 16)
        assert again == loss and found.keys() == gradients.keys()
        assert all(torch.equal(found[name], gradients[name]) for name in gradients)


@pytest.mark.parametrize("where", ["base", "adapter", "adapter, computed anew"])
def test_with_dropout_any_number_of_cores_gives_the_same(
    training: Callable[..., Training], model_folder: Path, tmp_path: Path, where: str
) -> None:
    """Each batch draws from a stream of its own, whoever works on it and whatever the global seed is; where
    activations are computed anew the same is dropped again."""
    folder = shutil.copytree(model_folder, tmp_path / "model")
    changes: dict[str, Any] = {"method": "full", "base": folder}
    if where == "base":
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"attention_dropout": 0.5}))
    else:
        changes = {"lora": {"rank": 4, "dropout": 0.5}, "recompute": where.endswith("anew")}
    loop = Loop.start(training(**changes))
    assert loop.gradients.side_by_side == (where == "adapter")
    sums = []
    for threads, seed in ((3, 0), (1, 0), (2, 0), (3, 1)):
        torch.manual_seed(len(sums))
        _, gradients = gradients_of(loop, threads, 16, seed)
        sums.append(sum(float(gradient.abs().sum()) for gradient in gradients.values()))
    if where == "adapter":
        assert sums[0] == sums[1] == sums[2]
    assert sums[0] == pytest.approx(sums[1], rel=1e-4) and sums[1] == pytest.approx(sums[2], rel=1e-4)
    assert sums[0] != pytest.approx(sums[3], rel=1e-4), "dropout draws"


def test_bfloat16_rounds_activations_and_leaves_weights_alone(training: Callable[..., Training]) -> None:
    exact = gradients_of(Loop.start(training(method="full")), 1, 16)
    loop = Loop.start(training(method="full", precision="bfloat16"))
    rounded = gradients_of(loop, 3, 16)
    assert rounded[0] == gradients_of(loop, 1, 16)[0]
    assert exact[0] != rounded[0] == pytest.approx(exact[0], rel=0.01)
    assert {weights.dtype for weights in loop.trained.values()} == {torch.float32}


def test_muon_turns_matrices_inside_the_blocks_and_adamw_the_rest(training: Callable[..., Training]) -> None:
    values = {"method": "full", "warmup_share": 0, "schedule": "constant", "weight_decay": 0}
    loops = {name: Loop.start(training(optimizer=name, **values)) for name in ("muon", "adamw")}
    before = {name: weights.detach().clone() for name, weights in loops["muon"].trained.items()}
    for loop in loops.values():
        loop.step(Position())
    by_muon = 0
    for name, weights in loops["muon"].trained.items():
        change = weights.detach() - before[name]
        if weights.ndim < 2 or "embed" in name:
            assert torch.equal(weights, loops["adamw"].trained[name]), name
            continue
        by_muon += 1
        turned = torch.linalg.svdvals(change / loops["muon"].training.settings.learning_rate)
        scale = 0.2 * max(weights.shape) ** 0.5  # what makes its size that of AdamW's
        assert 0.6 < float(turned[7]) / scale <= float(turned[0]) / scale < 1.3, name
    assert by_muon == 7 * loops["muon"].model.config.num_hidden_layers


@pytest.mark.parametrize("shapes", [[(8, 24)] * 3, [(24, 8), (16, 16), (24, 8)]])
def test_stacked_matrices_turn_like_single_ones(shapes: list[tuple[int, int]]) -> None:
    """As torch's own Muon, to bfloat16; three steps, so that momentum counts."""
    draw = torch.Generator().manual_seed(0)
    first = [torch.randn(shape, generator=draw) for shape in shapes]
    ours, theirs = ([torch.nn.Parameter(one.clone()) for one in first] for _ in range(2))
    mine = make_optimizers(
        {f"layer.{n}": one for n, one in enumerate(ours)},
        tiny_settings(optimizer="muon", learning_rate=0.1, weight_decay=0.1),
    )
    its = torch.optim.Muon(theirs, lr=0.1, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = torch.randn(one.shape, generator=draw)
            other.grad = one.grad.clone()
        mine.step()
        its.step()
    for one, other, before in zip(ours, theirs, first, strict=True):
        change = (other.detach() - before).norm()
        assert (one.detach() - other.detach()).norm() < 0.03 * change


@pytest.mark.parametrize("batching", ["padded", "packed"])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_logits_in_pieces_change_nothing(
    training: Callable[..., Training], monkeypatch: pytest.MonkeyPatch, batching: str, method: str
) -> None:
    """Loss, gradients, and what is judged; to rounding, since pieces are added up."""
    loop = Loop.start(training(batching=batching, method=method))
    assert loop.gradients.read.head is not None
    whole = gradients_of(loop, 1, 2048)
    batch = loop.drawing.step(0).batches[0]
    judged = loop.gradients.read(batch).judged()
    monkeypatch.setattr(forward, "MOST_LOGITS", 32 * 5)
    assert len(list(loop.gradients.read(batch)._pieces())) > 3
    pieces = gradients_of(loop, 1, 2048)
    assert pieces[0] == pytest.approx(whole[0], rel=1e-6)
    for name, gradient in whole[1].items():
        assert torch.allclose(pieces[1][name], gradient, rtol=1e-4, atol=1e-7), name
    again = loop.gradients.read(batch).judged()
    assert torch.equal(again[1], judged[1]) and float(again[0].detach()) == pytest.approx(
        float(judged[0].detach()), rel=1e-6
    )


def test_a_head_that_does_more_than_multiply_is_left_to_the_model(model_folder: Path) -> None:
    model = load_for_training(str(model_folder), tiny_settings(), "cpu")
    assert forward.Reader.of(model, "cpu", lower=False).head is not None
    honest = model.forward

    def capped(*given: Any, **named: Any) -> Any:
        found = honest(*given, **named)
        found.logits = 3 * torch.tanh(found.logits / 3)
        return found

    model.forward = capped  # type: ignore[method-assign]
    assert forward.Reader.of(model, "cpu", lower=False).head is None
