"""Trained models are asked once more: is inference deterministic, and how likely is each answer?

A sample of an evaluation is answered again with its seed. The base model gets the same prompts, so that an
adapter that changes nothing is found. Everything is about the tasks that were frozen at the launch.
"""

from pathlib import Path

from core.errors import UserError
from core.experiments.launched_experiment import LaunchedExperiment
from core.experiments.listing import chosen_runs
from core.experiments.slot_sharing import slots_held
from core.machine.processes import Notify
from core.pipeline.shared_engine import engine_groups
from core.pipeline.work import Progress
from core.pipeline.work_registry import work_of
from core.runs.layout import Run


def repeat_evaluations(root: Path, experiment: str, notify: Notify = lambda _: None) -> int:
    """Repeat a sample of the first evaluation of every answered run and note what came of it; how many runs.

    Where other work goes on it waits, and says so. Raises `UserError` where no run is answered yet, a model
    can't be served, or a source no longer holds the tasks of the launch.
    """
    launched, answered = _answered(root, experiment)
    with slots_held(answered, notify):
        for group in engine_groups(answered, launched):
            work_of(group[0]).repeat(launched, group)
    return len(answered)


def rescore_experiment(
    root: Path, experiment: str, views: int, most: int, progress: Progress, notify: Notify = lambda _: None
) -> int:
    """Rescore the answers of every answered run; how many evaluations have their candidates now.

    Where other work goes on it waits, and says so. Raises `UserError` like `repeat_evaluations`.
    """
    launched, answered = _answered(root, experiment)
    seeds = launched.spec.eval_seeds
    with slots_held(answered, notify):
        for group in engine_groups(answered, launched):
            left = [run for run in group if not all(run.candidates(seed).exists() for seed in seeds)]
            if left:
                work_of(left[0]).rescore(launched, left, views, most, progress)
    return len(answered) * len(seeds)


def _answered(root: Path, experiment: str) -> tuple[LaunchedExperiment, list[Run]]:
    """The runs whose predictions are all there, with their experiment; its tasks are as they were."""
    chosen_runs(root, experiment)
    launched = LaunchedExperiment.open(root, experiment)
    answered = [run for run in launched.runs() if launched.is_done(run, "infer")]
    if not answered:
        raise UserError(
            f"No run of '{experiment}' is answered yet, so nothing can be repeated."
            f" See how far they are: python -m core runs list {experiment}"
        )
    return launched, answered
