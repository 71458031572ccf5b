"""What is to be done next with a run, and seeing a job through to its end. The same for every executor.

What a run waits for stands in its `state.json`, which a stage leaves behind; whether a stage is really done
is for the stage's own process to see. Adapters of one base model are answered together, by one engine.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.pipeline.executor import Executor, Job
from core.runs.experiment import list_experiments
from core.runs.layout import Run
from core.runs.listing import list_runs
from core.runs.progress import progress_records
from core.runs.record import read_record
from core.runs.state import RunState, fail, queue_for, read_state, state_of, stop
from core.runs.workers import is_on_cluster

SECONDS_BETWEEN_LOOKS = 0.25
SHORT_TRAINING_SECONDS = 60.0


def wants_work(run: Run) -> bool:
    """Whether a run is to go on: it waits, or its process lives or died without saying why, and nobody
    stopped it."""
    if run.stop_file.exists() or not run.record_file.exists():
        return False
    said = read_state(run)
    return said is None or said.state in ("queued", "running")


def runs_to_go_on(root: Path) -> list[Run]:
    """The runs of all experiments that are ready to go on: living ones first, then the earlier launched."""
    names = [name for name in reversed(list_experiments(root)) if not is_on_cluster(root, name)]
    found = [run for name in names for run in ready_runs(root, name)]
    return sorted(found, key=lambda run: state_of(run).state != "running")


def ready_runs(root: Path, experiment: str) -> list[Run]:
    """The runs of an experiment that want to go on and wait for no other, seed by seed."""
    wanting = [run for run in list_runs(root, experiment) if wants_work(run)]
    states = {run: read_state(run) or RunState() for run in wanting}
    ready = [run for run in wanting if not _waits_for_others(run, states)]
    return sorted(ready, key=lambda run: run.train_seed)


def priority_of(run: Run) -> int:
    """What is begun is finished first: living runs, then inference and scores, then trainings."""
    said = read_state(run)
    if said is None or said.stage in (None, "train"):
        return 2 if said is not None and said.state == "running" else 0
    return 2 if said.state == "running" else 1


def next_job(run: Run, taken: Callable[[Run], bool] = lambda _: False) -> Job | None:
    """The job that a run is in or waits for, with the runs that it shares the engine with; None where there
    is nothing to do. `taken` tells runs that somebody else sees to."""
    if taken(run) or not wants_work(run):
        return None
    said = read_state(run) or RunState()
    stage = said.stage or "train"
    living = said.state == "running" and state_of(run).state == "running"
    if stage != "infer":
        return Job(stage, (run,))
    others = [other for other in list_runs(run.root, run.experiment) if other != run and not taken(other)]
    if living:
        same = [other for other in others if _process(other) == said.process]
    else:
        key = _engine_key(run)
        same = [other for other in others if key is not None and _waits_to_infer(other) and
                _engine_key(other) == key]  # fmt: skip
    return Job(stage, tuple(sorted([run, *same], key=lambda one: (one.train_seed, one.variant))))


def _process(run: Run) -> Any:
    said = read_state(run)
    return said.process if said is not None and said.state == "running" else None


def _waits_to_infer(run: Run) -> bool:
    said = read_state(run)
    return said is not None and (said.state, said.stage) == ("queued", "infer") and wants_work(run)


def _engine_key(run: Run) -> str | None:
    """The base model whose engine can serve a run's adapter; None for a model of its own."""
    try:
        recipe = read_record(run)["recipe"]
        return str(recipe["base_model"]) if recipe["training"]["method"] == "lora" else None
    except (UserError, KeyError, TypeError):
        return None


def _waits_for_others(run: Run, states: dict[Run, RunState]) -> bool:
    """Whether the inference of a run waits for trainings whose adapters its engine shall serve as well.

    After long trainings it waits for those of the same seed only, so that variants can be compared early;
    after short ones, which take no longer than an engine's start, for all of the experiment.
    """
    state = states[run]
    key = _engine_key(run)
    if (state.state, state.stage) != ("queued", "infer") or key is None:
        return False
    in_training = [
        other
        for other, said in states.items()
        if said.stage in (None, "train") and (short_training(run) or other.train_seed == run.train_seed)
    ]
    return any(_engine_key(other) == key for other in in_training)


def short_training(run: Run) -> bool:
    """Whether a run's training took less than a minute."""
    reports = [r for r in progress_records(run.progress_file) if r.get("stage") == "train"]
    times = [r["time"] for r in reports if r.get("time") is not None]
    return not times or max(times) - min(times) < SHORT_TRAINING_SECONDS


def conduct(job: Job, executor: Executor) -> None:
    """Start a job, unless it lives already, wait until it ends, and say what its runs could not say."""
    before = {run: read_state(run) for run in job.runs}
    if not executor.is_alive(job):
        executor.start(job)
    while executor.is_alive(job):
        time.sleep(SECONDS_BETWEEN_LOOKS)
    how = executor.how_it_ended(job)
    moved = any(_moved(run, before[run]) for run in job.runs)
    stopped = any(run.stop_file.exists() for run in job.runs)
    for run in job.runs:
        if run.record_file.exists():
            _say_the_rest(run, job, how, moved=moved, stopped=stopped)


def _moved(run: Run, before: RunState | None) -> bool:
    """Whether anything was said of a run since; a person who ended a hung process may have queued it anew."""
    now = read_state(run)
    return now is not None and now != before


def _say_the_rest(run: Run, job: Job, how: str | None, *, moved: bool, stopped: bool) -> None:
    """A killed process can't say what became of it."""
    said = read_state(run) or RunState("running", job.stage)
    unsaid = said.state == "running" or (said.state == "queued" and said.stage == job.stage)
    if run.stop_file.exists():
        if said.state in ("running", "queued"):
            stop(run)
    elif unsaid and stopped:  # a run that shares the process was stopped
        queue_for(run, job.stage)
    elif said.state == "running" or (unsaid and not moved):
        ended = f"ended with {how}" if how else "is gone"
        error = (
            f"The {job.stage} process {ended}; finished stages are kept."
            f" Go on with: python -m core runs retry {run.experiment}"
        )
        fail(run, error, job.stage)


def unfinished(runs: Iterable[Run]) -> list[Run]:
    """The runs that are neither done nor failed nor stopped."""
    return [run for run in runs if wants_work(run)]
