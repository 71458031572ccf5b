"""Which tasks an experiment trains on and evaluates, by id: `tasks.json`, frozen at its launch.

Flags and partitions go on changing after a launch. A run reads its tasks from this list, so it is what was
launched however long it waited, and a run that is added later gets the list of its siblings. What a listed
task *holds* must not change either: a fingerprint stands beside each list. Where a training holds out what
stands on a partition's list, the families held out are frozen as well.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from core.arc.tasks import Task
from core.curation.source_names import is_drawn
from core.curation.sources import tasks_fingerprint, tasks_named
from core.curation.stored import UnknownTaskError
from core.errors import UserError
from core.experiments.listing import list_runs
from core.mixing.held_out import listed_families
from core.mixing.mixtures import Mixture, MixtureSettings, mixture_tasks, small_pairs, without_drawn
from core.runs.layout import TASKS, experiment_folder
from core.specs.spec import ExperimentSpec, Recipe, evaluated_tasks
from core.storage.files import write_json
from core.storage.json_records import read_as


def changed_sentence(source: str) -> str:
    """Why a run does not go on with a source that holds other tasks than at its launch."""
    return (
        f"Source '{source}' has changed since the launch, so the run would not be what its record says."
        " Undo the change, or launch the spec under another name."
    )


@dataclass(frozen=True)
class TaskList:
    """Tasks of one source, by id and in their order, and a fingerprint of all that they hold."""

    source: str
    tasks: tuple[str, ...]
    sha256: str

    @classmethod
    def of(cls, source: str, tasks: Sequence[Task]) -> Self:
        """The frozen list of these tasks, with a fingerprint of what they hold."""
        return cls(source, tuple(task.task_id for task in tasks), tasks_fingerprint(tasks))

    def summary(self) -> dict[str, Any]:
        """How many tasks, and their fingerprint."""
        return {"tasks": len(self.tasks), "sha256": self.sha256}

    def load(self, root: Path) -> list[Task]:
        """The tasks, as they were. Raises `UserError` where the source lacks one or holds another."""
        try:
            tasks = tasks_named(root, self.source, self.tasks)
        except UnknownTaskError:
            tasks = []
        if tasks_fingerprint(tasks) != self.sha256:
            raise UserError(changed_sentence(self.source))
        return tasks


@dataclass(frozen=True)
class FrozenTasks:
    """The lists of an experiment: those evaluated, and for each variant those of its mixture. `held_out`
    names the families that a partition keeps out of a variant's mixture; variants without one are not in it.
    """

    evaluated: tuple[TaskList, ...]
    trained: dict[str, tuple[TaskList, ...]]
    held_out: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def load_evaluated(self, root: Path) -> list[Task]:
        """All evaluated tasks, in the order of the spec's sources."""
        return [task for one in self.evaluated for task in one.load(root)]

    def load_trained(self, root: Path, variant: str, mixture: MixtureSettings) -> dict[str, list[Task]]:
        """The tasks that a variant's mixture draws from, by source, without pairs that it leaves out
        or that are evaluated as drawn from a pool."""
        shares = {share.source: share for share in mixture.sources}
        drawn = [task for one in self.evaluated if is_drawn(one.source) for task in one.load(root)]
        return {
            one.source: [
                small_pairs(task, shares[one.source]) for task in without_drawn(one.load(root), drawn)
            ]
            for one in self.trained_of(variant)
        }

    def trained_of(self, variant: str) -> tuple[TaskList, ...]:
        """The lists of a variant's mixture. Raises `UserError` where there are none."""
        if variant not in self.trained:
            raise UserError(
                f"{TASKS} holds no tasks of variant '{variant}'. Restore it, or launch under another name."
            )
        return self.trained[variant]


def freeze(root: Path, spec: ExperimentSpec) -> FrozenTasks:
    """The lists of a spec: kept where runs of it exist already, else made of the data as they are now.

    Raises `UserError` where runs exist without their lists, or a mixture has nothing to draw from.
    """
    launched = {run.variant for run in list_runs(root, spec.name)}
    kept = read_frozen(root, spec.name) if launched else None
    evaluated = kept.evaluated if kept else _lists(evaluated_tasks(root, spec.evaluation))
    tasks = [task for one in evaluated for task in one.load(root)]
    trained, held_out = {}, {}
    for variant in spec.variants:
        if kept and variant in launched:
            trained[variant], families = kept.trained_of(variant), kept.held_out.get(variant)
        else:
            recipe = spec.recipe_of(variant)
            trained[variant] = mixture_lists(root, recipe.mixture, tasks)
            families = _listed(root, recipe)
        if families is not None:
            held_out[variant] = families
    return FrozenTasks(evaluated, trained, held_out)


def _listed(root: Path, recipe: Recipe) -> tuple[str, ...] | None:
    sources = (share.source for share in recipe.mixture.sources)
    return listed_families(root, sources, recipe.training.validation)


def mixture_lists(root: Path, mixture: MixtureSettings, evaluated: Sequence[Task]) -> tuple[TaskList, ...]:
    """What a mixture draws from, as flags and partitions stand now. Raises `UserError` for nothing at all."""
    tasks = mixture_tasks(root, mixture, evaluated)
    Mixture(tasks, mixture, seed=0)  # which refuses a source of which no task is left
    return tuple(
        TaskList.of(source, tasks_named(root, source, [task.task_id for task in members]))
        for source, members in tasks.items()
    )


def _lists(tasks: Iterable[Task]) -> tuple[TaskList, ...]:
    by_source: dict[str, list[Task]] = {}
    for task in tasks:
        by_source.setdefault(task.source, []).append(task)
    return tuple(TaskList.of(source, members) for source, members in by_source.items())


def write_frozen(root: Path, experiment: str, frozen: FrozenTasks) -> None:
    """Write the lists beside the frozen spec."""
    record = {
        "evaluated": [_record(one) for one in frozen.evaluated],
        "trained": {variant: [_record(one) for one in lists] for variant, lists in frozen.trained.items()},
        "held_out": {variant: list(families) for variant, families in frozen.held_out.items()},
    }
    write_json(experiment_folder(root, experiment) / TASKS, record)


def _record(one: TaskList) -> dict[str, Any]:
    return {"source": one.source, "sha256": one.sha256, "tasks": list(one.tasks)}


def read_frozen(root: Path, experiment: str) -> FrozenTasks:
    """The lists of a launched experiment. Raises `UserError` where the file is gone or broken."""
    path = experiment_folder(root, experiment) / TASKS
    if not path.exists():
        raise UserError(f"{path} is gone. Restore it, or launch under another name.")
    return read_as(path, FrozenTasks, "Restore it, or launch under another name.")
