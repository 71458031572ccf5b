"""An experiment as it was launched: the only door to its spec, recipes, tasks and runs.

Whoever works on launched runs opens it once and passes it down. Nothing behind the door looks at specs,
partitions, flags or sources as they are now, other than to see that the frozen tasks hold what they held.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from core.arc.tasks import Task
from core.experiments.frozen_tasks import FrozenTasks, read_frozen
from core.experiments.listing import list_runs
from core.experiments.provenance import check_tokenizer
from core.runs.done import Stage, check_places, is_done, stages_left
from core.runs.layout import Run, spec_path
from core.specs.spec import ExperimentSpec, Recipe, read_spec
from core.storage.models import check_seal


@dataclass(frozen=True)
class LaunchedExperiment:
    """The frozen spec of an experiment, with everything that was frozen beside it."""

    root: Path
    spec: ExperimentSpec

    @classmethod
    def open(cls, root: Path, experiment: str) -> Self:
        """Read the frozen spec. Raises `UserError` where it is missing or broken."""
        return cls(root, read_spec(spec_path(root, experiment)))

    @classmethod
    def of(cls, run: Run) -> Self:
        """The experiment of a run."""
        return cls.open(run.root, run.experiment)

    @property
    def name(self) -> str:
        """Its name."""
        return self.spec.name

    @cached_property
    def tasks(self) -> FrozenTasks:
        """The lists of tasks. Raises `UserError` where they are missing or broken."""
        return read_frozen(self.root, self.name)

    @cached_property
    def evaluated(self) -> list[Task]:
        """The evaluated tasks. Raises `UserError` where one is gone or holds something else."""
        return self.tasks.load_evaluated(self.root)

    def trained(self, variant: str) -> dict[str, list[Task]]:
        """What the mixture of a variant draws from, by source. Raises `UserError` like `evaluated`."""
        return self.tasks.load_trained(self.root, variant, self.spec.recipe_of(variant).mixture)

    def held_out(self, variant: str) -> tuple[str, ...] | None:
        """The families that a partition keeps out of the training of a variant; None where none does."""
        return self.tasks.held_out.get(variant)

    def recipe_of(self, run: Run) -> Recipe:
        """The whole recipe of a run."""
        return self.spec.recipe_of(run.variant)

    def runs(self) -> list[Run]:
        """Its runs that have a folder now, by variant and seed."""
        return list_runs(self.root, self.name)

    def is_done(self, run: Run, stage: Stage) -> bool:
        """Whether the files of a stage of a run exist."""
        return is_done(run, self.spec, stage)

    def stages_left(self, run: Run) -> list[Stage]:
        """The stages of a run whose files are missing, in order."""
        return stages_left(run, self.spec)

    def check_data(self, run: Run, stage: Stage) -> None:
        """Raise `UserError` where the tasks that a stage reads do not hold what they held at the launch, for
        then the run's record would not be true; before an inference also where adapter or model are not what
        the training wrote; and where something of another kind stands in the place of its work."""
        check_places(run)
        if stage != "score":
            check_tokenizer(run, self.recipe_of(run))
        if stage == "train":
            self.trained(run.variant)
            return
        if stage == "infer":
            check_seal(run.adapter if self.recipe_of(run).training.method == "lora" else run.model)
        _ = self.evaluated
