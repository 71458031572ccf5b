"""Run folders and their states: what runs exist, how far they are, and whether they live.

The folder is the truth. `state.json` says what a run's process last said of itself; a run that calls
itself running while its process is gone is shown as failed. `stop.json` says that a person wants it to
stop, and stays until it is resumed.
"""

import errno
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from core.errors import UserError
from core.machine import processes
from core.machine.processes import Identity
from core.runs.experiment import list_experiments
from core.runs.recorded_leaks import leaked_tasks, test_time_tasks
from core.storage.files import read_json, read_records, write_json

Stage = Literal["train", "infer", "score"]
SECONDS_TO_BEGIN = 8.0
CLUSTER = "cluster.json"
DRIVER, DRIVER_HEARTBEAT = ".driver.json", ".driver.heartbeat"
WORKER, WORKER_HEARTBEAT = ".worker.json", ".worker.heartbeat"
STAGES: tuple[Stage, ...] = ("train", "infer", "score")
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


@dataclass(frozen=True)
class Run:
    """One training of a variant, and its folder."""

    root: Path
    experiment: str
    variant: str
    train_seed: int

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return experiment_folder(self.root, self.experiment) / self.variant / f"train-{self.train_seed}"

    @property
    def heartbeat(self) -> Path:
        """What the process that works on it keeps fresh."""
        return self.folder / ".heartbeat"

    @property
    def stop_file(self) -> Path:
        """Exists while a person wants the run to stand still."""
        return self.folder / "stop.json"

    @property
    def name(self) -> str:
        """What names it within its experiment, such as "plain/0"."""
        return f"{self.variant}/{self.train_seed}"

    def eval_folder(self, eval_seed: int) -> Path:
        """The folder of one evaluation of the run."""
        return self.folder / f"eval-{eval_seed}"


@dataclass(frozen=True)
class RunState:
    """What a run last said of itself.

    `pid`, `start_time` (seconds since the boot), `boot` and `host` are the identity of its process;
    `updated` is seconds since the epoch.
    """

    state: Literal["queued", "running", "done", "failed", "cancelled"] = "queued"
    stage: Stage | None = None
    step: int | None = None
    total: int | None = None
    eta_seconds: float | None = None
    pid: int | None = None
    start_time: float | None = None
    boot: str | None = None
    host: str | None = None
    error: str | None = None
    updated: float | None = None

    @property
    def process(self) -> Identity | None:
        """The process that works on the run; None where it names none."""
        if self.pid is None or self.start_time is None or self.boot is None or self.host is None:
            return None
        return Identity(self.pid, self.start_time, self.boot, self.host)


def experiment_folder(root: Path, experiment: str) -> Path:
    """The folder of an experiment in runs/."""
    return root / "runs" / experiment


def is_on_cluster(root: Path, experiment: str) -> bool:
    """Whether an experiment is for a cluster, so that the queue of this machine leaves it alone."""
    return (experiment_folder(root, experiment) / CLUSTER).exists()


def list_runs(root: Path, experiment: str) -> list[Run]:
    """The runs of an experiment that have a folder, by variant and seed."""
    folder = experiment_folder(root, experiment)
    found = [
        Run(root, experiment, path.parent.parent.name, int(path.parent.name.removeprefix("train-")))
        for path in folder.glob("*/train-*/run.json")
        if path.parent.name.removeprefix("train-").isdecimal()
    ]
    return sorted(found, key=lambda run: (run.variant, run.train_seed))


def say_state(run: Run, state: RunState) -> None:
    """Write what this process says of the run. A full disk leaves room for it where the old state stood."""
    path = run.folder / "state.json"
    value = asdict(replace(state, updated=time.time()))
    try:
        write_json(path, value)
    except OSError as error:
        if error.errno != errno.ENOSPC or not path.exists():
            raise
        with path.open("r+", encoding="utf-8") as file:
            file.write(json.dumps(value, ensure_ascii=False) + "\n")
            file.truncate()


def own_state(stage: Stage | None, **values: Any) -> RunState:
    """A state `running` that names this process."""
    return RunState("running", stage, **asdict(Identity.own()), **values)


def said_of(run: Run) -> RunState | None:
    """What a run last said of itself; None where that can't be read."""
    try:
        return RunState(**read_json(run.folder / "state.json"))
    except (UserError, TypeError):
        return None


