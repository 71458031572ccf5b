"""The real work of each stage: train, adapt, infer, score."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import UserError
from core.experiments.launched_experiment import LaunchedExperiment
from core.experiments.provenance import add_to_record
from core.pipeline.adapt import adapt
from core.pipeline.answer_groups import answer_adapted
from core.pipeline.repeat_inference import repeat, rescore_answers
from core.pipeline.shared_engine import answer_runs, engine_groups
from core.pipeline.work import Reporting, Work, one_by_one
from core.runs.layout import Run
from core.runs.reporter import Reporter
from core.storage.files import writing
from core.storage.models import model_location

if TYPE_CHECKING:
    from core.parallel.ranks import Workers
    from core.training.train import Training


def _train(experiment: LaunchedExperiment, run: Run, report: Reporter) -> None:
    """Train in this process, or in several where there are several GPUs."""
    from core.parallel.ranks import Workers, share_work, wanted_workers

    count = wanted_workers(experiment.recipe_of(run).training.devices)
    if count == 1:
        train_here(experiment, run, report, Workers())
    else:
        place = [str(run.root.resolve()), run.experiment, run.variant, str(run.train_seed)]
        share_work(["-m", "core.pipeline.train_rank", *place], count, report)
    shutil.rmtree(run.checkpoint, ignore_errors=True)


def train_here(
    experiment: LaunchedExperiment,
    run: Run,
    report: Callable[[dict[str, Any]], None],
    workers: "Workers",
) -> None:
    """Train the model of a run in this process, alone or as one of several."""
    from core.training.train import train

    training = training_of(experiment, run)
    train(training, run.folder, report, workers, note=lambda numerics: add_to_record(run, training=numerics))


def training_of(experiment: LaunchedExperiment, run: Run) -> "Training":
    """What a run trains: settings, prompt, mixture, base model, seed, and what is held out."""
    from core.mixing.held_out import hold_out, questions_about
    from core.mixing.mixtures import Mixture
    from core.training.train import Training

    recipe = experiment.recipe_of(run)
    whole = Mixture(experiment.trained(run.variant), recipe.mixture, run.train_seed)
    mixture, questions = hold_out(whole, recipe.training.validation, experiment.held_out(run.variant))
    evaluated = questions_about(experiment.evaluated, mixture, recipe.training.validation)
    questions = replace(questions, evaluated=evaluated)
    base = model_location(run.root, recipe.base_model)
    return Training(recipe.training, recipe.prompt, mixture, base, run.train_seed, questions)


def save_model_of(experiment: LaunchedExperiment, run: Run, target: Path) -> int | None:
    """Leave the model of a run in a new folder: the finished one, else that of its latest checkpoint, whose
    steps are returned.

    Raises `UserError` where the run trains an adapter, or has neither.
    """
    from core.training.train import save_as_it_stands, trained_folder

    training = training_of(experiment, run)
    if training.settings.method == "lora":
        raise UserError(f"'{run.name}' trains an adapter, which is no base model. Set training.method: full.")
    finished = trained_folder(run.folder, training.settings)
    if not finished.exists():
        return save_as_it_stands(training, run.folder, target)
    with writing(target) as temporary:
        shutil.copytree(finished, temporary)
    return None


def _score(experiment: LaunchedExperiment, run: Run, report: Reporter) -> None:
    from core.scoring.scores import Scoring, score_each, truths_of

    seeds = experiment.spec.eval_seeds
    left = [seed for seed in seeds if not run.scores(seed).exists()]
    evaluations = [
        Scoring(run.eval_folder(seed), run.experiment, run.variant, run.train_seed, seed) for seed in left
    ]
    done = len(seeds) - len(left)
    report({"step": done, "total": len(seeds)})
    for number, _ in enumerate(score_each(evaluations, truths_of(experiment.evaluated)), done + 1):
        report({"step": number, "total": len(seeds)})


def _infer(experiment: LaunchedExperiment, runs: Reporting) -> Iterator[tuple[Run, UserError | None]]:
    """Answer runs that share an engine; a run with test-time training by task comes alone."""
    if len(runs) == 1 and experiment.recipe_of(runs[0][0]).test_time is not None:
        yield from one_by_one(answer_adapted)(experiment, runs)
    else:
        yield from answer_runs(experiment, runs)


REAL_WORK = Work(
    "real",
    {
        "train": one_by_one(_train),
        "adapt": one_by_one(adapt),
        "infer": _infer,
        "score": one_by_one(_score),
    },
    together={"infer": engine_groups},
    repeat=repeat,
    rescore=rescore_answers,
)
