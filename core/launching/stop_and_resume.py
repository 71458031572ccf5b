"""Stopping runs and letting them go on.

A stop is a wish that lies in the run's folder, so that it holds whoever starts a process next. A training
sees it after its step and leaves a checkpoint; what does not end by itself is terminated and then killed,
with its whole process group.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from core.errors import UserError, is_full_disk
from core.experiments.launched_experiment import LaunchedExperiment
from core.experiments.listing import chosen_runs
from core.launching.launch import enqueue, see_to
from core.machine.processes import Identity, end_group, exists
from core.runs.layout import LAUNCH_LOCK, Run, runs_folder
from core.runs.state import corrected, is_alive, read_state, seconds_silent, state_of, stop
from core.storage.files import locked

SECONDS_TO_CHECKPOINT = 8.0
SECONDS_ELSEWHERE = 15.0


def stop_runs(root: Path, experiment: str, names: Sequence[str] = ()) -> list[Run]:
    """Stop the unfinished ones of these runs; those runs, when their processes are gone.

    Each is asked first and has eight seconds to leave a checkpoint or its finished answers; then its process
    group gets SIGTERM, and SIGKILL after four more. Raises `UserError` where a process of another machine
    does not follow.
    """
    runs = [run for run in chosen_runs(root, experiment, names) if _can_be_stopped(run)]
    processes = [process for run in runs if (process := _process_here(run)) is not None]
    for run in runs:
        _request_stop(run)
    end = time.monotonic() + SECONDS_TO_CHECKPOINT
    while (any(map(_works, runs)) or any(map(exists, processes))) and time.monotonic() < end:
        time.sleep(0.1)
    for run in runs:
        _end(run)
        stop(run)
    for process in processes:  # one may have stopped its run and still hold memory
        end_group(process)
    return runs


def _request_stop(run: Run) -> None:
    """Leave the wish in the run's folder; where a full disk takes not even that, or the folder is gone, force
    alone ends the run."""
    try:
        run.stop_file.touch()
    except OSError as error:
        if not (is_full_disk(error) or isinstance(error, FileNotFoundError)):
            raise


def _can_be_stopped(run: Run) -> bool:
    written = read_state(run)
    return corrected(run, written).state in ("running", "queued") or seconds_silent(run, written) is not None


def _works(run: Run) -> bool:
    written = read_state(run)
    return written is not None and written.state == "running" and is_alive(run, written)


def _process_here(run: Run) -> Identity | None:
    """The process of this machine that works on a run."""
    written = read_state(run)
    if (
        written is None
        or written.state != "running"
        or written.process is None
        or not written.process.is_here
    ):
        return None
    works = is_alive(run, written) or seconds_silent(run, written) is not None
    return written.process if works else None


def _end(run: Run) -> None:
    """End the process that works on a run by its state, if it is there, by force."""
    written = read_state(run)
    if written is None or written.state != "running" or written.process is None:
        return
    if written.process.is_here:
        end_group(written.process)
        return
    end = time.monotonic() + SECONDS_ELSEWHERE - SECONDS_TO_CHECKPOINT
    while _works(run):
        if time.monotonic() > end:
            raise UserError(
                f"{run.name} was asked to stop, but its process on the machine {written.host} has not done so"
                " yet. Give the same command there."
            )
        time.sleep(0.2)


def resume_runs(root: Path, experiment: str, names: Sequence[str] = ()) -> list[Run]:
    """Let these runs go on from where they stand, whether they were stopped, failed or lost their process;
    those that had something left to do. Finished stages are kept. Raises `UserError` for unknown ones."""
    runs = chosen_runs(root, experiment, names)
    with locked(runs_folder(root) / LAUNCH_LOCK):
        queued = enqueue(LaunchedExperiment.open(root, experiment), runs)
    see_to(root, experiment)
    return queued


def retry_runs(root: Path, experiment: str, names: Sequence[str] = ()) -> list[Run]:
    """Like `resume_runs`, for those of the runs that failed; stopped ones stay stopped."""
    failed = [run for run in chosen_runs(root, experiment, names) if state_of(run).state == "failed"]
    return resume_runs(root, experiment, [run.name for run in failed]) if failed else []