def state_of(run: Run) -> RunState:
    """The state of a run: what it said, corrected where its process is gone or a person stopped it."""
    said = said_of(run)
    if said is None:
        return RunState("queued", error=f"state.json is missing or broken. {_go_on(run)}")
    if said.state == "running":
        if not is_alive(run, said):
            said = replace(said, state="failed", error=_why_gone(run, said))
        elif (silent := seconds_silent(run, said)) is not None:
            said = replace(said, error=_wonder(run, silent))
    if said.state in ("queued", "failed") and run.stop_file.exists():
        return replace(said, state="cancelled", error=None)
    return said


def _why_gone(run: Run, said: RunState) -> str:
    process = said.process
    if process is not None and process.is_here and processes.exists(process):
        return f"The process gives no sign of life any more. {_go_on(run)}"
    return f"The process is gone. {_go_on(run)}"


def _wonder(run: Run, silent: float) -> str:
    return (
        f"No sign of life for {silent:.0f} s; after {processes.SECONDS_WITHOUT_BEAT:.0f} s the run counts as"
        f" failed. If it hangs: python -m core runs stop {run.experiment}"
    )


def _go_on(run: Run) -> str:
    return f"Go on with: python -m core runs resume {run.experiment}"


def is_alive(run: Run, said: RunState) -> bool:
    """Whether the process of a state lives, see `processes.is_alive`."""
    return said.process is not None and processes.is_alive(said.process, run.heartbeat)


def seconds_silent(run: Run, said: RunState | None) -> float | None:
    """For how long the process that works on a run has given no sign of life, though it exists; None where it
    gives some, or none works on it."""
    if said is None or said.state != "running" or said.process is None:
        return None
    return processes.seconds_silent(said.process, run.heartbeat)


def worker_of(root: Path) -> Identity | None:
    """The worker that takes runs from the queue, if one lives."""
    return _living(root / "runs" / WORKER, root / "runs" / WORKER_HEARTBEAT)


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
    try:
        record = read_json(path)
        process = Identity(record["pid"], record["start_time"], record["boot"], record["host"])
    except (UserError, KeyError, TypeError):
        return None
    return process if processes.is_alive(process, heartbeat) else None


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
    loss and tokens_per_second as last reported, error, leaked_tasks: the evaluated tasks that its mixture
    gives away, test_time_tasks: those whose demonstrations it holds, and silent_seconds: for how long its
    process has hung (None where it does not)."""
    records = []
    for name in [experiment] if experiment else list_experiments(root):
        worked_on = is_worked_on(root, name)
        for run in list_runs(root, name):
            state = state_of(run)
            if state.state == "queued" and not worked_on and _is_forgotten(state):
                state = replace(state, error=f"Nothing works on it. {_go_on(run)}")
            last = latest_progress(run)
            may_hang = state.state in ("running", "failed")
            records.append(
                {
                    "experiment": name,
                    "variant": run.variant,
                    "train_seed": run.train_seed,
                    "state": state.state,
                    "stage": state.stage,
                    "step": state.step,
                    "total": state.total,
                    "host": state.host if state.state == "running" else None,
                    "eta_seconds": state.eta_seconds if state.state == "running" else None,
                    "loss": last.get("loss"),
                    "tokens_per_second": last.get("tokens_per_second"),
                    "error": state.error or _broken_record(run),
                    "leaked_tasks": leaked_tasks(run.folder),
                    "test_time_tasks": test_time_tasks(run.folder),
                    "silent_seconds": seconds_silent(run, said_of(run)) if may_hang else None,
                }
            )
    return records


def run_columns(records: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """What a list of `run_records` shows; leaks and test-time training too where a run has any."""
    listed = list(records)
    marks = [name for name in ("leaked_tasks", "test_time_tasks") if any(one[name] for one in listed)]
    return (*_COLUMNS[:-1], *marks, *_COLUMNS[-1:])


def _broken_record(run: Run) -> str | None:
    """Why a run's record can't be read; None where it can. (Where leaks are known, it was.)"""
    if leaked_tasks(run.folder) is not None:
        return None
    try:
        read_json(run.folder / "run.json")
    except UserError as problem:
        return str(problem)
    return None


def _is_forgotten(state: RunState) -> bool:
    """Whether a queued run waits for longer than a worker takes to begin."""
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


def chosen_runs(root: Path, experiment: str, names: Sequence[str] = ()) -> list[Run]:
    """The runs of an experiment that are named as VARIANT/SEED; all of them where none is named.

    Raises `UserError` for an unknown experiment or run.
    """
    if not (experiment_folder(root, experiment) / "experiment.yaml").exists():
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
