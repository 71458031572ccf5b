"""The conductor: one loop that begins jobs where an executor has room, and sees each through to its end.

A stage's own process writes the state of its run. The conductor writes only what that process can't: that it
was killed, that a person stopped it, that nothing is left to do.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from core.errors import UserError
from core.experiments.launched_experiment import LaunchedExperiment
from core.machine.processes import Notify
from core.pipeline.executor import Executor, Job, that_fit
from core.runs.layout import Run
from core.runs.state import RunState, fail, finish, queue_for, read_state, stop

SECONDS_BETWEEN_LOOKS = 0.25

Planned = Callable[[Callable[[Run], bool]], Iterable[Job]]
"""The jobs that can begin, the next one first, without runs of which the given function tells that somebody
works on them."""


@dataclass
class _Flight:
    """A job under way: its runs' states when it began, and since when it is to stop."""

    job: Job
    before: dict[Run, RunState | None]
    stop_since: float | None = None


class Conductor:
    """Jobs under way, and where they run."""

    def __init__(
        self,
        planned: Planned,
        executor: Executor,
        notify: Notify,
        ended: Callable[[str], object] = lambda _: None,
    ) -> None:
        """`ended` is called with the experiment of a job that has ended, once its states are written and no
        other job of that experiment is under way: jobs that end together are told of once."""
        self._planned, self._executor, self._notify, self._ended = planned, executor, notify, ended
        self._flights: dict[Job, _Flight] = {}

    @property
    def busy(self) -> bool:
        """Whether any job is under way."""
        return bool(self._flights)

    @property
    def has_room(self) -> bool:
        """Whether another job could begin."""
        return self._executor.room() > 0

    def begin_jobs(self) -> bool:
        """Begin what can begin, in order, while there is room; whether there was anything."""
        taken = {run for job in self._flights for run in job.runs}
        jobs = list(self._planned(taken.__contains__))
        chosen = that_fit(jobs, self._executor)
        for job in chosen:
            self._flights[job] = _Flight(job, {run: read_state(run) for run in job.runs})
            self._notify(f"{job} begins")
        self._executor.start(chosen)
        return bool(jobs)

    def look(self) -> bool:
        """See to every job under way; whether any has ended."""
        ended = False
        for flight in list(self._flights.values()):
            if self._executor.is_alive(flight.job):
                self._see_to(flight)
            else:
                self._end(flight)
                ended = True
        return ended

    def _see_to(self, flight: _Flight) -> None:
        """End a job that does not stop by itself, where that is this executor's business."""
        patience = self._executor.seconds_to_stop
        runs = flight.job.runs
        if patience is None or not any(
            run.stop_file.exists() or not run.record_file.exists() for run in runs
        ):
            return
        if flight.stop_since is None:
            flight.stop_since = time.monotonic()
            self._executor.ask_to_stop(flight.job)
        states = [read_state(run) for run in runs]
        waits = all(state is not None and state.state != "running" for state in states)
        if waits or time.monotonic() - flight.stop_since > patience:
            self._executor.stop(flight.job)

    def _end(self, flight: _Flight) -> None:
        del self._flights[flight.job]
        how = self._executor.how_it_ended(flight.job)
        runs = [run for run in flight.job.runs if run.record_file.exists()]
        settle(flight.job, runs, flight.before, how)
        states = ", ".join(f"{run.name} {state.state}" for run in runs if (state := read_state(run)))
        self._notify(f"{flight.job} ended: {states}")
        if all(job.experiment != flight.job.experiment for job in self._flights):
            self._ended(flight.job.experiment)


def settle(job: Job, runs: Iterable[Run], before: dict[Run, RunState | None], how: str | None) -> None:
    """Write into the states of a job's runs what its process, which has ended, could not."""
    moved = any(_is_other(read_state(run), before.get(run)) for run in job.runs)
    stopped = any(run.stop_file.exists() for run in job.runs)
    for run in runs:
        _settle(run, job, how, moved=moved, stopped=stopped)


def _is_other(now: RunState | None, before: RunState | None) -> bool:
    """Whether a state was written since; a person who ended a hung process may have queued its run anew."""
    return now is not None and now != before


def _settle(run: Run, job: Job, how: str | None, *, moved: bool, stopped: bool) -> None:
    state = read_state(run) or RunState("running", job.stages[0])
    waits = state.state == "queued" and state.stage in job.stages
    if state.state != "running" and not waits:
        if run.stop_file.exists() and state.state == "queued":
            stop(run)
        return
    begun_anew = waits and moved and (how is None or state.stage == job.stages[0])
    if run.stop_file.exists():
        stop(run)
    elif stopped:  # a run that shares the process was stopped
        queue_for(run, job.stages[0])
    elif not begun_anew:
        if _is_complete(run):
            finish(run)
            return
        stage = state.stage or job.stages[0]
        ended = f"ended with {how}" if how else "is gone"
        error = (
            f"The {stage} process {ended}; finished stages are kept."
            f" Go on with: python -m core runs retry {run.experiment}"
        )
        fail(run, error, stage)


def _is_complete(run: Run) -> bool:
    """Whether nothing is left to do, though the process that did the last of it could not write that."""
    try:
        return not LaunchedExperiment.of(run).stages_left(run)
    except UserError:
        return False
