"""The stages of a run: train, infer, score. One process runs one stage of one run, or the inference of
several runs that share an engine.

A stage is done when its file exists, so a stage that is started again does only what is missing. Two
locks keep order, both freed by the kernel when their holder dies: one on the run (no two processes work
on one run) and one on the machine (stages take turns).
"""

import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import UserError
from core.experiments.frozen import frozen_of
from core.experiments.records import check_data
from core.experiments.reporting import Reporter, say_failed, say_in_log, sentence_of
from core.experiments.runs import (
    STAGES,
    Run,
    RunState,
    Stage,
    experiment_folder,
    list_runs,
    own_state,
    say_state,
)
from core.experiments.spec import ExperimentSpec, read_spec
from core.storage.files import locked
from core.storage.models import model_location

if TYPE_CHECKING:
    from core.training.workers import Workers

INFER_LOG = "infer.log"
"""What a process that answers several runs says, in the experiment's folder."""


def launched_spec(run: Run) -> ExperimentSpec:
    """The frozen spec that a run was launched with."""
    return read_spec(experiment_folder(run.root, run.experiment) / "experiment.yaml")


def is_done(run: Run, spec: ExperimentSpec, stage: Stage) -> bool:
    """Whether the files of a stage exist, for every evaluation seed."""
    if stage == "train":
        method = spec.recipe_of(run.variant).training.method
        return method == "none" or (run.folder / ("adapter" if method == "lora" else "model")).exists()
    name = "predictions.parquet" if stage == "infer" else "scores.parquet"
    return all((run.eval_folder(seed) / name).exists() for seed in spec.eval_seeds)


def stages_left(run: Run, spec: ExperimentSpec) -> list[Stage]:
    """The stages whose files are missing, in order."""
    return [stage for stage in STAGES if not is_done(run, spec, stage)]


def run_stage(run: Run, stage: Stage) -> bool:
    """Do what is missing of a stage; whether it is done now. Failures are said in `state.json`."""
    with locked(run.folder / ".lock"):
        spec = launched_spec(run)
        if is_done(run, spec, stage):
            return True
        say_state(run, replace(own_state(stage), state="queued"))  # so that it can be stopped in the queue
        with locked(run.root / "runs" / ".machine.lock"):
            say_state(run, own_state(stage))
            try:
                check_data(run, spec, stage)
                _WORK[stage](run, spec, Reporter(run, stage))
            except Exception as error:
                say_failed(run, stage, error)
                return False
        say_what_is_next(run, spec)
        return True


def infer_together(runs: Sequence[Run]) -> bool:
    """Do what is missing of the inference of trained runs of one experiment that can share an engine, in
    this process; whether it is all done now. A run that fails leaves the others alone."""
    if not runs:
        return True
    with ExitStack() as held:
        for run in sorted(runs, key=lambda run: run.folder):  # in one order, so that nobody waits in a circle
            held.enter_context(locked(run.folder / ".lock"))
        spec = launched_spec(runs[0])
        left = [run for run in runs if not is_done(run, spec, "infer")]
        for run in left:
            say_state(run, replace(own_state("infer"), state="queued"))
            say_in_log(run, f"One process answers {len(left)} runs; what it says stands in {INFER_LOG}.")
        with locked(runs[0].root / "runs" / ".machine.lock"):
            _infer_in_turn(left, spec)
        return all(is_done(run, spec, "infer") for run in runs)


def _infer_in_turn(runs: Sequence[Run], spec: ExperimentSpec) -> None:
    """One engine for all of these runs; each says itself how it goes."""
    from core.experiments.answering import answer_runs

    able = []
    for run in runs:
        try:
            check_data(run, spec, "infer")
            able.append(run)
        except UserError as error:
            say_failed(run, "infer", error)
            say_in_log(run, str(error))
    ended = set()
    try:
        for run, problem in answer_runs([(run, Reporter(run, "infer")) for run in able], spec):
            ended.add(run)
            if problem is None:
                say_what_is_next(run, spec)
            else:
                say_failed(run, "infer", problem)
                say_in_log(run, str(problem))
    except Exception as error:
        for run in able:
            if run not in ended:
                say_failed(run, "infer", error)
                say_in_log(run, sentence_of(run, error))


def waiting_for_answers(root: Path, experiment: str) -> list[Run]:
    """The runs of an experiment that are trained and not answered."""
    spec = read_spec(experiment_folder(root, experiment) / "experiment.yaml")
    return [
        run
        for run in list_runs(root, experiment)
        if is_done(run, spec, "train") and not is_done(run, spec, "infer")
    ]


def waiting_on(root: Path, experiment: str, base_model: str) -> list[Run]:
    """Those of them whose adapters are served beside this base model (named as in the spec)."""
    from core.experiments.answering import needs_own_engine

    waiting = waiting_for_answers(root, experiment)
    if not waiting:
        return []
    spec = launched_spec(waiting[0])
    return [
        run
        for run in waiting
        if spec.recipe_of(run.variant).base_model == base_model and not needs_own_engine(run, spec)
    ]


def say_what_is_next(run: Run, spec: ExperimentSpec) -> None:
    """Say that a run waits for its next stage, or that it is done."""
    left = stages_left(run, spec)
    say_state(run, RunState("queued", left[0]) if left else RunState("done"))


def _train(run: Run, spec: ExperimentSpec, report: Reporter) -> None:
    """Train in this process, or in several where there are several GPUs."""
    from core.training.workers import Workers, share_work, wanted_workers

    count = wanted_workers(spec.recipe_of(run.variant).training.devices)
    if count == 1:
        train_here(run, spec, report, Workers())
    else:
        place = [str(run.root.resolve()), run.experiment, run.variant, str(run.train_seed)]
        share_work(["-m", "core.experiments.ranks", *place], count, report)
    shutil.rmtree(run.folder / "checkpoint", ignore_errors=True)


def train_here(
    run: Run, spec: ExperimentSpec, report: Callable[[dict[str, Any]], None], workers: "Workers"
) -> None:
    """Train the model of a run in this process, alone or as one of several."""
    from core.curation.mixtures import Mixture
    from core.training.train import Training, train
    from core.training.validation import hold_out

    recipe = spec.recipe_of(run.variant)
    tasks = frozen_of(run, spec).load_trained(run.root, run.variant, recipe.mixture)
    whole = Mixture(tasks, recipe.mixture, run.train_seed)
    mixture, questions = hold_out(run.root, whole, recipe.training.validation)
    base = model_location(run.root, recipe.base_model)
    training = Training(recipe.training, recipe.prompt, mixture, base, run.train_seed, questions)
    train(training, run.folder, report, workers)


def _infer(run: Run, spec: ExperimentSpec, report: Reporter) -> None:
    from core.experiments.answering import answer_runs

    for _, problem in answer_runs([(run, report)], spec):
        if problem is not None:
            raise problem


def _score(run: Run, spec: ExperimentSpec, report: Reporter) -> None:
    from core.scoring.scores import score

    tasks = frozen_of(run, spec).load_evaluated(run.root)
    for number, eval_seed in enumerate(spec.eval_seeds, 1):
        folder = run.eval_folder(eval_seed)
        if not (folder / "scores.parquet").exists():
            score(
                folder / "predictions.parquet",
                tasks,
                folder / "scores.parquet",
                experiment=run.experiment,
                variant=run.variant,
                train_seed=run.train_seed,
                eval_seed=eval_seed,
            )
        report({"step": number, "total": len(spec.eval_seeds)})


_WORK: dict[Stage, Callable[[Run, ExperimentSpec, Reporter], None]] = {
    "train": _train,
    "infer": _infer,
    "score": _score,
}
