"""Executors: where a job runs. One starts a job, says whether it lives, and stops it.

A job is one stage of one run, or of several runs that share an engine. Whoever schedules jobs knows no more
of the machine than this; whoever executes them knows nothing of queues. What became of a job stands in
the folders of its runs.
"""

import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from core.machine.processes import end_group, exit_code, start_detached
from core.runs.done import Stage
from core.runs.layout import Run
from core.runs.state import is_alive, read_state


@dataclass(frozen=True)
class Job:
    """One stage of runs of one experiment."""

    stage: Stage
    runs: tuple[Run, ...]

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.runs[0].root

    @property
    def experiment(self) -> str:
        """The experiment that all runs of the job belong to."""
        return self.runs[0].experiment

    @property
    def command(self) -> list[str]:
        """The verb, with its arguments, that does the job."""
        chosen = [part for run in self.runs for part in ("--of", run.name)]
        return ["run", self.experiment, *chosen, "--stage", self.stage, "--go-on"]


class Executor(Protocol):
    """Where jobs run."""

    def start(self, job: Job) -> None:
        """Start a job that does not live; it outlives whoever started it."""
        ...

    def is_alive(self, job: Job) -> bool:
        """Whether somebody works on the job, whoever started it."""
        ...

    def stop(self, job: Job) -> None:
        """End the job's processes at once; what is finished stays."""
        ...

    def how_it_ended(self, job: Job) -> str | None:
        """In words, such as "SIGKILL" or "exit code 1"; None for a good end, or where nobody knows."""
        ...


class LocalExecutor:
    """Jobs as detached process groups on this machine, in one slot of it."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        """`environment` is what marks the slot, such as CUDA_VISIBLE_DEVICES."""
        self._environment = environment or {}
        self._children: dict[Job, subprocess.Popen[bytes]] = {}

    def start(self, job: Job) -> None:
        """Start the job as a detached process that writes into its first run's log."""
        log = job.runs[0].folder / "log.txt"
        self._children[job] = start_detached(job.command, job.root, log, **self._environment)

    def is_alive(self, job: Job) -> bool:
        """Whether a process of this job, started here or before, still works."""
        child = self._children.get(job)
        if child is not None and exit_code(child) is None:
            return True
        return any(_works(run) for run in job.runs)

    def stop(self, job: Job) -> None:
        """End the process groups that work on the job's runs."""
        for run in job.runs:
            said = read_state(run)
            if said is not None and said.process is not None and said.process.is_here:
                end_group(said.process)

    def how_it_ended(self, job: Job) -> str | None:
        """The reason why the job's process ended without success; None where there is none to tell."""
        child = self._children.get(job)
        if child is None or not child.returncode:
            return None
        code = child.returncode
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _works(run: Run) -> bool:
    """Whether a living process says that it works on a run."""
    said = read_state(run)
    return said is not None and said.state == "running" and is_alive(run, said)
