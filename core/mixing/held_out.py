"""Validation while a training goes on: loss and accuracy on tasks that it never draws.

Whole families are held out, or a pair of each task where a model knows tasks by name; the same for every
training seed, so that curves of different runs show the same. An answer is right if greedy generation would
write it exactly; that is so exactly when each of its tokens is the likeliest after the prompt and the right
tokens before it, which one forward pass shows for all tokens at once, without generating.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from core.arc.tasks import Task
from core.arc.views import IDENTITY_COLOURS, SYMMETRIES, View, draw_task_colours
from core.curation.partitions import listed_tasks
from core.curation.source_names import is_demonstrations
from core.errors import UserError
from core.mixing.augmentations import Augmentation, can_be_asked, draw_question
from core.mixing.mixtures import Mixture, draw_sample
from core.seeds import generator
from core.settings import Seed, Settings


class ValidationSettings(Settings):
    """What is looked at while a training goes on."""

    every: int | None = Field(
        None,
        ge=1,
        le=10**9,
        description="Steps between two validations; empty: none, and nothing is held out.",
    )
    partition: str | None = Field(
        None, description="Hold out the mixture's tasks on this list of a partition, such as mine/val."
    )
    share: float = Field(
        0.1, gt=0, le=1, description="Else: hold out this share of the mixture's families, drawn by seed."
    )
    hold_out: Literal["families", "pairs"] = Field(
        "families",
        description="families: no task of them is trained on. pairs: all but one pair of each of their tasks"
        " is, its test pair where it has one; for prompt.template pair, which answers trained tasks alone.",
    )
    seed: Seed = Field(0, description="Which families and questions; the same for every training.")
    tasks: int = Field(32, ge=1, le=10**6, description="Ask about at most so many of the held-out tasks.")
    views: int = Field(1, ge=1, le=64, description="Ask through so many views; 8 hold each symmetry once.")
    seen: bool = Field(
        False,
        description="Also ask about as many tasks that are trained on: low accuracy even there is a bug.",
    )
    evaluated: bool = Field(
        False,
        description="Also ask about all evaluated tasks, of which nothing is learned by it: the greedy"
        " accuracy that the evaluation will find, as a curve; tasks without a token and prompts that do not"
        " fit are left out of it. Do not choose settings by it.",
    )


@dataclass(frozen=True)
class Questions:
    """Tasks with one test pair each to ask about: held out, seen in training, evaluated; none if unwanted."""

    held_out: tuple[Task, ...] = ()
    seen: tuple[Task, ...] = ()
    evaluated: tuple[Task, ...] = ()


def listed_families(
    root: Path, sources: Iterable[str], settings: ValidationSettings
) -> tuple[str, ...] | None:
    """The families with a task on the list that the settings name, ordered; None where they name none.

    Raises `UserError` for an unknown partition or list.
    """
    if settings.every is None or settings.partition is None:
        return None
    tasks = (task for one in sources for task in listed_tasks(root, one, settings.partition).values())
    return tuple(sorted({task.family for task in tasks}))


def hold_out(
    mixture: Mixture, settings: ValidationSettings, listed: Collection[str] | None = None
) -> tuple[Mixture, Questions]:
    """The mixture without the families held out, and what to ask about. The families are those `listed`,
    else a share of the mixture's, drawn by seed.

    Raises `UserError` where nothing is held out and the evaluated tasks are not asked about either.
    """
    if settings.every is None:
        return mixture, Questions()
    families = set(_drawn_families(mixture, settings) if listed is None else listed)
    left, held_out_tasks = _parted(mixture, families, by_pairs=settings.hold_out == "pairs")
    if not held_out_tasks and not settings.evaluated:
        raise UserError(
            "No task of the mixture is held out. Raise training.validation.share, or choose another"
            " training.validation.partition."
        )
    augmentation = mixture.settings.augmentation.model_copy(update={"composed": ()})
    trained = [task for members in left.values() for task in members] if settings.seen else []
    seen = _questions(trained, augmentation, settings)
    if settings.hold_out == "pairs":  # ask about the pair that was held out, and no other
        augmentation = augmentation.model_copy(update={"swap_train_test": False})
    held_out = _questions(held_out_tasks, augmentation, settings)
    return Mixture(left, mixture.settings, mixture.seed), Questions(held_out, seen)


def _parted(
    mixture: Mixture, families: Collection[str], *, by_pairs: bool
) -> tuple[dict[str, list[Task]], list[Task]]:
    """By source what is left of a mixture without these families, or without a pair of each of their tasks,
    and the tasks to ask about. Of demonstrations (`demos:`) none is spared; their tests are evaluated."""
    left: dict[str, list[Task]] = {}
    held_out_tasks: list[Task] = []
    for source, members in mixture.tasks.items():
        left[source] = []
        for task in members:
            if task.family not in families:
                left[source].append(task)
            elif not by_pairs:
                held_out_tasks.append(task)
            else:
                without, question = _without_a_pair(task)
                trains = question is not None and can_be_asked(without, mixture.settings.augmentation)
                trains = trains and not is_demonstrations(source)
                left[source].append(without if trains else task)
                held_out_tasks += [question] if question is not None and trains else []
    return left, held_out_tasks


def _without_a_pair(task: Task) -> tuple[Task, Task | None]:
    """The task without one of its pairs, and a task that asks about that pair: the first test pair with a
    known output, else the last demonstration. None where no other pair is left."""
    place = next((place for place, pair in enumerate(task.test) if pair.output is not None), None)
    if place is not None:
        test = (*task.test[:place], *task.test[place + 1 :])
        return replace(task, test=test), replace(task, test=(task.test[place],), n_train=None)
    if len(task.train) < 2:
        return task, None
    left, held = task.train[:-1], task.train[-1]
    n_train = None if task.n_train is None else max(1, min(task.n_train, len(left) - 1))
    return (
        replace(task, train=left, n_train=n_train),
        replace(task, train=left, test=(held,), n_train=None),
    )


def questions_about(
    tasks: Iterable[Task], mixture: Mixture, settings: ValidationSettings
) -> tuple[Task, ...]:
    """Every test output of the evaluated tasks, through the settings' views; none unless they want it."""
    if settings.every is None or not settings.evaluated:
        return ()
    return tuple(
        view
        for task in tasks
        for place, test in enumerate(task.test)
        for view in _views(replace(task, test=(test,)), mixture.settings.augmentation, settings, place)
    )


