"""The stage between training and inference: a short training per group of tasks, from the run's model.

Each group leaves an adapter in `adapt/<group>/`, so a killed stage goes on with the next group. When all are
there, `adapted.json` says how each went. One engine then answers every task by the adapter of its group, and
the adapters are removed, unless they shall be kept.
"""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from core.errors import Stopped
from core.experiments.launched_experiment import LaunchedExperiment
from core.experiments.provenance import add_to_record
from core.inference.adapters import write_merged
from core.inference.predict import Job, answer, predictions_path
from core.runs.layout import Run
from core.runs.reporter import Reporter
from core.specs.spec import Recipe
from core.storage.files import read_json, write_json
from core.storage.models import model_location
from core.storage.records import read_as
from core.storage.schemas import PREDICTIONS, read_table, write_table
from core.training.adaptation import (
    AdaptationSettings,
    Group,
    demonstrations_to_learn,
    groups_of,
    mixture_of,
    training_of,
)

RESULT = "group.json"


def adapt(experiment: LaunchedExperiment, run: Run, report: Reporter) -> None:
    """Train the adapters that are missing. Each group is reported: step (groups done), total, group, tasks,
    loss_before and loss_after (nats per counted token, of the first and the last step), seconds."""
    recipe = experiment.recipe_of(run)
    settings = _settings(recipe)
    groups = groups_of(experiment.evaluated, settings)
    base = _base(experiment, run)
    for number, group in enumerate(groups, 1):
        folder = run.adapt / group.name
        if not (folder / RESULT).exists():
            write_json(folder / RESULT, _adapt_group(experiment, run, group, base))
        report({"step": number, "total": len(groups), **read_as(folder / RESULT, dict[str, Any])})
    write_json(run.adapted_file, [read_json(run.adapt / group.name / RESULT) for group in groups])


def _settings(recipe: Recipe) -> AdaptationSettings:
    assert recipe.test_time is not None  # the stage has nothing to do where it is None
    return recipe.test_time


def _base(experiment: LaunchedExperiment, run: Run) -> str:
    """The model that adapters are trained on: the run's own, merged where the run trained an adapter."""
    recipe = experiment.recipe_of(run)
    base = model_location(run.root, recipe.base_model)
    if recipe.training.method == "none":
        return base
    if recipe.training.method == "full":
        return str(run.model)
    if not run.merged.exists():
        write_merged(base, run.adapter, run.merged)
    return str(run.merged)


def _adapt_group(experiment: LaunchedExperiment, run: Run, group: Group, base: str) -> dict[str, Any]:
    """Train the adapter of a group; what came of it. A group without a sample to learn from has none."""
    from core.training.train import Training, train

    recipe = experiment.recipe_of(run)
    settings = _settings(recipe)
    begin = time.monotonic()
    losses: list[float] = []
    learned = demonstrations_to_learn(group.tasks, experiment.evaluated)
    result: dict[str, Any] = {
        "group": group.name,
        "tasks": [[task.source, task.task_id] for task in group.tasks],
        "demonstrations": sum(len(task.train) for task in learned),
    }
    if learned:
        own = experiment.trained(run.variant) if settings.replay else {}
        seed = group.seed(run.train_seed)
        mixture = mixture_of(learned, settings, recipe.mixture, own, seed)
        prompt = recipe.prompt.model_copy(update={"too_long": "shorten"})
        training = Training(training_of(settings, recipe.training, len(learned)), prompt, mixture, base, seed)
        train(training, run.adapt / group.name, _stoppable(run, losses))
        shutil.rmtree(run.adapt / group.name / "checkpoint", ignore_errors=True)
    return {
        **result,
        "loss_before": losses[0] if losses else None,
        "loss_after": losses[-1] if losses else None,
        "seconds": time.monotonic() - begin,
    }


def _stoppable(run: Run, losses: list[float]) -> Callable[[dict[str, Any]], None]:
    """Collects the losses of a group's training, and stops it where a person wants the run to stop."""

    def report(record: dict[str, Any]) -> None:
        losses.append(record["loss"])
        if run.stop_file.exists():
            raise Stopped

    return report


def answer_adapted(experiment: LaunchedExperiment, run: Run, report: Reporter) -> None:
    """Answer every task by its group's adapter, by one engine; where there is none, by the run's model."""
    from core.inference.engines import open_engine
    from core.pipeline.shared_engine import evaluation_of
    from core.prompts.vocabulary import load_tokenizer

    settings = _settings(experiment.recipe_of(run))
    groups = groups_of(experiment.evaluated, settings)
    adapters = {group.name: run.adapt / group.name / "adapter" for group in groups}
    served = [adapter for adapter in adapters.values() if adapter.exists()]
    model = _base(experiment, run)
    engine = open_engine(experiment.spec.evaluation.inference, model, served)
    add_to_record(run, engine={"name": engine.name, "version": engine.version, "merged_because": None})
    seeds = [seed for seed in experiment.spec.eval_seeds if not run.predictions(seed).exists()]
    progress = _Together(report, _attempts(experiment) * len(seeds))
    jobs = (
        Job(
            evaluation_of(experiment, run, seed, group.tasks),
            _part(run, seed, group),
            progress.of((seed, group.name)),
            adapters[group.name] if adapters[group.name] in served else None,
        )
        for seed in seeds
        for group in groups
    )
    for _, problem in answer(jobs, engine, load_tokenizer(model)):
        if problem is not None:
            raise problem
    for seed in seeds:
        _put_together(run, seed, [_part(run, seed, group) for group in groups])
    shutil.rmtree(run.merged, ignore_errors=True)
    if not settings.keep:
        shutil.rmtree(run.adapt, ignore_errors=True)


def _attempts(experiment: LaunchedExperiment) -> int:
    outputs = sum(len(task.test) for task in experiment.evaluated)
    return outputs * experiment.spec.evaluation.inference.attempts


def _part(run: Run, seed: int, group: Group) -> Path:
    return run.eval_folder(seed) / "groups" / group.name


def _put_together(run: Run, seed: int, parts: list[Path]) -> None:
    """The predictions of all groups as one file; the parts go."""
    table = pa.concat_tables([read_table(predictions_path(part), PREDICTIONS) for part in parts])
    keys = [(name, "ascending") for name in ("source", "task_id", "test_index", "attempt")]
    write_table(run.predictions(seed), table.sort_by(keys), PREDICTIONS)
    shutil.rmtree(run.eval_folder(seed) / "groups")


class _Together:
    """The progress of many small evaluations as that of one."""

    def __init__(self, report: Reporter, total: int) -> None:
        self.report, self.total = report, total
        self.steps: dict[Any, int] = {}

    def of(self, key: tuple[int, str]) -> Callable[[dict[str, Any]], None]:
        """What one of them reports to."""

        def report(record: dict[str, Any]) -> None:
            self.steps[key] = record["step"]
            self.report(
                {**record, "step": sum(self.steps.values()), "total": self.total, "eta_seconds": None}
            )

        return report
