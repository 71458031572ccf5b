"""Which runs an experiment has, and one flat record of each for lists and pages."""

import functools
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.plain_files import Stamp, file_stamp
from core.runs.layout import RECORD, Run, experiment_folder, run_folders, run_place, spec_path
from core.runs.progress import latest_progress
from core.runs.recorded_leaks import leaked_tasks, seen_tasks
from core.runs.run_record import read_record_file
from core.runs.state import RunState, corrected, go_on, read_state, seconds_silent
from core.runs.supervisors import LEAST_FREE_BYTES, SECONDS_TO_BEGIN, has_room, is_on_cluster, is_worked_on

_COLUMNS = (
    "experiment",
    "variant",
    "train_seed",
    "state",
    "stage",
    "step",
    "total",
    "eta_seconds",
    "error",
)
_DISK_IS_FULL = (
    f"The disk is full: less than {LEAST_FREE_BYTES // 2**20} MB are free. The run waits; free some space."
)


def list_runs(root: Path, experiment: str) -> list[Run]:
    """The runs of an experiment that have a folder, by variant and seed. Raises `UserError` where a folder is
    closed to this person."""
    folders = run_folders(experiment_folder(root, experiment))
    places = [run_place(folder) for folder in folders if (folder / RECORD).exists()]
    return [Run(root, experiment, *place) for place in sorted(place for place in places if place)]


def list_open_runs(root: Path, experiment: str) -> list[Run]:
    """The same for whoever works through all experiments: none where a folder is closed."""
    try:
        return list_runs(root, experiment)
    except UserError:
        return []


def run_records(root: Path, experiment: str) -> list[dict[str, Any]]:
    """One flat record per run: experiment, variant, train_seed, state, stage, step, total, eta_seconds,
    loss and tokens_per_second as last reported, error, leaked_tasks: the evaluated tasks that its mixture
    gives away, test_time_tasks: those whose demonstrations it holds, and silent_seconds: for how long its
    process has hung (None where it does not). Raises `UserError` like `list_runs`."""
    worked_on = is_worked_on(root, experiment)
    waits = None if is_on_cluster(root, experiment) or has_room(root) else _DISK_IS_FULL
    return [_record(run, worked_on, waits) for run in list_runs(root, experiment)]


def _record(run: Run, worked_on: bool, waits: str | None) -> dict[str, Any]:
    """`waits` is why no run begins now; None where nothing is in the way."""
    written = read_state(run)
    state = corrected(run, written)
    if state.state == "queued" and waits is not None:
        state = replace(state, error=waits)
    elif state.state == "queued" and not worked_on and _is_forgotten(state):
        state = replace(state, error=f"Nothing works on it. {go_on(run)}")
    last = latest_progress(run)
    runs = state.state == "running"
    may_hang = state.state in ("running", "failed")
    return {
        "experiment": run.experiment,
        "variant": run.variant,
        "train_seed": run.train_seed,
        "state": state.state,
        "stage": state.stage,
        "step": state.step,
        "total": state.total,
        "host": state.host if runs else None,
        "eta_seconds": state.eta_seconds if runs else None,
        "loss": last.get("loss"),
        "tokens_per_second": last.get("tokens_per_second"),
        "error": state.error or _record_problem(run),
        "leaked_tasks": leaked_tasks(run.folder),
        "test_time_tasks": seen_tasks(run.folder),
        "silent_seconds": seconds_silent(run, written) if may_hang else None,
    }


def run_columns(records: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """What a list of `run_records` shows; leaks and test-time training too where a run has any."""
    listed = list(records)
    marks = [name for name in ("leaked_tasks", "test_time_tasks") if any(one[name] for one in listed)]
    return (*_COLUMNS[:-1], *marks, *_COLUMNS[-1:])


def _record_problem(run: Run) -> str | None:
    """Why a run's record can't be read; None where it can. (Where leaks are known, it was.)"""
    if leaked_tasks(run.folder) is not None:
        return None
    try:
        _check_record(run.record_file, file_stamp(run.record_file))
    except UserError as problem:
        return str(problem)
    return None


@functools.lru_cache(maxsize=4096)
def _check_record(record: Path, _stamp: Stamp) -> None:
    """Raise `UserError` where a record can't be read, which is looked at anew each time."""
    read_record_file(record)


def _is_forgotten(state: RunState) -> bool:
    """Whether a queued run waits for longer than a worker takes to begin."""
    return time.time() - (state.updated or 0) > SECONDS_TO_BEGIN


def one_run(root: Path, experiment: str, variant: str, train_seed: int) -> Run:
    """A run that has a folder. Raises `UserError` where there is none."""
    run = Run(root, experiment, variant, train_seed)
    if not run.record_file.exists():
        raise UserError(
            f"There is no run of '{experiment}' with variant '{variant}' and seed {train_seed}."
            " See: python -m core runs list"
        )
    return run


def chosen_runs(root: Path, experiment: str, names: Sequence[str] = ()) -> list[Run]:
    """The runs of an experiment that are named as VARIANT/SEED; all of them where none is named.

    Raises `UserError` for an unknown experiment or run.
    """
    if not spec_path(root, experiment).exists():
        raise UserError(f"There is no experiment '{experiment}' in runs/. See: python -m core runs list")
    if not names:
        return list_runs(root, experiment)
    return [named_run(root, experiment, name) for name in names]


def named_run(root: Path, experiment: str, name: str) -> Run:
    """The run that is named VARIANT/SEED. Raises `UserError` where there is none."""
    variant, _, seed = name.rpartition("/")
    if not variant or not seed.isdigit():
        raise UserError(f"'{name}' names no run. Write it as VARIANT/SEED, such as plain/0.")
    return one_run(root, experiment, variant, int(seed))
