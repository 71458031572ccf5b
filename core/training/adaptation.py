"""Test-time training per group of tasks: its settings, the groups, and what each learns from.

A short training of an adapter, or of all weights, starts from the run's model and draws from the
demonstrations of its group's tasks alone, each asked from the others. A demonstration that equals a test pair
of any evaluated task, up to symmetry, recolouring and reversal, is left out, and so is a task of which none
is left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import Field, field_validator

from core.arc.tasks import Task
from core.curation.source_names import DEMOS, demonstrations_of
from core.mixing.augmentations import Augmentation
from core.mixing.demonstrations import are_among
from core.mixing.mixtures import Mixture, MixtureSettings, SourceShare
from core.prompts.encoders import GridEncoding
from core.seeds import derived_seed
from core.settings import Settings
from core.training.settings import LoraSettings, TrainingSettings

ANY_GRID = GridEncoding()


class AdaptationSettings(Settings):
    """Test-time training between a run's own training and its inference."""

    groups: Literal["task", "all"] | Annotated[int, Field(ge=1, le=10**6)] = Field(
        "task",
        description="Which tasks share a training: each has its own (task), all have one (all), or so many"
        " have one, in the order of the evaluation.",
    )
    method: Literal["lora", "full"] = Field(
        "lora",
        description="Train an adapter for each group (lora), all of which one engine serves, or all weights"
        " (full), for small models: each group has an engine of its own.",
    )
    steps: int = Field(60, ge=1, le=10**6, description="Optimizer steps for each group.")
    seconds_per_task: float | None = Field(
        None,
        gt=0,
        le=10**6,
        description="Instead of steps: train for so long for each task of a group, as contests limit it.",
    )
    samples_per_step: int = Field(8, ge=1, le=10**6, description="Samples whose gradients make one step.")
    learning_rate: float = Field(2e-3, gt=0, le=10, description="Highest learning rate.")
    optimizer: Literal["adamw", "muon"] = Field("adamw", description="As in the training.")
    lora: LoraSettings = Field(
        LoraSettings(), description="The adapter, on top of the model that the run has trained."
    )
    replay: float = Field(
        0.0, ge=0, lt=1, description="Share of the samples that come from the run's own mixture."
    )
    keep: bool = Field(
        False,
        description="Keep the adapters or models after they have answered. Others are trained once more"
        " where a run is asked again.",
    )

    @field_validator("lora")
    @classmethod
    def _can_be_served(cls, lora: LoraSettings) -> LoraSettings:
        if lora.dora or lora.init != "zero" or lora.four_bit:
            raise ValueError("one engine serves plain adapters alone; leave out dora, init and four_bit")
        return lora


@dataclass(frozen=True)
class Group:
    """Tasks that share an adapter, and their name in the run's folder."""

    name: str
    tasks: tuple[Task, ...]

    def seed(self, train_seed: int) -> int:
        """The seed of its training: of the run's seed and its tasks alone."""
        names = [f"{task.source} {task.task_id}" for task in self.tasks]
        return derived_seed(train_seed, "adapt", *names)


def groups_of(tasks: Sequence[Task], settings: AdaptationSettings) -> list[Group]:
    """The evaluated tasks in groups, in their order. Groups are named by number; ids come from outside."""
    size = {"task": 1, "all": len(tasks)}.get(str(settings.groups)) or int(settings.groups)
    parts = [tuple(tasks[start : start + size]) for start in range(0, len(tasks), size)]
    return [Group(f"{number:04d}", part) for number, part in enumerate(parts, 1)]


def demonstrations_to_learn(
    tasks: Sequence[Task], evaluated: Sequence[Task], encoding: GridEncoding = ANY_GRID
) -> list[Task]:
    """The demonstrations of some evaluated tasks as tasks of `demos:` sources, without what equals a test
    pair of any evaluated task, and without what an encoding has no room for."""
    tested = [pair for task in evaluated for pair in task.test if pair.output is not None]
    hidden = iter(are_among([pair for task in tasks for pair in task.train], tested))
    found = []
    for task in tasks:
        shown = [pair for pair, is_hidden in zip(task.train, hidden, strict=False) if not is_hidden]
        kept = tuple(
            pair
            for pair in shown
            if all(grid is None or encoding.holds(grid) for grid in (pair.input, pair.output))
        )
        if kept:
            found.append(demonstrations_of(replace(task, train=kept), DEMOS + task.source))
    return found


def mixture_of(
    demonstrations: Sequence[Task],
    settings: AdaptationSettings,
    own: MixtureSettings,
    own_tasks: Mapping[str, Sequence[Task]],
    seed: int,
) -> Mixture:
    """What a group's training draws from: its demonstrations, and for `replay` the run's mixture."""
    by_source: dict[str, list[Task]] = {}
    for task in demonstrations:
        by_source.setdefault(task.source, []).append(task)
    shares = [
        SourceShare(source=source, weight=(1 - settings.replay) * len(tasks) / len(demonstrations))
        for source, tasks in by_source.items()
    ]
    replayed = [share for share in own.sources if settings.replay and share.source not in by_source]
    total = sum(share.weight for share in replayed)
    shares += [
        share.model_copy(update={"weight": settings.replay * share.weight / total}) for share in replayed
    ]
    tasks = {**{share.source: own_tasks[share.source] for share in replayed}, **by_source}
    augmentation: Augmentation = own.augmentation
    return Mixture(tasks, MixtureSettings(sources=tuple(shares), augmentation=augmentation), seed)


def training_of(settings: AdaptationSettings, own: TrainingSettings, tasks: int) -> TrainingSettings:
    """The settings of the training of a group of so many tasks. What is read and counted is as in the run's
    own training."""
    seconds = settings.seconds_per_task
    return own.model_copy(
        update={
            "method": settings.method,
            "lora": settings.lora,
            "steps": settings.steps,
            "seconds": None if seconds is None else seconds * tasks,
            "samples_per_step": settings.samples_per_step,
            "tokens_per_step": None,
            "learning_rate": settings.learning_rate,
            "optimizer": settings.optimizer,
            "validation": TrainingSettings().validation,
            "log_to": (),
            "devices": 1,
        }
    )
