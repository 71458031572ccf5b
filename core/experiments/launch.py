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
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import yaml

from core.curation.leaks import Leak
from core.curation.mixtures import mixture_leaks, training_leaks
from core.errors import UserError
from core.experiments.answering import engine_groups, needs_own_engine
from core.experiments.frozen import Frozen, freeze, read_frozen, write_frozen
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
from core.experiments.stages import (
    INFER_LOG,
    infer_together,
    launched_spec,
    stages_left,
    waiting_for_answers,
)
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
    for run in runs:
        if run not in fresh:
            _check_settings(run, spec)
    frozen = freeze(root, spec)
    leaks = {variant: _frozen_leaks(root, spec, frozen, variant) for variant in spec.variants if fresh}
    if any(leaks.values()) and not spec.allow_leaks:
        raise _refuse_leaks({variant: found for variant, found in leaks.items() if found})
    records = {
        run: {
            **describe_run(run, spec, frozen, command),
            "launched_by": by,
            "leaks": [asdict(leak) for leak in leaks[run.variant]],
        }
        for run in fresh
    }
    folder = experiment_folder(root, spec.name)
    text = yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_text(folder / "experiment.yaml", text)
    if len(fresh) == len(runs) or read_frozen(root, spec.name) is not None:
        write_frozen(root, spec.name, frozen)  # before the first run.json, which makes it hold
    for run in fresh:
        say_state(run, RunState("queued", "train"))
        write_json(run.folder / "run.json", records[run])
    return runs


def _check_settings(run: Run, spec: ExperimentSpec) -> None:
    """Raise `UserError` where a run's folder was made with other settings than the spec has now."""
    try:
        same = settings_of(read_json(run.folder / "run.json")) == (
            spec.recipe_of(run.variant),
            spec.evaluation,
        )
    except (UserError, KeyError, TypeError):
        same = False
    if not same:
        raise UserError(
            f"{run.folder.relative_to(run.root)} was made with other settings. Give the spec another name,"
            f" or delete the old runs first: python -m core runs delete {spec.name}"
        )


def _frozen_leaks(root: Path, spec: ExperimentSpec, frozen: Frozen, variant: str) -> list[Leak]:
    by_source = frozen.load_trained(root, variant, spec.recipe_of(variant).mixture)
    trained = [task for tasks in by_source.values() for task in tasks]
    return training_leaks(root, trained, frozen.load_evaluated(root))


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
        return _work_through(runs_of(root, spec), spec)


def _work_through(runs: Sequence[Run], spec: ExperimentSpec) -> bool:
    """Train all runs, answer those that share a base model by one engine, and score; whether all are done.

    A run that shares its engine with no other is answered and scored as soon as it is trained.
    """
    together = []
    for run in runs:
        if not _do(run, spec, "train"):
            continue
        if needs_own_engine(run, spec):
            _do(run, spec, "infer", "score")
        else:
            together.append(run)
    for group in engine_groups(together, spec):
        asked = _answer_group(group, spec)
        for run in group:
            if run not in asked:
                _do(run, spec, "infer", "score")
            elif "infer" not in stages_left(run, spec):
                _do(run, spec, "score")
    return not any(stages_left(run, spec) for run in runs)


def _do(run: Run, spec: ExperimentSpec, *stages: Stage) -> bool:
    """What is left of these stages, one process after another, up to the first that fails or a stop;
    whether they are done."""
    for stage in [stage for stage in stages_left(run, spec) if stage in stages]:
        if state_of(run).state == "cancelled":
            return False
        process = _detached(run.root, stage_command(run, stage), run.folder / "log.txt")
        if process.wait() != 0:
            _say_why(run, stage, process.returncode)
            return False
    if not stages_left(run, spec) and state_of(run).state != "done":
        say_state(run, RunState("done"))
    return True


def _answer_group(runs: Sequence[Run], spec: ExperimentSpec) -> list[Run]:
    """Let one process answer those of the runs that wait for it, if there are several; which ones."""
    root, experiment = runs[0].root, runs[0].experiment
    wanted = [run for run in runs if "infer" in stages_left(run, spec) and state_of(run).state != "cancelled"]
    if len(wanted) < 2:
        return []
    verb = group_command(experiment, spec.recipe_of(runs[0].variant).base_model)
    process = _detached(root, verb, experiment_folder(root, experiment) / INFER_LOG)
    if process.wait() != 0:
        for run in wanted:
            if "infer" in stages_left(run, spec):
                _say_why(run, "infer", process.returncode)
    return wanted


def infer_waiting(root: Path, experiment: str) -> bool:
    """Answer all runs that are trained and wait for it, an engine after the other, each in a process of its
    own where there are several; whether all are answered."""
    waiting = waiting_for_answers(root, experiment)
    if not waiting:
        return True
    spec = launched_spec(waiting[0])
    groups = engine_groups(waiting, spec)
    if len(groups) == 1:
        return infer_together(groups[0])
    for group in groups:
        asked = _answer_group(group, spec)
        for run in group:
            if run not in asked:
                _do(run, spec, "infer")
    return not any("infer" in stages_left(run, spec) for run in waiting)


def stage_command(run: Run, stage: Stage) -> list[str]:
    """The verb, with its arguments, that runs one stage."""
    seed = str(run.train_seed)
    return ["run", run.experiment, "--variant", run.variant, "--train-seed", seed, "--stage", stage]


def group_command(experiment: str, base_model: str) -> list[str]:
    """The verb, with its arguments, that answers all trained runs whose adapters share a base model."""
    return ["run", experiment, "--stage", "infer", "--base-model", base_model]


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
