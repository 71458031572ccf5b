"""Models that know tasks by name: trained, resumed, adapted and asked one pair at a time."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from core.arc.grids import same_grid
from core.arc.tasks import Task
from core.arc.views import View
from core.inference.adapters import has_tokens, reason_to_merge, write_merged
from core.inference.requests import Completion, Request
from core.inference.transformers_engine import TransformersEngine
from core.mixing.held_out import Questions, ValidationSettings, hold_out, questions_about
from core.mixing.mixtures import Augmentation, Mixture, MixtureSettings, SourceShare
from core.prompts.encoders import GridEncoding
from core.prompts.pairs import symmetry_token, task_token
from core.prompts.templates import PromptSettings, prompt_tokens, read_answer
from core.prompts.vocabulary import load_tokenizer
from core.storage.model_files import model_fingerprint
from core.storage.models import load_model
from core.training.loop import Loop, Training
from core.training.models import ModelShape, init_model
from core.training.train import train
from tests.inference.conftest import tiny_inference
from tests.training.conftest import tiny_settings
from tests.training.test_train import interrupted_at, same_weights
from tests.training.tiny import copy_task

PAIR = PromptSettings(template="pair", encoding=GridEncoding(canvas=4))
GRID = ModelShape(hidden_size=32, layers=2, heads=1, mlp_size=64, context=64, positions="grid", canvas=4)
COLOURS = Augmentation(colours="keep_new")


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grid") / "start"
    init_model(folder, GRID, 0)
    return folder


def mixture_of(tasks: list[Task], augmentation: Augmentation = COLOURS) -> Mixture:
    settings = MixtureSettings(sources=(SourceShare(source="toy"),), augmentation=augmentation)
    return Mixture({"toy": tasks}, settings, 0)


def learning(start: Path, questions: Questions = Questions(), **changes: Any) -> Training:
    values = {"method": "full", "optimizer": "muon", "learning_rate": 1e-2, "max_seq_len": 64}
    settings = tiny_settings(**(values | changes))
    tasks = [copy_task(number) for number in range(3)]
    return Training(settings, PAIR, mixture_of(tasks), str(start), 0, questions)


def all_views(tasks: list[Task]) -> tuple[Task, ...]:
    return tuple(View(symmetry).apply(task) for task in tasks for symmetry in range(8))


def answered_right(engine: TransformersEngine, tasks: tuple[Task, ...], model: Path) -> list[bool]:
    """Whether greedy decoding writes each task's test output."""
    tokenizer = load_tokenizer(str(model))
    requests = [Request(prompt_tokens(task, PAIR, tokenizer), 21, 0) for task in tasks]
    found: dict[int, Completion] = {one.index: one for one in engine.complete(requests)}
    written = [read_answer(found[place].text, PAIR) for place in range(len(tasks))]
    return [
        same_grid(grid, task.test[0].output) and found[place].finish_reason == "stop"
        for place, (grid, task) in enumerate(zip(written, tasks, strict=True))
    ]


@pytest.mark.parametrize("batching", ["packed", "padded"])
def test_one_pass_gives_the_accuracy_of_greedy_decoding(start: Path, tmp_path: Path, batching: str) -> None:
    """Half-trained models know some views by heart and others not; both ways to judge agree on all."""
    tasks = [copy_task(number) for number in range(3)]
    seen = all_views(tasks)
    changes = {"samples_per_step": 16, "warmup_share": 0, "schedule": "constant", "batching": batching}
    made = learning(start, Questions(seen=seen), **changes)
    made = replace(made, mixture=mixture_of(tasks, Augmentation(colours="none")))
    partly = 0
    for steps in (74, 80, 86):
        records: list[dict[str, Any]] = []
        looking = ValidationSettings(every=100, hold_out="pairs")
        settings = made.settings.model_copy(update={"steps": steps, "validation": looking})
        folder = train(replace(made, settings=settings), tmp_path / str(steps), records.append)
        engine = TransformersEngine(tiny_inference(max_model_len=64), str(folder))
        right = answered_right(engine, seen, folder)
        assert records[-1]["seen_accuracy"] == pytest.approx(sum(right) / len(seen), abs=1e-12)
        partly += 0 < sum(right) < len(seen)
    assert partly, "at least one of them knew some answers and not others"


def test_packed_and_padded_rows_give_the_same_losses(start: Path, tmp_path: Path) -> None:
    losses: dict[str, list[float]] = {}
    for batching in ("packed", "padded"):
        found = losses.setdefault(batching, [])
        made = learning(start, batching=batching, optimizer="adamw")

        def report(record: dict[str, Any], found: list[float] = found) -> None:
            found.append(record["loss"])

        train(made, tmp_path / batching, report)
    assert losses["packed"] == pytest.approx(losses["padded"], rel=1e-4) and len(losses["packed"]) == 8


