"""Who sees to it that waiting runs begin: the worker of this machine, or an experiment's driver."""

import shutil
from pathlib import Path

from core.machine import processes
from core.machine.processes import Identity
from core.runs.layout import (
    CLUSTER,
    DRIVER,
    DRIVER_HEARTBEAT,
    WORKER,
    WORKER_HEARTBEAT,
    experiment_folder,
    runs_folder,
)
from core.storage.json_records import read_as_or_none

LEAST_FREE_BYTES = 64 * 2**20
"""With less room on the disk no job begins."""
SECONDS_TO_BEGIN = 8.0
"""How long a run may wait until somebody begins it."""


def has_room(root: Path) -> bool:
    """Whether the disk has room for a job to begin; where it has not, runs wait."""
    return shutil.disk_usage(root).free >= LEAST_FREE_BYTES


def is_on_cluster(root: Path, experiment: str) -> bool:
    """Whether an experiment is for a cluster, so that the queue of this machine leaves it alone."""
    return (experiment_folder(root, experiment) / CLUSTER).exists()


def worker_of(root: Path) -> Identity | None:
    """The worker that takes runs from the queue, if one lives."""
    return _living(runs_folder(root) / WORKER, runs_folder(root) / WORKER_HEARTBEAT)


def driver_of(root: Path, experiment: str) -> Identity | None:
    """The process that drives an experiment on a cluster, if one lives."""
    folder = experiment_folder(root, experiment)
    return _living(folder / DRIVER, folder / DRIVER_HEARTBEAT)


def is_worked_on(root: Path, experiment: str) -> bool:
    """Whether somebody sees to it that the waiting runs of an experiment begin."""
    found = driver_of(root, experiment) if is_on_cluster(root, experiment) else worker_of(root)
    return found is not None


def _living(path: Path, heartbeat: Path) -> Identity | None:
    """The process that a file names, if it lives."""
    process = read_as_or_none(path, Identity)
    return process if process is not None and processes.is_alive(process, heartbeat) else None