def _drawn_families(mixture: Mixture, settings: ValidationSettings) -> list[str]:
    """A share of the mixture's families, drawn by seed."""
    families = sorted({task.family for members in mixture.tasks.values() for task in members})
    rank = {family: generator(settings.seed, "held out", family).random() for family in families}
    return sorted(families, key=rank.__getitem__)[: max(1, round(settings.share * len(families)))]


def _questions(
    tasks: Iterable[Task], augmentation: Augmentation, settings: ValidationSettings
) -> tuple[Task, ...]:
    """One question about each of at most `settings.tasks` tasks, chosen and drawn by seed and id, through the
    views that the settings want."""
    found = []
    for task in tasks:
        if can_be_asked(task, augmentation):
            rng = generator(settings.seed, "validation", task.source, task.task_id)
            found.append((float(rng.random()), task, rng))
    chosen = sorted(found, key=lambda one: (one[0], one[1].task_id))[: settings.tasks]
    if settings.views == 1:
        return tuple(draw_sample(rng, task, augmentation) for _, task, rng in chosen)
    questions = (draw_question(rng, task, augmentation) for _, task, rng in chosen)
    return tuple(view for one in questions for view in _views(one, augmentation, settings))


def _views(
    question: Task, augmentation: Augmentation, settings: ValidationSettings, place: int = 0
) -> Iterator[Task]:
    """A question, about test output `place` of its task, through each of the views: symmetries in turn,
    colours as the augmentation draws them."""
    for number in range(settings.views):
        rng = generator(settings.seed, "view", question.source, question.task_id, place, number)
        symmetry = number % SYMMETRIES if augmentation.symmetries else 0
        colours = draw_task_colours(rng, question, augmentation.colours) or IDENTITY_COLOURS
        yield View(symmetry, colours).apply(question)
