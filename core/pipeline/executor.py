"""Executors: where jobs run. One starts jobs, tells whether they live and how they ended, and stops them.

A job is stages of one run, or one stage of several runs that share a process. Whoever conducts jobs knows no
more of a machine or a cluster than this; whoever executes them knows nothing of their order. What became of a
job stands in the folders of its runs.
"""

import signal
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from core.experiments.slot_sharing import slots_taken
from core.machine.processes import end_group, exit_code, start_detached
from core.machine.slots import Slot
from core.runs.done import Stage
from core.runs.layout import Run
from core.runs.state import is_alive, read_state


@dataclass(frozen=True)
class Job:
    """Stages of runs of one experiment; a stage of a single run may be done in `parts`, at most in
    `most_parts`."""

    stages: tuple[Stage, ...]
    runs: tuple[Run, ...]
    parts: int = 1
    most_parts: int = 1

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.runs[0].root

    @property
    def experiment(self) -> str:
        """The experiment that all runs of the job belong to."""
        return self.runs[0].experiment

    def __str__(self) -> str:
        names = ", ".join(run.name for run in self.runs)
        return f"{self.experiment} {names}: {', '.join(self.stages)}"


class Executor(Protocol):
    """Where jobs run."""

    seconds_to_stop: float | None
    """For how long a run that a person stopped may go on before its job is ended by force; None where whoever
    stops it ends its processes."""

    def room(self) -> int:
        """How many jobs can begin now, if each takes as little as one can."""
        ...

    def takes(self, job: Job) -> int:
        """How much of that room a job takes."""
        ...

    def start(self, jobs: Sequence[Job]) -> None:
        """Start jobs, or see to those that live already."""
        ...

    def is_alive(self, job: Job) -> bool:
        """Whether somebody works on the job."""
        ...

    def ask_to_stop(self, job: Job) -> None:
        """Pass on that a person wants the job's runs to stand still."""
        ...

    def stop(self, job: Job) -> None:
        """End the job at once; what is finished stays."""
        ...

    def how_it_ended(self, job: Job) -> str | None:
        """In words, such as "SIGKILL" or "exit code 1"; None for a good end, or where nobody knows. Once,
        when the job lives no more."""
        ...


class LocalExecutor:
    """Jobs as detached process groups on this machine, in as many of its slots as they take. Each job's own
    process holds these, so that it also waits for work by hand."""

    seconds_to_stop: float | None = None

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = slots
        self._taken: dict[Job, int] = {}
        self._children: dict[Job, subprocess.Popen[bytes]] = {}

    def room(self) -> int:
        """How many slots are free."""
        return len(self._slots) - sum(self._taken.values())

    def takes(self, job: Job) -> int:
        """A slot for each part, or all of them."""
        return job.parts * slots_taken(job.runs, self._slots)

    def start(self, jobs: Sequence[Job]) -> None:
        """Start those of the jobs that do not live as processes that write into their first run's log."""
        for job in jobs:
            self._taken[job] = self.takes(job)
            if not _is_worked_on(job):
                (stage,) = job.stages
                chosen = [part for run in job.runs for part in ("--of", run.name)]
                verb = ["run", job.experiment, *chosen, "--stage", stage, "--one-gpu", "--go-on"]
                verb += ["--parts", str(job.parts)] if job.parts > 1 else []
                self._children[job] = start_detached(verb, job.root, job.runs[0].log_file)

    def is_alive(self, job: Job) -> bool:
        """Whether a process of this job, started here or before, still works."""
        child = self._children.get(job)
        return (child is not None and exit_code(child) is None) or _is_worked_on(job)

    def ask_to_stop(self, job: Job) -> None:
        """Processes of this machine see for themselves that their run is to stop."""

    def stop(self, job: Job) -> None:
        """End the process groups that work on the job's runs."""
        for run in job.runs:
            state = read_state(run)
            if state is not None and state.process is not None and state.process.is_here:
                end_group(state.process)

    def how_it_ended(self, job: Job) -> str | None:
        """How the job's process ended; its slots are free again."""
        del self._taken[job]
        child = self._children.pop(job, None)
        return None if child is None else end_of(child.returncode)


def that_fit(jobs: Iterable[Job], executor: Executor) -> list[Job]:
    """The first of the jobs that can begin now, up to one that must wait for room; dealt out over the room
    that they leave."""
    room, chosen = executor.room(), list[Job]()
    for job in jobs:
        if not room or (taken := executor.takes(job)) > room:
            break
        chosen.append(job)
        room -= taken
    return deal_out(chosen, len(chosen) + room)


def deal_out(jobs: Sequence[Job], room: int) -> list[Job]:
    """The jobs, of which those of several runs or groups are parted so far as there is room for more jobs
    than there are: each part opens an engine of its own. A job that somebody works on stays whole."""
    parts = dict.fromkeys(jobs, 1)
    most = {job: max(len(job.runs), job.most_parts) for job in jobs if not _is_worked_on(job)}
    while sum(parts.values()) < room:
        largest = max(most, key=lambda job: most[job] / parts[job], default=None)
        if largest is None or most[largest] == parts[largest]:
            break
        parts[largest] += 1
    dealt = []
    for job, count in parts.items():
        if len(job.runs) > 1:
            dealt += [replace(job, runs=job.runs[number::count]) for number in range(count)]
        else:
            dealt.append(replace(job, parts=max(job.parts, count)))
    return dealt


def end_of(code: int | None) -> str | None:
    """How a process ended that had this exit code, in words; None for a good end."""
    if not code:
        return None
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _is_worked_on(job: Job) -> bool:
    """Whether a living process names itself in a run of the job."""
    states = ((run, read_state(run)) for run in job.runs)
    return any(
        state is not None and state.state == "running" and is_alive(run, state) for run, state in states
    )
