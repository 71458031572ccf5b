"""The stages of a run: train, infer, score. One process runs one stage of one run, or the inference of
several runs that share an engine, and their scores after it.

A stage is done when its file exists, so a stage that is started again does only what is missing. A lock on
the run, freed by the kernel when its holder dies, keeps two processes from working on one run.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from core.errors import UserError
from core.machine.processes import Heartbeat
from core.pipeline.reuse import take_over
from core.runs.done import Stage, is_done, stages_left
from core.runs.frozen_tasks import frozen_of
from core.runs.layout import Run, spec_path
from core.runs.progress import write_log
from core.runs.provenance import add_to_record, check_data
from core.runs.reporter import Reporter, failure_message, report_failure
from core.runs.state import begin, finish, queue_for
from core.specs.spec import ExperimentSpec, read_spec
from core.storage.evaluation_files import SCORES_FILE
from core.storage.files import locked
from core.storage.models import model_location

if TYPE_CHECKING:
    from core.training.workers import Workers


def launched_spec(run: Run) -> ExperimentSpec:
    """The frozen spec that a run was launched with."""
    return read_spec(spec_path(run.root, run.experiment))


def run_stage(run: Run, stage: Stage) -> bool:
    """Do what is missing of a stage; whether it is done now. Failures are said in `state.json`."""
    return run_stage_of([run], stage, scores=False)


def run_stage_of(runs: Sequence[Run], stage: Stage, *, scores: bool = True) -> bool:
    """Do what is missing of a stage of several runs of one experiment; whether it is done for all now.

    Inference is done by one engine where the runs can share it, and `scores` follow at once.
    """
    with _held(runs):
        try:
            spec = launched_spec(runs[0])
        except UserError as error:
            for run in runs:
                report_failure(run, stage, error)
            return False
        if stage == "infer" and len(runs) > 1:
            _infer_together(runs, spec)
        else:
            for run in runs:
                _run_stage(run, spec, stage)
        last = stage
        if stage == "infer" and scores:
            last = "score"
            for run in runs:
                if is_done(run, spec, "infer"):
                    _run_stage(run, spec, "score")
        return all(is_done(run, spec, last) for run in runs)


def _infer_together(runs: Sequence[Run], spec: ExperimentSpec) -> None:
    """The inference of those of the runs that the first engine serves; the others wait for another process.
    Each run says itself how it goes, and one that fails leaves the others alone."""
    from core.pipeline.shared_engine import answer_runs, engine_groups

    wanting = [run for run in runs if not run.stop_file.exists() and not is_done(run, spec, "infer")]
    able = []
    for run in engine_groups(wanting, spec)[0] if wanting else []:
        write_log(run, f"One process answers several runs; what it says stands in the log of {runs[0].name}.")
        try:
            check_data(run, spec, "infer")
            take_over(run, "infer", spec.eval_seeds)
            if is_done(run, spec, "infer"):
                mark_next(run, spec)
            else:
                able.append(run)
        except UserError as error:
            _say_failed(run, error)
    ended = set()
    try:
        for run, problem in answer_runs([(run, Reporter(run, "infer")) for run in able], spec):
            ended.add(run)
            if problem is None:
                mark_next(run, spec)
            else:
                _say_failed(run, problem)
    except Exception as error:
        for run in able:
            if run not in ended:
                _say_failed(run, error)


def _say_failed(run: Run, error: Exception) -> None:
    report_failure(run, "infer", error)
    write_log(run, failure_message(run, error))


@contextmanager
def _held(runs: Sequence[Run]) -> Iterator[None]:
    """Nobody else works on these runs meanwhile, and everybody sees that this process does."""
    with ExitStack() as held:
        for run in sorted(runs, key=lambda run: run.folder):  # in one order, so that nobody waits in a circle
            held.enter_context(locked(run.folder / ".lock"))
        held.enter_context(Heartbeat(*(run.heartbeat for run in runs)))
        yield


def _run_stage(run: Run, spec: ExperimentSpec, stage: Stage) -> bool:
    """A stage of a run that this process holds."""
    if run.stop_file.exists():
        return False
    if not is_done(run, spec, stage):
        try:
            begin(run, stage)
            check_data(run, spec, stage)
            take_over(run, stage, spec.eval_seeds)
            if not is_done(run, spec, stage):
                _WORK[stage](run, spec, Reporter(run, stage))
        except Exception as error:
            report_failure(run, stage, error)
            return False
    mark_next(run, spec)
    return True


def mark_next(run: Run, spec: ExperimentSpec) -> None:
    """Mark a run as waiting for its next stage, or as done."""
    left = stages_left(run, spec)
    if left:
        queue_for(run, left[0])
    else:
        finish(run)


def _train(run: Run, spec: ExperimentSpec, report: Reporter) -> None:
    """Train in this process, or in several where there are several GPUs."""
    from core.training.workers import Workers, share_work, wanted_workers

    count = wanted_workers(spec.recipe_of(run.variant).training.devices)
    if count == 1:
        train_here(run, spec, report, Workers())
    else:
        place = [str(run.root.resolve()), run.experiment, run.variant, str(run.train_seed)]
        share_work(["-m", "core.pipeline.train_rank", *place], count, report)
    shutil.rmtree(run.checkpoint, ignore_errors=True)


def train_here(
    run: Run, spec: ExperimentSpec, report: Callable[[dict[str, Any]], None], workers: "Workers"
) -> None:
    """Train the model of a run in this process, alone or as one of several."""
    from core.curation.mixtures import Mixture
    from core.training.train import Training, train
    from core.training.validation import hold_out, questions_about

    recipe = spec.recipe_of(run.variant)
    frozen = frozen_of(run, spec)
    tasks = frozen.load_trained(run.root, run.variant, recipe.mixture)
    whole = Mixture(tasks, recipe.mixture, run.train_seed)
    listed = frozen.families_held_out(run.root, run.variant, recipe)
    mixture, questions = hold_out(whole, recipe.training.validation, listed)
    evaluated = questions_about(frozen.load_evaluated(run.root), mixture, recipe.training.validation)
    questions = replace(questions, evaluated=evaluated)
    base = model_location(run.root, recipe.base_model)
    training = Training(recipe.training, recipe.prompt, mixture, base, run.train_seed, questions)
    train(training, run.folder, report, workers, note=lambda numerics: add_to_record(run, training=numerics))


def _infer(run: Run, spec: ExperimentSpec, report: Reporter) -> None:
    from core.pipeline.shared_engine import answer_runs

    for _, problem in answer_runs([(run, report)], spec):
        if problem is not None:
            raise problem


def _score(run: Run, spec: ExperimentSpec, report: Reporter) -> None:
    from core.scoring.scores import Scoring, score_each, truths_of

    truths = truths_of(frozen_of(run, spec).load_evaluated(run.root))
    folders = {seed: run.eval_folder(seed) for seed in spec.eval_seeds}
    evaluations = [
        Scoring(folder, run.experiment, run.variant, run.train_seed, seed)
        for seed, folder in folders.items()
        if not (folder / SCORES_FILE).exists()
    ]
    done = len(folders) - len(evaluations)
    report({"step": done, "total": len(folders)})
    for number, _ in enumerate(score_each(evaluations, truths), done + 1):
        report({"step": number, "total": len(folders)})


_WORK: dict[Stage, Callable[[Run, ExperimentSpec, Reporter], None]] = {
    "train": _train,
    "infer": _infer,
    "score": _score,
}
