"""Run folders and their states: what runs exist, how far they are, and whether they live.

The folder is the truth. `state.json` says what a run's process last said of itself; a run that calls
itself running while its process is gone is shown as failed.
"""

import json
import os
import socket
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import psutil

from core.errors import UserError
from core.results.experiment import list_experiments
from core.results.leaked import leaked_tasks
from core.storage.files import read_json, read_records, write_json

Stage = Literal["train", "infer", "score"]
DRIVER, NEXT_DRIVER = "driver.json", "next-driver.json"
SECONDS_TO_BEGIN = 20.0
STAGES: tuple[Stage, ...] = ("train", "infer", "score")


@dataclass(frozen=True)
class Run:
    """One training of a variant, and its folder."""

    root: Path
    experiment: str
    variant: str
    train_seed: int

    @property
    def folder(self) -> Path:
        return experiment_folder(self.root, self.experiment) / self.variant / f"train-{self.train_seed}"

    def eval_folder(self, eval_seed: int) -> Path:
        return self.folder / f"eval-{eval_seed}"


@dataclass(frozen=True)
class RunState:
    """What a run last said of itself; times are seconds since the epoch."""

    state: Literal["queued", "running", "done", "failed", "cancelled"] = "queued"
    stage: Stage | None = None
    step: int | None = None
    total: int | None = None
    eta_seconds: float | None = None
    pid: int | None = None
    start_time: float | None = None
    host: str | None = None
    error: str | None = None
    updated: float | None = None


def experiment_folder(root: Path, experiment: str) -> Path:
    """The folder of an experiment in runs/."""
    return root / "runs" / experiment


def list_runs(root: Path, experiment: str) -> list[Run]:
    """The runs of an experiment that have a folder, by variant and seed."""
    folder = experiment_folder(root, experiment)
    found = [
        Run(root, experiment, path.parent.parent.name, int(path.parent.name.removeprefix("train-")))
        for path in folder.glob("*/train-*/run.json")
    ]
    return sorted(found, key=lambda run: (run.variant, run.train_seed))


def say_state(run: Run, state: RunState) -> None:
    """Write what this process says of the run."""
    write_json(run.folder / "state.json", asdict(replace(state, updated=time.time())))


def own_state(stage: Stage | None, **values: Any) -> RunState:
    """A state `running` that names this process."""
    pid = os.getpid()
    return RunState(
        "running",
        stage,
        pid=pid,
        start_time=psutil.Process(pid).create_time(),
        host=socket.gethostname(),
        **values,
    )


def state_of(run: Run) -> RunState:
    """The state of a run: what it said, corrected where its process is gone."""
    try:
        said = RunState(**read_json(run.folder / "state.json"))
    except (UserError, TypeError):
        return RunState("queued", error="state.json is missing or broken; launch again to go on.")
    if said.state == "running" and not is_alive(said):
        return replace(
            said, state="failed", error="The process is gone. Launch again: finished stages are kept."
        )
    return said


def is_alive(state: RunState) -> bool:
    """Whether the process of a state lives: same pid, same start time, no zombie, on this host."""
    if state.host != socket.gethostname() or state.pid is None or state.start_time is None:
        return state.host is not None and state.host != socket.gethostname()
    try:
        process = psutil.Process(state.pid)
        same = abs(process.create_time() - state.start_time) < 2.0
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def is_driven(root: Path, experiment: str) -> bool:
    """Whether a driver works on the experiment now."""
    driver = driver_of(root, experiment, DRIVER)
    return driver is not None and is_alive(driver)


def driver_of(root: Path, experiment: str, name: str) -> RunState | None:
    """The process that works on an experiment (DRIVER) or waits for its turn (NEXT_DRIVER), if any."""
    try:
        return RunState(**read_json(experiment_folder(root, experiment) / name))
    except (UserError, TypeError):
        return None


def progress_of(run: Run, stage: Stage | None = None) -> list[dict[str, Any]]:
    """Progress records in the order of their steps. A step that a resumed stage repeated counts once, as
    it was last reported."""
    latest: dict[tuple[Any, ...], dict[str, Any]] = {}
    for record in read_records(run.folder / "progress.jsonl"):
        if stage is None or record.get("stage") == stage:
            latest[(record.get("stage"), record.get("eval_seed"), record.get("step"))] = record
    return list(latest.values())


def run_records(root: Path, experiment: str | None = None) -> list[dict[str, Any]]:
    """One flat record per run: experiment, variant, train_seed, state, stage, step, total, eta_seconds,
    loss and tokens_per_second as last reported, error, and leaked_tasks: the evaluated tasks that its mixture
    gives away."""
    records = []
    for name in [experiment] if experiment else list_experiments(root):
        driven = is_driven(root, name)
        for run in list_runs(root, name):
            state = state_of(run)
            if state.state == "queued" and not driven and _is_forgotten(state):
                state = replace(state, error=f"Nothing works on it. Go on with: python -m core launch {name}")
            last = latest_progress(run)
            records.append(
                {
                    "experiment": name,
                    "variant": run.variant,
                    "train_seed": run.train_seed,
                    "state": state.state,
                    "stage": state.stage,
                    "step": state.step,
                    "total": state.total,
                    "eta_seconds": state.eta_seconds if state.state == "running" else None,
                    "loss": last.get("loss"),
                    "tokens_per_second": last.get("tokens_per_second"),
                    "error": state.error,
                    "leaked_tasks": leaked_tasks(run.folder),
                }
            )
    return records


def _is_forgotten(state: RunState) -> bool:
    """Whether a queued run waits for longer than a driver takes to begin."""
    return time.time() - (state.updated or 0) > SECONDS_TO_BEGIN


def latest_progress(run: Run) -> dict[str, Any]:
    """The last progress record of a run, read from the end of its file; empty where there is none."""
    for line in reversed(_end_of(run.folder / "progress.jsonl", 4096).splitlines()):
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(record, dict):
            return record
    return {}


def one_run(root: Path, experiment: str, variant: str, train_seed: int) -> Run:
    """A run that has a folder. Raises `UserError` where there is none."""
    run = Run(root, experiment, variant, train_seed)
    if not (run.folder / "run.json").exists():
        raise UserError(
            f"There is no run of '{experiment}' with variant '{variant}' and seed {train_seed}."
            " See: python -m core runs list"
        )
    return run


def log_tail(run: Run, size: int = 4000) -> str:
    """The last characters of a run's log; empty where there is none."""
    return _end_of(run.folder / "log.txt", size)


def _end_of(path: Path, size: int) -> str:
    """The end of a text file: at most `size` bytes, from its first whole line on."""
    try:
        with path.open("rb") as file:
            length = file.seek(0, os.SEEK_END)
            file.seek(max(0, length - size))
            data = file.read()
    except FileNotFoundError:
        return ""
    if length > size:
        data = data[data.find(b"\n") + 1 :]
    return data[: data.rfind(b"\n") + 1].decode(errors="replace")
