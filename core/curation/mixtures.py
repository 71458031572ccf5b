"""Mixtures: sources with weights, from which a stream of training samples is drawn.

A sample is a task with demonstrations and exactly one test pair, seen through a random view. Sample
number *n* depends on the seed and on *n* alone, so a training that resumes draws what it would have
drawn, and several workers may share one stream. The probability of a source is its weight divided by
the sum of all weights, however many tasks it has; within a source all tasks are equally likely.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from core.arc.tasks import Pair, Task
from core.arc.views import IDENTITY_COLOURS, SYMMETRIES, View, draw_colours
from core.curation.sources import load_tasks
from core.errors import UserError
from core.seeds import generator
from core.settings import Settings


class SourceShare(Settings):
    """One source of a mixture and how much of the stream comes from it."""

    source: str = Field(description="Name of the source, such as arc1/training or reversed:arc1/training.")
    weight: float = Field(
        default=1.0, gt=0, description="Its share of the samples, relative to the other weights."
    )
    max_cells: int | None = Field(
        default=None,
        ge=1,
        description="Leave out tasks with more cells than this (demonstrations and one test).",
    )


class Augmentation(Settings):
    """How a sample may differ from the task that it was drawn from."""

    symmetries: bool = Field(default=True, description="Show the task under one of the 8 symmetries.")
    colours: Literal["none", "keep_black", "all"] = Field(
        default="keep_black", description="Permute the colours: not at all, all but black, or all ten."
    )
    pair_order: bool = Field(default=True, description="Draw the order of the demonstrations.")
    swap_train_test: bool = Field(
        default=True, description="Ask about any pair of the task, not only about its test pairs."
    )


class MixtureSettings(Settings):
    """What a training draws its samples from."""

    sources: tuple[SourceShare, ...] = Field(min_length=1, description="The sources and their weights.")
    augmentation: Augmentation = Field(default=Augmentation(), description="How samples are varied.")

    @model_validator(mode="after")
    def _each_source_once(self) -> Self:
        names = [share.source for share in self.sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"source '{twice[0]}' is listed twice; give it one weight")
        return self


class Mixture:
    """A stream of samples. `tasks` holds, for each source of the settings, the tasks to draw from."""

    def __init__(self, tasks: Mapping[str, Sequence[Task]], settings: MixtureSettings, seed: int) -> None:
        self.settings = settings
        self.seed = seed
        self._tasks = [tasks[share.source] for share in settings.sources]
        for share, members in zip(settings.sources, self._tasks, strict=True):
            if not members:
                raise UserError(
                    f"The mixture draws from '{share.source}', but no task of it is left."
                    " Raise max_cells, choose another partition or remove the source."
                )
        weights = np.cumsum([share.weight for share in settings.sources])
        self._bounds = weights / weights[-1]

    def sample(self, number: int) -> Task:
        """Sample `number` of the stream: demonstrations and one test pair, seen through its view."""
        rng = generator(self.seed, "sample", number)
        place = int(np.searchsorted(self._bounds, rng.random(), side="right"))
        members = self._tasks[min(place, len(self._tasks) - 1)]
        task = members[int(rng.integers(len(members)))]
        augmentation = self.settings.augmentation
        return draw_view(rng, augmentation).apply(draw_question(rng, task, augmentation))


def draw_question(rng: np.random.Generator, task: Task, augmentation: Augmentation) -> Task:
    """The task with one test pair. A pool task draws `n_train` demonstrations and the test pair; another
    task keeps its number of demonstrations where it has enough other pairs.

    With `swap_train_test` every pair is equally likely to be the test, the original test pairs
    included; without, only those are. The test pair always has a known output.
    """
    tests = [pair for pair in task.test if pair.output is not None]
    wanted = len(task.train) if task.n_train is None else task.n_train
    others: list[Pair]
    if task.is_pool or augmentation.swap_train_test:
        others = [*task.train, *tests]
        test = others.pop(int(rng.integers(len(others))))
    else:
        others = list(task.train)
        test = tests[int(rng.integers(len(tests)))]
    # Some are left over where tests were added or a pool is large: which ones is drawn as well.
    chosen = rng.permutation(len(others))[:wanted]
    if not augmentation.pair_order:
        chosen = np.sort(chosen)
    return replace(task, train=tuple(others[index] for index in chosen), test=(test,), n_train=None)


def draw_view(rng: np.random.Generator, augmentation: Augmentation) -> View:
    """A view with the symmetries and colours that the augmentation allows."""
    symmetry = int(rng.integers(SYMMETRIES)) if augmentation.symmetries else 0
    colours = IDENTITY_COLOURS
    if augmentation.colours != "none":
        colours = draw_colours(rng, keep_black=augmentation.colours == "keep_black")
    return View(symmetry, colours)


def eligible_tasks(root: Path, share: SourceShare, augmentation: Augmentation) -> list[Task]:
    """The tasks of a share that are small enough and have a pair to ask about, ordered by id."""
    return [
        task
        for task in load_tasks(root, share.source).values()
        if (share.max_cells is None or task.cells <= share.max_cells) and _can_be_asked(task, augmentation)
    ]


def _can_be_asked(task: Task, augmentation: Augmentation) -> bool:
    known_tests = sum(pair.output is not None for pair in task.test)
    if task.is_pool or augmentation.swap_train_test:
        return len(task.train) + known_tests >= 2
    return known_tests >= 1


def load_mixture(root: Path, settings: MixtureSettings, seed: int) -> Mixture:
    """The mixture of these settings over the imported sources.

    Raises `UserError` for a source that was not imported or of which no task is left.
    """
    tasks = {share.source: eligible_tasks(root, share, settings.augmentation) for share in settings.sources}
    return Mixture(tasks, settings, seed)
