"""Putting experiments away: to the archive, which keeps them out of the lists, or to the trash.

Both are folders inside `runs/`, so that putting away is a rename, takes no time and can be undone. Only
emptying the trash frees the disk.
"""

import os
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import UserError
from core.experiments.listing import chosen_runs, named_run
from core.runs.layout import (
    ARCHIVE,
    IMPORTED,
    LAUNCH_LOCK,
    RECORD,
    SPEC,
    STATE,
    TRASH,
    Run,
    experiment_folder,
    runs_folder,
)
from core.runs.run_record import read_record_file
from core.runs.state import read_state, seconds_silent, state_of
from core.runs.supervisors import is_worked_on
from core.storage.files import locked

_THROWN = re.compile(r"^(?P<name>.+)-(?P<day>\d{8})-(?P<clock>\d{6})(-\d+-\d+)?$")


@dataclass(frozen=True)
class Trashed:
    """What lies in the trash under `entry`: an experiment, or one run (VARIANT/SEED) of it; `when` it was
    thrown away, as YYYY-MM-DD HH:MM."""

    entry: str
    experiment: str
    run: str | None
    when: str

    @property
    def name(self) -> str:
        """The experiment, or EXPERIMENT/VARIANT/SEED of a run."""
        return self.experiment if self.run is None else f"{self.experiment}/{self.run}"


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


def delete_runs(root: Path, experiment: str, names: Sequence[str]) -> list[Path]:
    """Move single runs (VARIANT/SEED) to `runs/.trash/`; where they went.

    Raises `UserError` where one does not exist or is worked on; then none is moved.
    """
    with locked(runs_folder(root) / LAUNCH_LOCK):
        _check_rests(root, experiment, names)
        moved = []
        for run in [named_run(root, experiment, name) for name in names]:
            target = _free_name(runs_folder(root) / TRASH, f"{experiment}-{run.variant}-{run.train_seed}")
            run.folder.rename(target)
            moved.append(target)
    return moved


def trashed(root: Path) -> list[Trashed]:
    """What lies in the trash and can be brought back, the last thrown away first."""
    found = []
    for path in (runs_folder(root) / TRASH).glob("*"):
        parts = _THROWN.match(path.name)
        if parts is None:
            continue
        day, clock = parts["day"], parts["clock"]
        when = f"{day[:4]}-{day[4:6]}-{day[6:]} {clock[:2]}:{clock[2:4]}"
        if (path / SPEC).exists() or (path / IMPORTED).exists():
            found.append(Trashed(path.name, parts["name"], None, when))
        elif (owner := _owner_of(path)) is not None:
            found.append(Trashed(path.name, *owner, when))
    return sorted(found, key=lambda one: (one.when, one.entry), reverse=True)


def _owner_of(path: Path) -> tuple[str, str] | None:
    """Experiment and VARIANT/SEED of a run in the trash, by its record; None where that can't be told."""
    try:
        record = read_record_file(path / RECORD)
        experiment, variant, seed = record["experiment"], record["variant"], record["train_seed"]
    except (UserError, KeyError, TypeError):
        return None
    plain = path.name.startswith(f"{experiment}-{variant}-{seed}-")  # or the record would choose the place
    return (str(experiment), f"{variant}/{seed}") if plain and "/" not in f"{experiment}{variant}" else None


def restore_trashed(root: Path, entry: str) -> Path:
    """Bring back what lies in the trash under `entry`; its folder.

    Raises `UserError` where nothing of that name lies there, or its place is taken.
    """
    known = {one.entry: one for one in trashed(root)}
    if entry not in known:
        raise UserError(f"The trash holds no '{entry}'. It holds: {', '.join(known) or 'nothing'}.")
    one = known[entry]
    target = experiment_folder(root, one.experiment)
    with locked(runs_folder(root) / LAUNCH_LOCK):
        if one.run is not None:
            if not target.exists():
                raise UserError(f"'{one.experiment}' is not in runs/. Restore it before its run {one.run}.")
            variant, _, seed = one.run.rpartition("/")
            target = Run(root, one.experiment, variant, int(seed)).folder
        if target.exists():
            raise UserError(f"runs/ holds another '{one.name}'. Archive or delete that one first.")
        target.parent.mkdir(parents=True, exist_ok=True)
        (runs_folder(root) / TRASH / entry).rename(target)
    return target


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
    """Bring an experiment back from the archive, else from the trash; its folder.

    Raises `UserError` where neither holds it, or another one has taken its name.
    """
    source, target = runs_folder(root) / ARCHIVE / experiment, experiment_folder(root, experiment)
    if experiment not in archived_experiments(root):
        for one in trashed(root):
            if experiment in (one.name, one.entry):
                return restore_trashed(root, one.entry)
        held = [*archived_experiments(root), *(one.name for one in trashed(root))]
        raise UserError(
            f"Neither archive nor trash holds '{experiment}'. They hold: {', '.join(held) or 'nothing'}."
        )
    with locked(runs_folder(root) / LAUNCH_LOCK):
        if target.exists():
            raise UserError(
                f"runs/ holds another experiment '{experiment}'. Archive or delete that one first."
            )
        source.rename(target)
    return target


def archived_experiments(root: Path) -> list[str]:
    """Names of the archived experiments, in the order of the alphabet."""
    found = [path for name in (SPEC, IMPORTED) for path in
             (runs_folder(root) / ARCHIVE).glob(f"*/{name}")]  # fmt: skip
    return sorted({path.parent.name for path in found})


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
    taken for the work of a new run. A launch that was killed leaves a state alone, which is written anew."""
    if run.folder.exists() and any(map(_may_be_work, run.folder.iterdir())):
        run.folder.rename(
            _free_name(runs_folder(root) / TRASH, f"{run.experiment}-{run.variant}-{run.train_seed}")
        )


def _may_be_work(path: Path) -> bool:
    return not path.is_file() or (path.name != STATE and not path.name.startswith("."))


def _check_rests(root: Path, experiment: str, names: Sequence[str] = ()) -> None:
    """Raise `UserError` where the experiment (or a named run of it) is unknown, is worked on, or will be."""
    if not names and (experiment_folder(root, experiment) / IMPORTED).exists():
        return
    busy = ("running", "queued") if is_worked_on(root, experiment) else ("running",)
    for run in chosen_runs(root, experiment, names):
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
