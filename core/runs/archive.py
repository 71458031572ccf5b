"""Putting experiments away: to the archive, which keeps them out of the lists, or to the trash.

Both are folders inside `runs/`, so that putting away is a rename, takes no time and can be undone. Only
emptying the trash frees the disk.
"""

import os
import shutil
import time
from pathlib import Path

from core.errors import UserError
from core.runs.layout import LAUNCH_LOCK, SPEC, Run, experiment_folder, runs_folder
from core.runs.listing import chosen_runs
from core.runs.state import read_state, seconds_silent, state_of
from core.runs.workers import is_worked_on
from core.storage.files import locked

ARCHIVE, TRASH = ".archive", ".trash"


def delete_experiment(root: Path, experiment: str) -> tuple[Path, int]:
    """Move an experiment's folder to `runs/.trash/`; where it went, and the bytes that emptying frees.

    Raises `UserError` where it does not exist or still runs.
    """
    with locked(runs_folder(root) / LAUNCH_LOCK):
        _check_rests(root, experiment)
        folder = experiment_folder(root, experiment)
        size = freed_by(folder)
        target = _free_name(runs_folder(root) / TRASH, experiment)
        folder.rename(target)
    return target, size


def archive_experiment(root: Path, experiment: str) -> Path:
    """Move an experiment's folder to `runs/.archive/`; where it went. Raises `UserError` where it does not
    exist, still runs, or the archive holds one of that name."""
    with locked(runs_folder(root) / LAUNCH_LOCK):
        _check_rests(root, experiment)
        target = runs_folder(root) / ARCHIVE / experiment
        if target.exists():
            raise UserError(
                f"The archive holds an experiment '{experiment}' already. Delete this one, or move"
                f" runs/{ARCHIVE}/{experiment} away first."
            )
        target.parent.mkdir(exist_ok=True)
        experiment_folder(root, experiment).rename(target)
    return target


def restore_experiment(root: Path, experiment: str) -> Path:
    """Bring an experiment back from the archive; its folder. Raises `UserError` where it is not there or
    another one has taken its name."""
    source, target = runs_folder(root) / ARCHIVE / experiment, experiment_folder(root, experiment)
    if not source.is_dir():
        known = ", ".join(archived_experiments(root)) or "nothing"
        raise UserError(f"The archive holds no experiment '{experiment}'. It holds: {known}.")
    with locked(runs_folder(root) / LAUNCH_LOCK):
        if target.exists():
            raise UserError(
                f"runs/ holds another experiment '{experiment}'. Archive or delete that one first."
            )
        source.rename(target)
    return target


def archived_experiments(root: Path) -> list[str]:
    """Names of the archived experiments, in the order of the alphabet."""
    return sorted(path.parent.name for path in (runs_folder(root) / ARCHIVE).glob(f"*/{SPEC}"))


def trash_bytes(root: Path) -> int:
    """The bytes that emptying the trash frees."""
    trash = runs_folder(root) / TRASH
    return freed_by(trash) if trash.is_dir() else 0


def empty_trash(root: Path) -> int:
    """Delete what lies in the trash for good; the bytes that were freed."""
    trash = runs_folder(root) / TRASH
    freed = trash_bytes(root)
    if trash.is_dir():
        shutil.rmtree(trash)
    return freed


def freed_by(folder: Path) -> int:
    """The bytes that deleting a folder frees: files that also lie elsewhere (hard links of reused work)
    free nothing."""
    seen: dict[tuple[int, int], list[int]] = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        if path.is_file() and not path.is_symlink():
            place = seen.setdefault((status.st_dev, status.st_ino), [status.st_size, status.st_nlink])
            place[1] -= 1
    return sum(size for size, links_elsewhere in seen.values() if links_elsewhere == 0)


def put_aside(root: Path, run: Run) -> None:
    """Move what is left of a run's folder, whose record is gone, to the trash, so that nothing of it is
    taken for the work of a new run."""
    if run.folder.exists() and any(run.folder.iterdir()):
        run.folder.rename(
            _free_name(runs_folder(root) / TRASH, f"{run.experiment}-{run.variant}-{run.train_seed}")
        )


def _check_rests(root: Path, experiment: str) -> None:
    """Raise `UserError` where the experiment is unknown, one of its runs is worked on, or will be."""
    busy = ("running", "queued") if is_worked_on(root, experiment) else ("running",)
    for run in chosen_runs(root, experiment):
        state = state_of(run).state
        if state in busy or seconds_silent(run, read_state(run)) is not None:
            raise UserError(
                f"'{experiment}' is not at rest: {run.name} is {state}."
                f" Stop it first: python -m core runs stop {experiment}"
            )


def _free_name(folder: Path, name: str) -> Path:
    """A name in the trash that nothing has yet, with the time."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    return target if not target.exists() else folder / f"{target.name}-{time.time_ns()}-{os.getpid()}"
