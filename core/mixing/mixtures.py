"""Mixtures: sources with weights, from which a stream of training samples is drawn.

A sample is a task with demonstrations and exactly one test pair, seen through a random view. Sample
number *n* depends on the seed and on *n* alone, so a training that resumes draws what it would have
drawn, and several workers may share one stream. The probability of a source is its weight divided by
the sum of all weights, however many tasks it has; within a source all tasks are equally likely.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from core.arc.grids import MAX_SIDE
from core.arc.tasks import Pair, Task
from core.curation.flag_rules import FlaggedSource, FlagRule
from core.curation.leaks import Leak, TaskKey, find_leaks, key, leaking_families, related_families
from core.curation.partitions import chosen_tasks
from core.curation.source_names import is_demonstrations, is_drawn, stored_key
from core.curation.sources import load_tasks
from core.errors import UserError
from core.mixing.augmentations import Augmentation, can_be_asked, draw_problem, draw_question, draw_view
from core.mixing.demonstrations import compare_demonstrations, split_demonstrations, without_pairs
from core.seeds import generator
from core.settings import Settings

__all__ = [
    "Augmentation",
    "Gate",
    "Mixture",
    "MixtureSettings",
    "SourceShare",
    "load_mixture",
    "mixture_leaks",
    "mixture_tasks",
    "training_leaks",
]

MOST_CELLS = 10**9
"""No task has so many cells."""


class SourceShare(FlaggedSource):
    """One source of a mixture and how much of the stream comes from it."""

    source: str = Field(
        description="Name of the source, such as arc1/training; reversed:arc1/training holds its tasks that"
        " are flagged reversible, turned around; demos:arc1/evaluation the demonstrations of its tasks alone."
    )
    weight: float = Field(
        default=1.0,
        gt=0,
        le=1e9,
        description="Its share of the samples, relative to the others.",
    )
    max_cells: int | None = Field(
        default=None,
        ge=1,
        le=MOST_CELLS,
        description="Leave out tasks with more cells than this (demonstrations and one test).",
    )
    max_pair_cells: int | None = Field(
        default=None,
        ge=1,
        le=MOST_CELLS,
        description="Leave out pairs with more cells than this (input and output), such as the large ones"
        " of a pool; tasks with one pair left go with them.",
    )
    max_side: int | None = Field(
        default=None,
        ge=1,
        le=MAX_SIDE,
        description="Leave out pairs with a grid of more rows or columns, such as those over prompt.encoding"
        ".canvas; tasks with one pair left go with them.",
    )
    partition: str | None = Field(
        default=None, description="Use only the tasks on this list of a partition, such as mine/train."
    )
    evaluated_only: bool = Field(
        default=False,
        description="Use only the tasks that the experiment evaluates, as for test-time training on the"
        " demonstrations of a demos: source.",
    )
    exclude: tuple[str, ...] = Field(
        default=(), description="Ids of tasks to leave out, such as those that leak into the evaluation."
    )


class MixtureSettings(Settings):
    """What a training draws its samples from."""

    sources: tuple[SourceShare, ...] = Field(min_length=1, description="The sources and their weights.")
    exclude_leaks_with: tuple[str, ...] = Field(
        default=(),
        description="Leave out all tasks that give away one of these sources, such as arc1/evaluation, and"
        " everything else of their families; of a demos: source only what equals a test pair.",
    )
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
                kind, _, turned = share.source.partition(":")
                flag = f", flag tasks of '{turned}' on Curate" if kind == "reversed" else ""
                raise UserError(
                    f"The mixture draws from '{share.source}', but no task of it is left."
                    f" Raise max_cells, choose another partition{flag} or remove the source."
                )
        weights = np.cumsum([share.weight for share in settings.sources])
        self._bounds = weights / weights[-1]

    @property
    def tasks(self) -> dict[str, Sequence[Task]]:
        """The tasks to draw from, by source."""
        names = [share.source for share in self.settings.sources]
        return dict(zip(names, self._tasks, strict=True))

    def sample(self, number: int) -> Task:
        """Sample `number` of the stream: demonstrations and one test pair, changed and seen as drawn."""
        rng = generator(self.seed, "sample", number)
        place = int(np.searchsorted(self._bounds, rng.random(), side="right"))
        members = self._tasks[min(place, len(self._tasks) - 1)]
        task = members[int(rng.integers(len(members)))]
        return draw_sample(rng, task, self.settings.augmentation)


def draw_sample(rng: np.random.Generator, task: Task, augmentation: Augmentation) -> Task:
    """A training sample of one task: a question, changed and seen as drawn."""
    question = draw_question(rng, task, augmentation)
    view = draw_view(rng, task, augmentation)
    return view.apply(draw_problem(rng, question, augmentation))


def eligible_tasks(
    root: Path, share: SourceShare, settings: MixtureSettings, evaluated: Iterable[Task] | None = None
) -> list[Task]:
    """The tasks of a share that are on its partition's list, not excluded, no leak, small enough, and have
    a pair to ask about; ordered by id. `evaluated` are the tasks that a share with `evaluated_only` is about.

    Raises `UserError` where source, list or an excluded task is unknown.
    """
    kept = chosen_tasks(root, share.source, share.partition, share.exclude, share.rule)
    if share.evaluated_only:
        kept = _evaluated_of(kept, evaluated)
    kept = without_drawn(_without_leaks(root, share, settings, kept), evaluated or ())
    small = [small_pairs(task, share) for task in kept]
    return [
        task
        for task in small
        if (share.max_cells is None or task.cells <= share.max_cells)
        and can_be_asked(task, settings.augmentation)
    ]


def _evaluated_of(tasks: Iterable[Task], evaluated: Iterable[Task] | None) -> list[Task]:
    """The tasks that are, or are derived from, one of the evaluated."""
    if evaluated is None:
        raise UserError(
            "A source with evaluated_only: true is drawn from within an experiment alone, which says what is"
            " evaluated. Remove evaluated_only here."
        )
    wanted = {key(task) for task in evaluated}
    return [task for task in tasks if stored_key(*key(task)) in wanted]


def without_drawn(tasks: Iterable[Task], evaluated: Iterable[Task]) -> list[Task]:
    """The tasks, of which pools lose the pairs that are evaluated as drawn from them, in any disguise."""
    drawn = {stored_key(*key(task)): task for task in evaluated if is_drawn(task.source)}
    found = []
    for task in tasks:
        evaluation_draw = drawn.get(stored_key(*key(task)))
        if evaluation_draw is not None and task.n_train is not None:
            train = tuple(without_pairs(task.train, evaluation_draw.pairs))
            task = replace(task, train=train, n_train=max(1, min(task.n_train, len(train) - 1)))
        found.append(task)
    return found


def _without_leaks(
    root: Path, share: SourceShare, settings: MixtureSettings, tasks: Sequence[Task]
) -> list[Task]:
    """The tasks without those that give away a source of `exclude_leaks_with`."""
    if not settings.exclude_leaks_with:
        return list(tasks)
    if is_demonstrations(share.source):
        held = [task for name in settings.exclude_leaks_with for task in load_tasks(root, name).values()]
        found = compare_demonstrations(tasks, held, related_families(root)).leaks
        leaking = {(leak.source_a, leak.task_a) for leak in found}
        return [task for task in tasks if key(task) not in leaking]
    if share.rule != FlagRule():  # its tasks may not be those that the name alone stands for
        others = [task for name in settings.exclude_leaks_with for task in load_tasks(root, name).values()]
        leaking = {(leak.source_a, leak.task_a) for leak in training_leaks(root, tasks, others).leaks}
        given_away = {task.family for task in tasks if key(task) in leaking}
        return [task for task in tasks if task.family not in given_away]
    sources = [one.source for one in settings.sources if not is_demonstrations(one.source)]
    families = leaking_families(root, sources, settings.exclude_leaks_with)
    return [task for task in tasks if task.family not in families]


def small_pairs(task: Task, share: SourceShare) -> Task:
    """The task without the pairs that are too large for the share; a pool keeps a pair for the question
    beside its demonstrations, of which it shows at least one if it showed any."""
    if share.max_pair_cells is None and share.max_side is None:
        return task
    train, test = (
        tuple(pair for pair in pairs if _is_small(pair, share)) for pairs in (task.train, task.test)
    )
    n_train = task.n_train and max(1, min(task.n_train, len(train) - 1))
    return replace(task, train=train, test=test, n_train=n_train)


def _is_small(pair: Pair, share: SourceShare) -> bool:
    sides = [side for grid in (pair.input, pair.output) if grid is not None for side in grid.shape]
    return (share.max_pair_cells is None or pair.cells <= share.max_pair_cells) and (
        share.max_side is None or max(sides) <= share.max_side
    )


def load_mixture(
    root: Path, settings: MixtureSettings, seed: int, evaluated: Iterable[Task] | None = None
) -> Mixture:
    """The mixture of these settings over the imported sources; `evaluated` as in `eligible_tasks`.

    Raises `UserError` for a source that was not imported or of which no task is left.
    """
    return Mixture(mixture_tasks(root, settings, evaluated), settings, seed)


def mixture_tasks(
    root: Path, settings: MixtureSettings, evaluated: Iterable[Task] | None = None
) -> dict[str, list[Task]]:
    """The tasks that a mixture draws from, by source; none of a source is an empty list."""
    known = None if evaluated is None else list(evaluated)
    return {share.source: eligible_tasks(root, share, settings, known) for share in settings.sources}


@dataclass(frozen=True)
class Gate:
    """What a mixture shows of the evaluated tasks. `leaks`: task a is in the mixture, task b is evaluated and
    given away. `test_time`: the evaluated tasks, by source and id, of which it holds demonstrations alone.
    `known_rules`: those drawn from a pool of which it holds other pairs alone."""

    leaks: tuple[Leak, ...]
    test_time: tuple[TaskKey, ...] = ()
    known_rules: tuple[TaskKey, ...] = ()


def mixture_leaks(root: Path, settings: MixtureSettings, evaluated: Iterable[Task]) -> Gate:
    """What the training mixture gives away of the tasks that it will be evaluated on: the gate that a
    launch passes."""
    tasks = list(evaluated)
    by_source = mixture_tasks(root, settings, tasks)
    return training_leaks(root, [task for members in by_source.values() for task in members], tasks)


def training_leaks(root: Path, trained: Iterable[Task], evaluated: Iterable[Task]) -> Gate:
    """The same for the tasks that a mixture draws from."""
    mixed, demonstrations = split_demonstrations(trained)
    tasks = {key(task): task for task in evaluated}
    related = related_families(root)
    leaks = find_leaks(mixed, tasks.values(), related)
    # A task that is trained and evaluated under one key gives itself away; find_leaks leaves it out.
    itself = [Leak(*one, *one, "same id", len(tasks[one].pairs)) for one in map(key, mixed) if one in tasks]
    test_time = compare_demonstrations(demonstrations, list(tasks.values()), related)
    pools = {leak for leak in leaks if _is_known_rule(leak)}
    found = {*leaks, *itself, *test_time.leaks} - pools
    ordered = sorted(found, key=lambda leak: (leak.source_a, leak.task_a, leak.source_b, leak.task_b))
    known_rules = {(leak.source_b, leak.task_b) for leak in pools}
    return Gate(tuple(ordered), test_time.seen, tuple(sorted(known_rules)))


def _is_known_rule(leak: Leak) -> bool:
    """Whether a leak is only that a pool is trained on of which other pairs are evaluated."""
    own = stored_key(leak.source_a, leak.task_a) == stored_key(leak.source_b, leak.task_b)
    return is_drawn(leak.source_b) and own and leak.pairs == 0
