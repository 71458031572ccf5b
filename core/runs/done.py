"""The stages of a run in their order, and which of them are done, by their files.

A stage is done when the files that it leaves exist, whatever any state says: that is the whole resume rule.
A new stage is an entry of `_RESULTS` here, at its place in the order, and its work in `core.pipeline.work`.
"""

from collections.abc import Callable
from pathlib import Path

from core.runs.layout import Run
from core.specs.spec import ExperimentSpec

Stage = str


def _trained(run: Run, spec: ExperimentSpec) -> list[Path]:
    method = spec.recipe_of(run.variant).training.method
    return {"none": [], "lora": [run.adapter]}.get(method, [run.model])


def _adapted(run: Run, spec: ExperimentSpec) -> list[Path]:
    return [] if spec.recipe_of(run.variant).test_time is None else [run.adapted_file]


def _answered(run: Run, spec: ExperimentSpec) -> list[Path]:
    return [run.predictions(seed) for seed in spec.eval_seeds]


def _scored(run: Run, spec: ExperimentSpec) -> list[Path]:
    return [run.scores(seed) for seed in spec.eval_seeds]


_RESULTS: dict[Stage, Callable[[Run, ExperimentSpec], list[Path]]] = {
    "train": _trained,
    "adapt": _adapted,
    "infer": _answered,
    "score": _scored,
}
EVERY_STAGE: tuple[Stage, ...] = tuple(_RESULTS)
STAGES: tuple[Stage, ...] = tuple(stage for stage in EVERY_STAGE if stage != "adapt")
"""The stages that every run has; `adapt` is there for runs with test-time training alone."""


def results_of(run: Run, spec: ExperimentSpec, stage: Stage) -> list[Path]:
    """The files and folders that a stage leaves; none where it has nothing to do for this run."""
    return _RESULTS[stage](run, spec)


def is_done(run: Run, spec: ExperimentSpec, stage: Stage) -> bool:
    """Whether the files of a stage exist, for every evaluation seed."""
    return all(path.exists() for path in results_of(run, spec, stage))


def stages_left(run: Run, spec: ExperimentSpec) -> list[Stage]:
    """The stages whose files are missing, in order."""
    return [stage for stage in EVERY_STAGE if not is_done(run, spec, stage)]
