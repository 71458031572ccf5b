"""Ending experiments: stop their processes, move their folders to the trash."""

import os
import shutil
import signal
import socket
import time
from pathlib import Path

import psutil

from core.errors import UserError
from core.experiments.runs import (
    DRIVER,
    NEXT_DRIVER,
    RunState,
    driver_of,
    experiment_folder,
    is_alive,
    is_driven,
    list_runs,
    say_state,
    state_of,
)
from core.storage.files import bytes_of

SECONDS_TO_END = 10.0


def stop_experiment(root: Path, experiment: str) -> int:
    """End the driver and all stage processes of an experiment; how many runs were not finished.

    Each process group gets SIGTERM, then SIGKILL after ten seconds. Checkpoints and parts stay, so a
    launch goes on from there.
    """
    _known(root, experiment)
    unfinished = [run for run in list_runs(root, experiment) if state_of(run).state in ("running", "queued")]
    for name in (NEXT_DRIVER, DRIVER):  # the waiting one first, or it would take over
        driver = driver_of(root, experiment, name)
        if driver is not None:
            _end(driver)
    for run in unfinished:
        _end(state_of(run))
        state = state_of(run)
        say_state(run, RunState("cancelled", state.stage, state.step, state.total))
    return len(unfinished)


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


def _end(state: RunState) -> None:
    """End the process of a state, if it lives, with its group and the stages that it started.

    Raises `UserError` for a process of another machine, whose number means nothing here.
    """
    if state.pid is None or not is_alive(state):
        return
    if state.host != socket.gethostname():
        raise UserError(f"A process of it runs on the machine {state.host}. Give the same command there.")
    try:
        children = psutil.Process(state.pid).children()
    except psutil.NoSuchProcess:
        return
    for pid in (state.pid, *(child.pid for child in children)):
        _end_group(pid)


def _end_group(pid: int) -> None:
    """SIGTERM to the process group that `pid` leads (to itself where it leads none), then SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            process = psutil.Process(pid)
            if os.getpgid(pid) == pid:
                os.killpg(pid, number)
            else:
                process.send_signal(number)
            process.wait(SECONDS_TO_END)
        except (ProcessLookupError, psutil.NoSuchProcess):
            return
        except psutil.TimeoutExpired:
            continue
        return
