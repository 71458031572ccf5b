"""Ending experiments: stop their processes, move their folders to the trash."""

import os
import shutil
import signal
import time
from pathlib import Path

import psutil

from core.errors import UserError
from core.experiments.launch import is_driven
from core.experiments.runs import RunState, experiment_folder, is_alive, list_runs, say_state, state_of
from core.storage.files import bytes_of, read_json

SECONDS_TO_END = 10.0


def stop_experiment(root: Path, experiment: str) -> int:
    """End the driver and all stage processes of an experiment; how many runs were not finished.

    Each process group gets SIGTERM, then SIGKILL after ten seconds. Checkpoints and parts stay, so a
    launch goes on from there.
    """
    _known(root, experiment)
    driver = experiment_folder(root, experiment) / "driver.json"
    if is_driven(root, experiment):
        _end_group(int(read_json(driver)["pid"]))
    stopped = 0
    for run in list_runs(root, experiment):
        state = state_of(run)
        if state.state == "running" and state.pid is not None and is_alive(state):
            _end_group(state.pid)
        if state.state in ("running", "queued"):
            say_state(run, RunState("cancelled", state.stage, state.step, state.total))
            stopped += 1
    return stopped


def delete_experiment(root: Path, experiment: str) -> tuple[Path, int]:
    """Move an experiment's folder to `runs/.trash/`; where it went, and its bytes.

    Raises `UserError` where it does not exist or still runs.
    """
    _known(root, experiment)
    running = [run for run in list_runs(root, experiment) if state_of(run).state == "running"]
    if running or is_driven(root, experiment):
        raise UserError(f"'{experiment}' is running. Stop it first: python -m core runs stop {experiment}")
    folder = experiment_folder(root, experiment)
    target = root / "runs" / ".trash" / f"{experiment}-{time.strftime('%Y%m%d-%H%M%S')}"
    target.parent.mkdir(exist_ok=True)
    size = bytes_of(folder)
    shutil.move(folder, target)
    return target, size


def _known(root: Path, experiment: str) -> None:
    if not (experiment_folder(root, experiment) / "experiment.yaml").exists():
        raise UserError(f"There is no experiment '{experiment}' in runs/. See: python -m core runs list")


def _end_group(pid: int) -> None:
    """SIGTERM to the process group that `pid` leads, SIGKILL where that does not end it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(pid, number)
            psutil.Process(pid).wait(SECONDS_TO_END)
        except (ProcessLookupError, psutil.NoSuchProcess):
            return
        except psutil.TimeoutExpired:
            continue
        return