def test_a_resumed_training_ends_where_it_would_have(start: Path, tmp_path: Path) -> None:
    made = learning(start)
    interrupted_at(5, made, tmp_path / "a")
    for name in "ab":
        train(made, tmp_path / name, lambda record: None)
    assert same_weights(tmp_path / "a", tmp_path / "b")


def test_the_tokens_lie_with_the_model_and_belong_to_its_fingerprint(start: Path, tmp_path: Path) -> None:
    folder = train(learning(start, steps=1), tmp_path / "three", lambda record: None)
    tokenizer = load_tokenizer(str(folder))
    names = [symmetry_token(7), *(task_token(f"{number:08x}") for number in range(3))]
    numbers = [tokenizer.convert_tokens_to_ids(name) for name in names]
    assert numbers == [39, 40, 41, 42] and load_model(str(folder)).config.vocab_size == 43
    grown = replace(learning(folder, steps=1), mixture=mixture_of([copy_task(n) for n in (2, 7, 8)]))
    again = train(grown, tmp_path / "more", lambda record: None)
    known = load_tokenizer(str(again))
    assert [known.convert_tokens_to_ids(name) for name in names] == numbers, (
        "a base's tasks keep their tokens"
    )
    assert known.convert_tokens_to_ids(task_token("00000008")) == 44
    file = folder / "tokenizer.json"
    before = model_fingerprint(str(folder))
    file.write_text(file.read_text().replace("<task 00000001>", "<task 00000009>"))
    assert model_fingerprint(str(folder)) != before


def test_an_adapter_brings_its_tokens_and_is_merged(start: Path, tmp_path: Path) -> None:
    """As for a language model: the base stays, new rows of its vocabulary and the factors are learned."""
    made = learning(start, method="lora", optimizer="adamw", steps=2)
    loop = Loop.start(made)
    trained = {name for name in loop.trained if "lora" not in name}
    assert trained and all("trainable_tokens" in name for name in trained)
    adapter = train(made, tmp_path, lambda record: None)
    assert has_tokens(adapter) and "trained tokens" in str(reason_to_merge(adapter))
    merged = write_merged(str(start), adapter, tmp_path / "merged")
    tokenizer = load_tokenizer(str(merged))
    task = View(3).apply(copy_task(1))
    tokens = torch.tensor([prompt_tokens(task, PAIR, tokenizer)])
    from peft import PeftModel

    base = load_model(str(start))
    base.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    adapted = PeftModel.from_pretrained(base, adapter)
    with torch.inference_mode():
        wanted, found = adapted(input_ids=tokens).logits, load_model(str(merged))(input_ids=tokens).logits
        untrained = load_model(str(start)).get_input_embeddings().weight
    assert torch.allclose(wanted, found, atol=1e-5)
    rows = load_model(str(merged)).get_input_embeddings().weight
    assert torch.equal(rows[: len(untrained)], untrained) and len(rows) == len(untrained) + 11


def test_one_pair_of_each_task_is_held_out_and_never_drawn() -> None:
    tasks = [copy_task(number, demonstrations=3) for number in range(1, 6)]
    tasks = [replace(task, test=(), n_train=2) if number % 2 else task for number, task in enumerate(tasks)]
    settings = ValidationSettings(every=1, share=1.0, hold_out="pairs", views=8)
    left, questions = hold_out(mixture_of(tasks), settings)
    assert len(questions.held_out) == 5 * 8
    assert {task.task_id for task in left.tasks["toy"]} == {task.task_id for task in tasks}
    for task in tasks:
        asked = [one for one in questions.held_out if one.task_id == task.task_id]
        assert sorted(one.symmetry for one in asked) == [*range(8)]
        held = task.test[0] if task.test else task.train[-1]
        assert any((one.symmetry == 0) and one.test[0].input.shape == held.input.shape for one in asked)
        (kept,) = (one for one in left.tasks["toy"] if one.task_id == task.task_id)
        assert held not in kept.pairs and len(kept.pairs) == len(task.pairs) - 1


def test_validation_can_cover_all_outputs_of_evaluated_tasks() -> None:
    mixture, evaluated = mixture_of([copy_task(1)]), [copy_task(1, tests=2), copy_task(2)]
    wanted = ValidationSettings(every=1, hold_out="pairs", evaluated=True, views=16)
    found = questions_about(evaluated, mixture, wanted)
    assert len(found) == 3 * 16 and len({(one.task_id, one.test[0].input.tobytes()) for one in found}) > 40
    assert questions_about(evaluated, mixture, ValidationSettings(every=1)) == ()
