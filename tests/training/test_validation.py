"""Validation: whole families held out, and the accuracy that greedy generation would have."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from core.arc.tasks import Task
from core.curation.partitions import partition_path
from core.errors import UserError
from core.mixing.held_out import Questions, ValidationSettings, hold_out, listed_families, questions_about
from core.mixing.mixtures import Mixture, MixtureSettings, SourceShare
from core.prompts.templates import PromptSettings, prompt_tokens, training_sample
from core.storage.files import write_json
from core.training.loop import Loop, Training
from core.training.train import train
from tests.training.test_train import interrupted_at, same_weights
from tests.training.tiny import copy_task, tiny_root

Make = Callable[..., Training]
BASE = PromptSettings()


def twins(number: int) -> list[Task]:
    """A task and another of its family, in two sources."""
    task = copy_task(number)
    return [task, replace(copy_task(number + 100, "other"), family=task.family)]


def mixture_of(tasks: list[Task]) -> Mixture:
    sources = sorted({task.source for task in tasks})
    settings = MixtureSettings(sources=tuple(SourceShare(source=name) for name in sources))
    return Mixture({name: [t for t in tasks if t.source == name] for name in sources}, settings, 0)


def families_of(mixture: Mixture) -> set[str]:
    return {task.family for members in mixture.tasks.values() for task in members}


def test_whole_families_are_held_out_and_never_drawn() -> None:
    whole = mixture_of([task for number in range(20) for task in twins(number)])
    settings = ValidationSettings(every=5, share=0.25, seen=True)
    left, questions = hold_out(whole, settings)
    held = {task.family for task in questions.held_out}
    assert len(held) == 5 and len(questions.held_out) == 10, "both twins are asked about"
    assert families_of(left) == families_of(whole) - held
    assert {left.sample(n).family for n in range(200)} == families_of(left)
    assert {task.family for task in questions.seen} <= families_of(left) and len(questions.seen) == 30
    assert all(len(task.test) == 1 and task.test[0].output is not None for task in questions.held_out)


def test_what_is_held_out_depends_on_its_own_seed_alone() -> None:
    tasks = [task for number in range(20) for task in twins(number)]
    settings = ValidationSettings(every=5, tasks=6)
    _, one = hold_out(mixture_of(tasks), settings)
    other_run = Mixture(mixture_of(tasks).tasks, mixture_of(tasks).settings, seed=7)
    _, same = hold_out(other_run, settings)
    _, other = hold_out(mixture_of(tasks), settings.model_copy(update={"seed": 1}))
    ids = [[(t.source, t.task_id) for t in found.held_out] for found in (one, same, other)]
    assert ids[0] == ids[1] != ids[2] and len(ids[0]) == 4
    assert all((a.test[0].input == b.test[0].input).all() for a, b in zip(one.held_out, same.held_out))  # noqa: B905


def test_a_partition_names_what_is_held_out(tmp_path: Path) -> None:
    root = tiny_root(tmp_path, tasks=6, model=False)
    ids = [f"{number:08x}" for number in (1, 3)]
    write_json(
        partition_path(root, "mine"),
        {"sources": ["toy"], "seed": 0, "lists": {"val": {"toy": ids}, "empty": {"toy": []}}},
    )
    whole = mixture_of([copy_task(number) for number in range(6)])
    settings = ValidationSettings(every=1, partition="mine/val")
    listed = listed_families(root, ["toy"], settings)
    left, questions = hold_out(whole, settings, listed)
    assert sorted(task.task_id for task in questions.held_out) == ids
    assert families_of(left) == families_of(whole) - set(ids)
    with pytest.raises(UserError, match=r"No task of the mixture is held out. Raise training.validation"):
        hold_out(
            whole,
            settings,
            listed_families(root, ["toy"], ValidationSettings(every=1, partition="mine/empty")),
        )
    assert listed_families(root, ["toy"], ValidationSettings(partition="mine/val")) is None


def test_validation_may_cover_the_evaluated_tasks_alone() -> None:
    whole = mixture_of([replace(task, source="demos:toy") for task in twins(0)])
    settings = ValidationSettings(every=1, hold_out="pairs", evaluated=True)
    left, questions = hold_out(whole, settings)
    assert left.tasks == whole.tasks and questions == Questions()
    assert len(questions_about(twins(0), left, settings)) == 2
    with pytest.raises(UserError, match="No task of the mixture is held out"):
        hold_out(whole, settings.model_copy(update={"evaluated": False}))


def test_without_validation_nothing_is_held_out() -> None:
    whole = mixture_of(twins(0))
    assert hold_out(whole, ValidationSettings()) == (whole, Questions())


def asking(make: Make, every: int = 2, **changes: Any) -> Training:
    """A training on four tasks that asks about two of them (seen) and two others."""
    made = make(validation={"every": every}, method="full", **changes)
    seen = tuple(made.mixture.sample(number) for number in range(2))
    held_out = tuple(mixture_of([copy_task(9), copy_task(8)]).sample(number) for number in range(2))
    return replace(made, questions=Questions(held_out, seen))


def generated_right(loop: Loop, task: Task) -> bool:
    """Whether greedy generation writes the answer and its end, and nothing else."""
    prompt = prompt_tokens(task, BASE, loop.tokenizer)
    answer = training_sample(task, BASE, loop.tokenizer).tokens[len(prompt) :]
    found = loop.model.generate(
        torch.tensor([prompt]), do_sample=False, max_new_tokens=len(answer), use_cache=True
    )
    return bool(found[0, len(prompt) :].tolist() == answer)


@pytest.mark.parametrize("batching", ["padded", "packed"])
def test_accuracy_is_that_of_greedy_generation(training: Make, batching: str) -> None:
    """A model that has learned one of two tasks by heart answers it right, token by token."""
    loop = Loop.start(asking(training, batching=batching, learning_rate=1e-2))
    batches, accuracies = loop.validation["seen"], []
    for _ in range(120):
        loop.gradients.add(list(enumerate(batches)), sum(batch.answer_tokens for batch in batches), 0)
        loop.optimizer.step()
        loop.optimizer.zero_grad()
        found = loop.validate()["seen_accuracy"]
        if found != (accuracies or [0.0])[-1] and batching == "padded":  # else it needs its boundaries
            right = [generated_right(loop, task) for task in loop.training.questions.seen]
            assert found == sum(right) / 2
        accuracies.append(found)
        if found == 1:
            break
    assert accuracies[0] < accuracies[-1] == 1, "it has learned both by heart"


@pytest.mark.parametrize("batching", ["padded", "packed"])
def test_the_loss_is_the_mean_over_the_tokens_of_the_answers(training: Make, batching: str) -> None:
    made = asking(training, batching=batching, loss_on="outputs")
    loop = Loop.start(made)
    total, count = 0.0, 0
    plain = Loop.start(asking(training, batching="padded")).model.eval()
    for task in made.questions.held_out:
        sample = training_sample(task, BASE, loop.tokenizer)
        logprobs = plain(input_ids=torch.tensor([sample.tokens])).logits[0].log_softmax(-1)
        for place, counts in enumerate(sample.is_answer):
            if counts:
                total, count = total - float(logprobs[place - 1, sample.tokens[place]].detach()), count + 1
    assert loop.validate()["validation_loss"] == pytest.approx(total / count, rel=1e-5)


def test_validation_is_reported_and_changes_nothing(training: Make, tmp_path: Path) -> None:
    records: list[dict[str, Any]] = []
    made = asking(training, every=3, steps=8, lora={"dropout": 0.2})
    train(made, tmp_path / "a", records.append)
    looked = [record["step"] for record in records if "validation_loss" in record]
    assert looked == [3, 6, 8]
    for record in records:
        names = {"validation_loss", "validation_accuracy", "seen_loss", "seen_accuracy"}
        assert names & set(record) == (names if record["step"] in looked else set())
    blind = training(method="full", steps=8, lora={"dropout": 0.2})
    losses: list[float] = []
    train(blind, tmp_path / "b", lambda record: losses.append(record["loss"]))
    assert losses == [record["loss"] for record in records]
    assert same_weights(tmp_path / "a", tmp_path / "b")


def test_a_resumed_training_validates_as_the_undisturbed_one(training: Make, tmp_path: Path) -> None:
    def seen_of(folder: Path) -> dict[int, float]:
        found: dict[int, float] = {}
        train(made, folder, lambda r: found.__setitem__(r["step"], r.get("validation_loss")))
        return found

    made = asking(training, steps=6, checkpoint_every=2)
    interrupted_at(5, made, tmp_path / "a")
    after, whole = seen_of(tmp_path / "a"), seen_of(tmp_path / "b")
    assert list(after) == [5, 6] and after.items() <= whole.items() and after[6] is not None


def test_questions_that_never_fit_are_named(training: Make) -> None:
    with pytest.raises(UserError, match=r"No validation task fits max_seq_len 16. Raise it, or choose"):
        Loop.start(asking(training, max_seq_len=16))
