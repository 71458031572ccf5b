"""Validation while a training goes on: loss and accuracy on tasks that it never draws.

Whole families are held out, the same for every training seed, so that curves of different runs show the
same tasks. An answer is right if greedy generation would write it exactly; that is so exactly when each
of its tokens is the likeliest after the prompt and the right tokens before it, which one forward pass
shows for all tokens at once, without generating.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from core.arc.tasks import Task
from core.curation.augmentations import Augmentation, can_be_asked
from core.curation.mixtures import Mixture, draw_sample
from core.curation.partitions import listed_tasks
from core.errors import UserError
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
        0.1, gt=0, lt=1, description="Else: hold out this share of the mixture's families, drawn by seed."
    )
    seed: Seed = Field(0, description="Which families and questions; the same for every training.")
    tasks: int = Field(32, ge=1, le=10**6, description="Ask about at most so many of the held-out tasks.")
    seen: bool = Field(
        False,
        description="Also ask about as many tasks that are trained on: low accuracy even there is a bug.",
    )


@dataclass(frozen=True)
class Questions:
    """Tasks with one test pair each to ask about: held out, and seen in training (none if not wanted)."""

    held_out: tuple[Task, ...] = ()
    seen: tuple[Task, ...] = ()


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

    Raises `UserError` where nothing is held out, or nothing is left to train on.
    """
    if settings.every is None:
        return mixture, Questions()
    families = set(_drawn_families(mixture, settings) if listed is None else listed)
    everything = [task for members in mixture.tasks.values() for task in members]
    asked = [task for task in everything if task.family in families]
    if not asked:
        raise UserError(
            "No task of the mixture is held out. Raise training.validation.share, or choose another"
            " training.validation.partition."
        )
    left = {
        source: [task for task in members if task.family not in families]
        for source, members in mixture.tasks.items()
    }
    without = Mixture(left, mixture.settings, mixture.seed)
    trained = [task for members in left.values() for task in members] if settings.seen else []
    augmentation = mixture.settings.augmentation.model_copy(update={"composed": ()})
    return without, Questions(
        _questions(asked, augmentation, settings), _questions(trained, augmentation, settings)
    )


def _drawn_families(mixture: Mixture, settings: ValidationSettings) -> list[str]:
    """A share of the mixture's families, drawn by seed."""
    families = sorted({task.family for members in mixture.tasks.values() for task in members})
    rank = {family: generator(settings.seed, "held out", family).random() for family in families}
    return sorted(families, key=rank.__getitem__)[: max(1, round(settings.share * len(families)))]


def _questions(
    tasks: Iterable[Task], augmentation: Augmentation, settings: ValidationSettings
) -> tuple[Task, ...]:
    """One question about each of at most `settings.tasks` tasks, chosen and drawn by seed and id."""
    found = []
    for task in tasks:
        if can_be_asked(task, augmentation):
            rng = generator(settings.seed, "validation", task.source, task.task_id)
            found.append((float(rng.random()), draw_sample(rng, task, augmentation)))
    chosen = sorted(found, key=lambda one: (one[0], one[1].task_id))[: settings.tasks]
    return tuple(task for _, task in chosen)
