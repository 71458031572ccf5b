"""In which order the runs of this machine go on, and what the next job of a run is.

A run waits for the stage that its `state.json` names; whether a stage is really done is for the stage's own
process to see. Nothing waits for anything else: where a slot is free, whatever can run begins. The order:

1. Living runs, which only need somebody to see to them; then experiments in the order of their launches.
2. What gives the first scores of each variant soonest: of every variant without scores its most advanced run.
3. What finishes a seed across all variants, so that comparisons appear early and balanced: seed by seed.

Adapters of one base model are answered by one engine, whose start takes as long as a short training. So after
short trainings the inference comes behind the trainings that it could serve as well: in 2 those of other
variants, in 3 those of all seeds. After long ones it comes first in 2, and behind its own seed's in 3.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from core.errors import UserError
from core.experiments.experiment import list_experiments
from core.experiments.listing import list_open_runs
from core.pipeline.executor import Job
from core.runs.done import EVERY_STAGE, STAGES, STAGES_IN_PARTS, Stage
from core.runs.layout import Run
from core.runs.progress import progress_of
from core.runs.run_record import read_record
from core.runs.state import RunState, is_alive, read_state
from core.runs.supervisors import is_on_cluster

SHORT_TRAINING_SECONDS = 60.0
SHARED_STAGE = "infer"
LATER = 10**9


def wants_work(run: Run, state: RunState | None) -> bool:
    """Whether a run with this state is to go on: it waits, or its process lives or died without a word, and
    nobody stopped it."""
    if run.stop_file.exists() or not run.record_file.exists():
        return False
    return state is None or state.state in ("queued", "running")


def runs_to_go_on(root: Path) -> list[Run]:
    """The runs of all experiments of this machine that want to go on, the next one first."""
    return [run for job in planned_jobs(root) for run in job.runs]


def planned_jobs(root: Path, taken: Callable[[Run], bool] = lambda _: False) -> list[Job]:
    """The jobs that can begin on this machine, the next one first; none of runs that are `taken` already."""
    names = [name for name in reversed(list_experiments(root)) if not is_on_cluster(root, name)]
    found = [job for name in names for job in jobs_of(list_open_runs(root, name), taken)]
    return sorted(found, key=lambda job: not _lives(job))


def _lives(job: Job) -> bool:
    state = read_state(job.runs[0])
    return state is not None and state.state == "running" and is_alive(job.runs[0], state)


def jobs_of(runs: Sequence[Run], taken: Callable[[Run], bool] = lambda _: False) -> Iterator[Job]:
    """The jobs that can begin of the runs of one experiment, the next one first."""
    states = {run: read_state(run) for run in runs}
    waiting = {
        run: state or RunState() for run, state in states.items() if not taken(run) and wants_work(run, state)
    }
    if not waiting:
        return
    rank = _ranking(states, taken)
    given: set[Run] = set()
    for run in sorted(waiting, key=lambda one: rank(one, waiting[one])):
        if run not in given:
            job = _job(run, {one: state for one, state in waiting.items() if one not in given})
            given |= set(job.runs)
            yield job


def _ranking(
    states: dict[Run, RunState | None], taken: Callable[[Run], bool]
) -> Callable[[Run, RunState], tuple[int, int, int, str]]:
    """The place of a run in the order, as a key for sorting: see the head of this module."""
    ahead: dict[str, Run] = {}
    scored = {run.variant for run, state in states.items() if state is not None and state.state == "done"}
    most_advanced = sorted(
        (run for run, state in states.items() if taken(run) or wants_work(run, state)),
        key=lambda run: (not taken(run), -_place(states[run]), run.train_seed),
    )
    for run in most_advanced:
        ahead.setdefault(run.variant, run)

    def rank(run: Run, state: RunState) -> tuple[int, int, int, str]:
        first = run.variant not in scored and ahead[run.variant] == run
        stage = _stage(state)
        short = stage == SHARED_STAGE and is_short_training(run)
        if stage == STAGES[0]:
            turn = 1
        elif stage == SHARED_STAGE:
            turn = 2 if short or not first else 0
        else:
            turn = 0
        seed = LATER if short and not first else run.train_seed
        return (0, turn, seed, run.variant) if first else (1, seed, turn, run.variant)

    return rank


def _stage(state: RunState | None) -> Stage:
    return STAGES[0] if state is None or state.stage is None else state.stage


def _place(state: RunState | None) -> int:
    return EVERY_STAGE.index(_stage(state)) if _stage(state) in EVERY_STAGE else 0


def is_short_training(run: Run) -> bool:
    """Whether a run's training took less than a minute."""
    times = [record["time"] for record in progress_of(run, STAGES[0]) if record.get("time") is not None]
    return not times or max(times) - min(times) < SHORT_TRAINING_SECONDS


def _job(run: Run, waiting: dict[Run, RunState]) -> Job:
    """The job that a run is in or waits for, with those of the waiting runs that it shares a process with."""
    state = waiting[run]
    stage = _stage(state)
    most = most_parts(run, stage)
    if stage != SHARED_STAGE or most > 1:
        return Job((stage,), (run,), most_parts=most)
    if state.state == "running" and is_alive(run, state):
        same = [
            one
            for one, other in waiting.items()
            if other.state == "running" and other.process == state.process
        ]
    else:
        key = _engine_key(run)
        same = [
            one
            for one, other in waiting.items()
            if key is not None and (other.state, other.stage) == ("queued", stage) and _engine_key(one) == key
        ]
    return Job((stage,), tuple(sorted({run, *same}, key=lambda one: (one.train_seed, one.variant))))


def most_parts(run: Run, stage: Stage) -> int:
    """How many parts a stage of a run can be done in: one for each group of its test-time training."""
    if stage not in STAGES_IN_PARTS:
        return 1
    try:
        record = read_record(run)
        groups, tasks = record["recipe"]["test_time"]["groups"], int(record["evaluated"]["tasks"])
        return math.ceil(tasks / int({"task": 1, "all": tasks}.get(groups, groups)))
    except (UserError, KeyError, TypeError, ValueError, ZeroDivisionError):
        return 1


def _engine_key(run: Run) -> str | None:
    """The base model whose engine can serve a run's adapter; None for a model of its own."""
    try:
        recipe = read_record(run)["recipe"]
        shared = recipe["training"]["method"] == "lora" and recipe.get("test_time") is None
        return str(recipe["base_model"]) if shared else None
    except (UserError, KeyError, TypeError):
        return None
