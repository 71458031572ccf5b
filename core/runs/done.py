"""The stages of a run in their order, and which of them are done, by their files.

A stage is done when the files that it leaves exist, whatever any state says: that is the whole resume rule.
A new stage is an entry of `_RESULTS` here, at its place in the order, and its work in `core.pipeline.work`.
"""

from collections.abc import Callable
from pathlib import Path

from core.errors import UserError
from core.runs.layout import Run, eval_places
from core.specs.spec import ExperimentSpec
from core.storage.evaluation_files import PREDICTIONS_FILE, SCORES_FILE

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
"""The files and folders that each stage leaves; none where it has nothing to do for a run."""
EVERY_STAGE: tuple[Stage, ...] = tuple(_RESULTS)
STAGES: tuple[Stage, ...] = tuple(stage for stage in EVERY_STAGE if stage != "adapt")
"""The stages that every run has; `adapt` is there for runs with test-time training alone."""
STAGES_IN_PARTS: tuple[Stage, ...] = ("adapt", "infer")
"""The stages that several processes can share: some of the groups each, or some of the tasks."""


def check_places(run: Run) -> None:
    """Raise `UserError` where a file stands in the place of a folder of the run, or a folder in a file's: it
    would be taken for finished work, or stop the work when it is to be kept."""
    evaluations = eval_places(run.folder)
    folders = [run.checkpoint, run.adapter, run.model, run.merged, run.adapt, *evaluations]
    files = [run.progress_file, run.adapted_file]
    files += [folder / name for folder in evaluations for name in (PREDICTIONS_FILE, SCORES_FILE)]
    for path in [*folders, *files]:
        if path.exists() and path.is_dir() != (path in folders):
            stands, wanted = ("a folder", "a file") if path.is_dir() else ("a file", "a folder")
            raise UserError(f"{path} is {stands} where {wanted} is wanted. Move it away, then retry the run.")


def is_done(run: Run, spec: ExperimentSpec, stage: Stage) -> bool:
    """Whether the files of a stage exist, for every evaluation seed."""
    return all(path.exists() for path in _RESULTS[stage](run, spec))


def stages_left(run: Run, spec: ExperimentSpec) -> list[Stage]:
    """The stages whose files are missing, in order."""
    return [stage for stage in EVERY_STAGE if not is_done(run, spec, stage)]
