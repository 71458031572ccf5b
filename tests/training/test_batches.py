"""Batches, schedules and the loss: compared with hand computations."""

import itertools
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UserError
from core.prompts.templates import PromptSettings, training_sample
from core.prompts.vocabulary import PAD, embedded_tokenizer
from core.settings import validated
from core.training import forward
from core.training.batches import IGNORED, Drawing, group_by_length, group_evenly, group_to_pack, pack, pad
from core.training.checkpoints import Position
from core.training.loop import Loop, Training
from core.training.models import load_for_training
from core.training.optimizers import make_optimizers
from core.training.schedules import learning_rate_at
from core.training.settings import TrainingSettings
from tests.training.conftest import tiny_settings, toy_mixture

BASE = PromptSettings()


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 200))
def test_every_sample_is_in_one_group_that_fits(lengths: list[int], most: int) -> None:
    groups = group_by_length(lengths, most)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    sizes = [[lengths[index] for index in group] for group in groups]
    assert all(len(group) == 1 or len(group) * max(group) <= most for group in sizes)
    flat = [size for group in sizes for size in group]
    assert flat == sorted(flat), "short samples are padded to short ones"


def test_a_batch_is_padded_on_the_right_and_pads_do_not_count() -> None:
    tokenizer = embedded_tokenizer()
    samples = [training_sample(toy_mixture().sample(n), PromptSettings(), tokenizer) for n in range(3)]
    samples[1].tokens.append(5)
    samples[1].is_answer.append(True)
    batch = pad(samples, PAD)
    longest = max(len(sample.tokens) for sample in samples)
    assert batch.tokens.shape == batch.labels.shape == (3, longest)
    for row, sample in enumerate(samples):
        size = len(sample.tokens)
        assert batch.tokens[row, :size].tolist() == sample.tokens
        assert (batch.tokens[row, size:] == PAD).all() and (batch.labels[row, size:] == IGNORED).all()
        wanted = [t if a else IGNORED for t, a in zip(sample.tokens, sample.is_answer, strict=True)]
        assert batch.labels[row, :size].tolist() == wanted
    assert batch.useful_tokens == sum(len(sample.tokens) for sample in samples)
    assert batch.answer_tokens == sum(sum(sample.is_answer) for sample in samples)


def test_a_step_draws_its_own_samples_and_drops_what_is_too_long() -> None:
    tokenizer, settings = embedded_tokenizer(), tiny_settings(max_seq_len=128)
    lengths = [
        len(training_sample(toy_mixture().sample(n), PromptSettings(), tokenizer).tokens) for n in range(12)
    ]
    for step in range(3):
        drawn = drawing(tokenizer, settings).step(4 * step)
        assert (drawn.dropped, drawn.shortened, drawn.next_sample) == (0, 0, 4 * step + 4)
        assert sum(b.useful_tokens for b in drawn.batches) == sum(lengths[4 * step : 4 * step + 4])
    narrow = tiny_settings(max_seq_len=max(lengths[:4]) - 1)
    drawn = drawing(tokenizer, narrow).step(0)
    assert drawn.dropped == sum(length > narrow.max_seq_len for length in lengths[:4]) >= 1
    drawn = drawing(tokenizer, narrow, prompt=PromptSettings(too_long="shorten")).step(0)
    assert (drawn.dropped, sum(len(batch.tokens) for batch in drawn.batches)) == (0, 4)
    assert drawn.shortened == sum(length > narrow.max_seq_len for length in lengths[:4])


@pytest.mark.parametrize("way", [{"samples_per_step": 1}, {"tokens_per_step": 32}])
def test_a_step_goes_on_drawing_until_a_sample_fits(way: dict[str, int]) -> None:
    """Or a long training would end where, by chance, one step drew long samples alone."""
    tokenizer = embedded_tokenizer()
    sizes = [len(training_sample(toy_mixture().sample(n), BASE, tokenizer).tokens) for n in range(20)]
    narrow = drawing(tokenizer, tiny_settings(max_seq_len=min(sizes), **way))
    assert sizes[1] > min(sizes)
    drawn = narrow.step(1)
    assert (drawn.dropped, drawn.next_sample) == (
        sizes[1:].index(min(sizes)),
        sizes[1:].index(min(sizes)) + 2,
    )
    assert [batch.lengths for batch in drawn.batches] == [(min(sizes),)]


