"""Launching: freeze the spec, make the run folders, and start a process that works through them.

The driver is a detached process of its own session: closing the browser or the terminal does not stop
it. It starts each stage as a process of a session of its own again, one after another, and only looks at
files to know what is left. A second driver for the same experiment waits for its turn, a third leaves.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import yaml

from core.curation.leaks import Leak
from core.curation.mixtures import mixture_leaks
from core.errors import UserError
from core.experiments.records import describe_run, settings_of
from core.experiments.runs import (
    DRIVER,
    NEXT_DRIVER,
    Run,
    RunState,
    Stage,
    experiment_folder,
    list_runs,
    own_state,
    say_state,
    state_of,
)
from core.experiments.spec import ExperimentSpec, evaluated_tasks, read_spec
from core.experiments.stages import stages_left
from core.storage.files import append_record, locked, read_json, write_json, write_text

BYTES_PER_RUN = 200 * 2**20
LAUNCHES = "launches.jsonl"


def runs_of(root: Path, spec: ExperimentSpec) -> list[Run]:
    """The runs of a spec, seed by seed, so that variants can be compared early."""
    return [Run(root, spec.name, variant, seed) for seed in spec.train_seeds for variant in spec.variants]


def prepare(root: Path, spec: ExperimentSpec, command: list[str], by: str | None = None) -> list[Run]:
    """Check the spec against the data and freeze it: `experiment.yaml` and a folder for each run.

    `by` is who launches; it goes into the records of the runs that are new.

    Folders that exist stay as they are. Raises `UserError` where one of them was made with other
    settings, where data or base model are missing, or where the disk has too little room.
    """
    runs = runs_of(root, spec)
    fresh = [run for run in runs if not (run.folder / "run.json").exists()]
    _check_room(root, len(fresh))
    leaks = leaks_of(root, spec)
    if fresh and any(leaks.values()) and not spec.allow_leaks:
        raise _refuse_leaks({variant: found for variant, found in leaks.items() if found})
    records = {
        run: {
            **describe_run(run, spec, command),
            "launched_by": by,
            "leaks": [asdict(leak) for leak in leaks[run.variant]],
        }
        for run in runs
    }
    for run in runs:
        if run not in fresh and settings_of(read_json(run.folder / "run.json")) != settings_of(records[run]):
            raise UserError(
                f"{run.folder.relative_to(root)} was made with other settings. Give the spec another name,"
                f" or delete the old runs first: python -m core runs delete {spec.name}"
            )
    folder = experiment_folder(root, spec.name)
    text = yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_text(folder / "experiment.yaml", text)
    for run in fresh:
        say_state(run, RunState("queued", "train"))
        write_json(run.folder / "run.json", records[run])
    return runs


def leaks_of(root: Path, spec: ExperimentSpec) -> dict[str, list[Leak]]:
    """For each variant, what its mixture gives away of the evaluated tasks."""
    tasks = evaluated_tasks(root, spec.evaluation)
    return {variant: mixture_leaks(root, spec.recipe_of(variant).mixture, tasks) for variant in spec.variants}


def _refuse_leaks(leaks: dict[str, list[Leak]]) -> UserError:
    variant, found = next(iter(leaks.items()))
    first = found[0]
    return UserError(
        f"Variant '{variant}' trains on {len({leak.task_b for leak in found})} evaluated tasks or twins of"
        f" them: {first.source_a} {first.task_a} and {first.source_b} {first.task_b} ({first.kind}), …"
        " List them under 'exclude' of the source, or set allow_leaks: true."
    )


def _check_root(root: Path) -> None:
    if not (root / "data").is_dir():
        raise UserError(f"{root.resolve()} holds no folder data. Name the project folder with --root.")


def _check_room(root: Path, runs: int) -> None:
    free = shutil.disk_usage(root).free
    if runs and free < runs * BYTES_PER_RUN:
        raise UserError(
            f"{runs} runs need about {runs * BYTES_PER_RUN / 2**30:.1f} GB, but the disk has"
            f" {free / 2**30:.1f} GB left. Free some space and launch again."
        )


def start_driver(root: Path, experiment: str) -> int:
    """Start the driver of a prepared experiment as a detached process; its process id."""
    return _detached(root, ["run", experiment], experiment_folder(root, experiment) / "driver.log").pid


def drive(root: Path, experiment: str) -> bool:
    """Work through the runs of an experiment; whether all are done in the end.

    One driver works and at most one waits for its turn: a further one leaves at once, and True.
    """
    folder = experiment_folder(root, experiment)
    with ExitStack() as turn:
        with locked(folder / ".next-driver.lock", wait=False) as first_in_line:
            if not first_in_line:
                return True
            write_json(folder / NEXT_DRIVER, asdict(own_state(None)))
            turn.enter_context(locked(folder / ".driver.lock"))
        write_json(folder / DRIVER, asdict(own_state(None)))
        spec = read_spec(folder / "experiment.yaml")
        outcomes = [_drive_run(run, spec) for run in runs_of(root, spec)]
        return all(outcomes)


def _drive_run(run: Run, spec: ExperimentSpec) -> bool:
    """The stages of a run, one process after another, up to the first that fails or a stop."""
    for stage in stages_left(run, spec):
        if state_of(run).state == "cancelled":
            return False
        process = _detached(run.root, stage_command(run, stage), run.folder / "log.txt")
        if process.wait() != 0:
            _say_why(run, stage, process.returncode)
            return False
    if not stages_left(run, spec) and state_of(run).state != "done":
        say_state(run, RunState("done"))
    return True


def stage_command(run: Run, stage: Stage) -> list[str]:
    """The verb, with its arguments, that runs one stage."""
    seed = str(run.train_seed)
    return ["run", run.experiment, "--variant", run.variant, "--train-seed", seed, "--stage", stage]


def _say_why(run: Run, stage: Stage, code: int) -> None:
    """A killed process can't say that it failed; the driver says it."""
    said = state_of(run)
    if said.state == "failed" and code > 0:
        return
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    error = f"The {stage} process ended with {how}. Launch again: finished stages are kept."
    say_state(run, RunState("failed", stage, error=error))


def _detached(root: Path, verb: list[str], log: Path) -> subprocess.Popen[bytes]:
    """A process of its own session that survives ours; its output goes to a log."""
    command = [sys.executable, "-m", "core", *verb, "--root", str(root.resolve())]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )


def launch(root: Path, spec: ExperimentSpec, command: list[str], by: str | None = None) -> list[Run]:
    """Prepare an experiment and start its driver, unless all is done.

    A run whose files are all there is done, whatever became of its `state.json`. Launches take turns, so
    that none overwrites what another has just prepared. Each is a line of `launches.jsonl`: time, by,
    command.
    """
    _check_root(root)
    with locked(root / "runs" / ".launch.lock"):
        runs = prepare(root, spec, command, by)
        said = {"time": round(time.time(), 3), "by": by, "command": command}
        append_record(experiment_folder(root, spec.name) / LAUNCHES, said)
        for run in runs:
            left = stages_left(run, spec)
            state = state_of(run).state
            if not left and state != "done":
                say_state(run, RunState("done"))
            elif left and state in ("failed", "cancelled"):
                say_state(run, RunState("queued", left[0]))
        if any(stages_left(run, spec) for run in runs):
            start_driver(root, spec.name)
    return list_runs(root, spec.name)
