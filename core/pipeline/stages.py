"""Working through a stage: one process does it for one run, or for several that it serves together.

A stage is done when its files exist, so a stage that is started again does only what is missing. A lock on
the run, freed by the kernel when its holder dies, keeps two processes from working on one run.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import product

from core.errors import UserError, panics_as_errors
from core.experiments.launched_experiment import LaunchedExperiment
from core.inference.prediction_parts import PARTS
from core.machine.heartbeat import Heartbeat
from core.pipeline.adapt import forget_weights
from core.pipeline.answer_groups import GROUPS
from core.pipeline.real_work import REAL_WORK
from core.pipeline.reuse import take_over
from core.pipeline.work import Work
from core.runs.done import Stage
from core.runs.layout import SHARDS, Run
from core.runs.progress import write_log
from core.runs.reporter import Reporter, failure_message, report_failure
from core.runs.state import begin, finish, go_on, queue_for, state_of
from core.storage.files import locked


def run_stage(run: Run, stage: Stage, work: Work = REAL_WORK) -> bool:
    """Do what is missing of a stage; whether it is done now. Failures stand in `state.json`."""
    return run_stage_of([run], stage, work, scores=False)


def run_stage_of(runs: Sequence[Run], stage: Stage, work: Work = REAL_WORK, *, scores: bool = True) -> bool:
    """Do what is missing of a stage of several runs of one experiment; whether it is done for all now.

    Runs share a process where the work can serve them together; those that it can't serve with the first wait
    for another process. With `scores`, each run is scored as soon as all are answered.
    """
    with _held(runs):
        try:
            experiment = LaunchedExperiment.of(runs[0])
        except UserError as error:
            for run in runs:
                report_failure(run, stage, error)
            return False
        if stage in work.together and len(runs) > 1:
            _work_together(experiment, runs, stage, work)
        else:
            for run in runs:
                _work_alone(experiment, run, stage, work)
        last = stage
        if stage == "infer" and scores:
            last = "score"
            for run in runs:
                if experiment.is_done(run, "infer"):
                    _work_alone(experiment, run, last, work)
        return all(experiment.is_done(run, last) for run in runs)


@contextmanager
def _held(runs: Sequence[Run]) -> Iterator[None]:
    """Nobody else works on these runs meanwhile, and everybody sees that this process does."""
    with ExitStack() as held:
        for run in sorted(runs, key=lambda run: run.folder):  # in one order, so that nobody waits in a circle
            held.enter_context(locked(run.lock_file))
        held.enter_context(Heartbeat(*(run.heartbeat for run in runs)))
        yield


def _work_alone(experiment: LaunchedExperiment, run: Run, stage: Stage, work: Work) -> None:
    """A stage of one run that this process holds."""
    if run.stop_file.exists():
        return
    if not experiment.is_done(run, stage):
        try:
            begin(run, stage)
            if not _is_taken_over(experiment, run, stage):
                with panics_as_errors():
                    for _, problem in work.stages[stage](experiment, [(run, Reporter(run, stage))]):
                        if problem is not None:
                            raise problem
        except Exception as error:
            report_failure(run, stage, error)
            return
    mark_next(experiment, run)


def _is_taken_over(experiment: LaunchedExperiment, run: Run, stage: Stage) -> bool:
    """Whether all of a stage could be taken over from other runs. Raises `UserError` for changed data."""
    experiment.check_data(run, stage)
    take_over(run, stage, experiment.spec.eval_seeds)
    return experiment.is_done(run, stage)


def _work_together(experiment: LaunchedExperiment, runs: Sequence[Run], stage: Stage, work: Work) -> None:
    """A stage of those of the runs that this process can serve with the first one. Each run reports for
    itself, and one that fails leaves the others alone."""
    wanting = [run for run in runs if not run.stop_file.exists() and not experiment.is_done(run, stage)]
    able = []
    for run in work.together[stage](wanting, experiment)[0] if wanting else []:
        write_log(run, f"One process answers several runs; what it says stands in the log of {runs[0].name}.")
        try:
            if _is_taken_over(experiment, run, stage):
                mark_next(experiment, run)
            else:
                able.append(run)
        except UserError as error:
            _report_failure(run, stage, error)
    ended = set()
    try:
        with panics_as_errors():
            for run, problem in work.stages[stage](experiment, [(run, Reporter(run, stage)) for run in able]):
                ended.add(run)
                if problem is None:
                    mark_next(experiment, run)
                else:
                    _report_failure(run, stage, problem)
    except Exception as error:
        for run in able:
            if run not in ended:
                _report_failure(run, stage, error)


def _report_failure(run: Run, stage: Stage, error: Exception) -> None:
    """As the process writes into another run's log, this run's says it as well."""
    report_failure(run, stage, error)
    write_log(run, failure_message(run, error))


def reasons_not_done(runs: Sequence[Run], stage: Stage) -> list[str]:
    """A sentence for each of the runs whose stage is not done and did not fail: a person stopped it, or this
    process could not serve it with the others."""
    sentences = []
    for run in runs:
        state = state_of(run)
        if state.state == "cancelled":
            sentences.append(f"{run.name} was stopped before its stage {stage} was done. {go_on(run)}")
        elif state.state == "queued" and state.stage == stage:
            verb = f"python -m core run {run.experiment} --of {run.name} --stage {stage}"
            sentences.append(f"{run.name} needs a process of its own, so it still waits. Run: {verb}")
    return sentences


def mark_next(experiment: LaunchedExperiment, run: Run) -> None:
    """Mark a run as waiting for its next stage, or as done."""
    _tidy(experiment, run)
    left = experiment.stages_left(run)
    if left:
        queue_for(run, left[0])
    else:
        finish(run)


def _tidy(experiment: LaunchedExperiment, run: Run) -> None:
    """Remove what finished stages needed on their way: one that was killed at its end, or whose work was
    taken over, has left it."""
    if experiment.is_done(run, "train"):
        shutil.rmtree(run.checkpoint, ignore_errors=True)
    if experiment.is_done(run, "infer"):
        for seed, name in product(experiment.spec.eval_seeds, (PARTS, GROUPS, SHARDS)):
            shutil.rmtree(run.eval_folder(seed) / name, ignore_errors=True)
        shutil.rmtree(run.folder / SHARDS, ignore_errors=True)
        if experiment.recipe_of(run).test_time is not None:
            forget_weights(experiment, run)