def drawing(
    tokenizer: Any, settings: TrainingSettings, *, prompt: PromptSettings = PromptSettings()
) -> Drawing:
    return Drawing(toy_mixture(), prompt, settings, tokenizer, tokens_per_batch=2048, packed=False)


@pytest.mark.parametrize("most", [16, 100, 250, 1000])
def test_steps_of_so_many_tokens_take_every_sample_once_and_in_order(most: int) -> None:
    tokenizer = embedded_tokenizer()
    steps = drawing(tokenizer, tiny_settings(tokens_per_step=most))
    sizes = [len(training_sample(toy_mixture().sample(n), BASE, tokenizer).tokens) for n in range(60)]
    first, taken = 0, 0
    while first < 50:
        drawn = steps.step(first)
        tokens = sum(batch.useful_tokens for batch in drawn.batches)
        assert tokens == sum(sizes[first : drawn.next_sample]) and drawn.next_sample > first
        assert tokens <= most or drawn.next_sample == first + 1
        assert tokens + sizes[drawn.next_sample] > most, "the next one would not have fitted"
        taken, first = taken + 1, drawn.next_sample
    assert taken >= 3


def test_a_step_of_so_many_tokens_ends_where_nothing_fits(training: Callable[..., Training]) -> None:
    loop = Loop.start(training(max_seq_len=16, tokens_per_step=64))
    with pytest.raises(UserError, match=r"None of the \d+ samples of step 1 fits max_seq_len 16"):
        loop.step(Position())


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 200))
def test_packed_rows_hold_every_sample_once_and_are_full(lengths: list[int], most: int) -> None:
    groups = group_to_pack(lengths, most)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    sums = [sum(lengths[index] for index in group) for group in groups]
    assert all(total <= most or len(group) == 1 for total, group in zip(sums, groups, strict=True))
    assert all(a + b > most for a, b in itertools.combinations(sums, 2)), "no two rows would fit into one"


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 200), st.integers(1, 5))
def test_rows_worked_on_side_by_side_are_as_equal_as_can_be(
    lengths: list[int], most: int, side_by_side: int
) -> None:
    groups = group_evenly(lengths, most, side_by_side)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    sums = [sum(lengths[index] for index in group) for group in groups]
    assert all(0 < total <= max(most, *lengths) for total in sums)
    if side_by_side > 1 and lengths:
        assert len(groups) % side_by_side == 0 or len(groups) == len(lengths)
        assert max(sums) - min(sums) <= max(lengths)


def test_a_row_is_filled_up_with_what_no_loss_counts() -> None:
    tokenizer = embedded_tokenizer()
    samples = [training_sample(toy_mixture().sample(n), BASE, tokenizer) for n in range(3)]
    plain, filled = pack(samples), pack(samples, 64)
    size = plain.tokens.shape[1]
    assert size % 64 and filled.tokens.shape[1] == filled.ends[-1] == -(-size // 64) * 64  # type: ignore[index]
    assert np.array_equal(filled.tokens[:, :size], plain.tokens)
    assert np.all(filled.labels[:, size:] == IGNORED)
    for name in ("useful_tokens", "answer_tokens", "lengths"):
        assert getattr(filled, name) == getattr(plain, name)


def test_a_packed_row_holds_its_samples_whole_and_positions_restart() -> None:
    tokenizer = embedded_tokenizer()
    samples = [training_sample(toy_mixture().sample(n), BASE, tokenizer) for n in range(3)]
    batch = pack(samples)
    assert batch.tokens.shape == (1, sum(len(sample.tokens) for sample in samples))
    starts = [0, *batch.ends]  # type: ignore[misc]
    for sample, start, end in zip(samples, starts, starts[1:], strict=False):
        assert batch.tokens[0, start:end].tolist() == sample.tokens
        assert batch.positions[0, start:end].tolist() == list(range(end - start))
        wanted = [t if a else IGNORED for t, a in zip(sample.tokens, sample.is_answer, strict=True)]
        assert batch.labels[0, start:end].tolist() == wanted
    assert (batch.useful_tokens, batch.answer_tokens) == (starts[-1], int((batch.labels != IGNORED).sum()))


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


def rates(**changes: object) -> list[float]:
    values = {"steps": 10, "learning_rate": 1.0, "warmup_share": 0.2, "final_share": 0.1} | changes
    settings = validated(TrainingSettings, values, "training")
    return [learning_rate_at(step, settings) for step in range(settings.steps)]


def test_the_learning_rate_warms_up_and_falls_to_its_share() -> None:
    assert rates(schedule="constant") == [0.5, 1.0] + [1.0] * 8
    assert rates(schedule="linear") == pytest.approx([0.5, 1.0, *(1 - 0.9 * n / 7 for n in range(8))])
    cosine = [0.1 + 0.9 * (1 + math.cos(math.pi * n / 7)) / 2 for n in range(8)]
    assert rates(schedule="cosine") == pytest.approx([0.5, 1.0, *cosine])
    falling = [1 - 0.9 * n / 3 for n in range(4)]
    assert rates(schedule="wsd", decay_share=0.4) == pytest.approx([0.5, *[1.0] * 5, *falling])


def test_until_it_decays_wsd_is_the_same_for_any_number_of_steps() -> None:
    short = rates(schedule="wsd", steps=20, warmup_share=0.1)
    long = rates(schedule="wsd", steps=40, warmup_share=0.05)
    assert short[:16] == long[:16] and len(set(short[:16])) == 2
    assert short[17] < long[17]


def test_a_cosine_restarts_at_the_highest_rate_and_ends_each_cycle_at_its_share() -> None:
    once = [0.1 + 0.9 * (1 + math.cos(math.pi * n / 3)) / 2 for n in range(4)]
    assert rates(schedule="cosine_restarts", cycles=2) == pytest.approx([0.5, 1.0, *once, *once])
    assert rates(schedule="cosine_restarts", cycles=1) == rates(schedule="cosine")
    uneven = rates(schedule="cosine_restarts", cycles=3, warmup_share=0)
    assert [n for n, rate in enumerate(uneven) if rate == 1] == [0, 3, 6]
    assert [n for n, rate in enumerate(uneven) if rate == pytest.approx(0.1)] == [2, 5, 9]


def test_a_cyclic_rate_climbs_and_falls_in_even_steps() -> None:
    found = rates(schedule="cyclic", cycles=2, steps=9, warmup_share=0)
    assert found == pytest.approx([0.1, 0.55, 1, 0.55, 0.1, 0.55, 1, 0.55, 0.1])
    assert max(rates(schedule="cyclic", cycles=50)) <= 1, "more cycles than steps"
    assert len(rates(schedule="cosine_restarts", cycles=50)) == 10


@given(
    st.integers(1, 200),
    st.sampled_from(["constant", "linear", "cosine", "wsd"]),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_the_learning_rate_never_leaves_its_bounds(
    steps: int, schedule: str, warmup: float, final: float
) -> None:
    found = rates(steps=steps, schedule=schedule, warmup_share=warmup, final_share=final)
    assert all(0 <= rate <= 1 + 1e-12 for rate in found)
    highest = found.index(max(found))
    assert all(b <= a + 1e-12 for a, b in zip(found[highest:], found[highest + 1 :], strict=False))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"stepz": 1}, r"trial: unknown key 'stepz'. Did you mean 'steps'\?"),
        ({"lora": {"rnk": 1}}, r"trial: unknown key 'lora.rnk'. Did you mean 'rank'\?"),
        ({"steps": 0}, r"trial: 'steps': Input should be greater than or equal to 1. Correct it in the file"),
        ({"schedule": "zigzag"}, r"trial: 'schedule': Input should be 'constant', 'linear', 'cosine'"),
        ({"lora": {"dropout": 1}}, r"trial: 'lora.dropout': Input should be less than 1"),
    ],
)
def test_wrong_settings_are_one_sentence(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        validated(TrainingSettings, values, "trial")
