"""Launching: freeze the spec, make the run folders, queue the runs, and see that a worker takes them.

The worker and every stage are detached processes: closing the browser or the terminal stops none of them.
"""

import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from core.arc.tasks import Task
from core.cluster.settings import ClusterSettings, check_ray, ensure_driver, set_cluster
from core.curation.leaks import Leak
from core.errors import UserError
from core.experiments.archive import put_aside
from core.experiments.frozen_tasks import FrozenTasks, freeze, write_frozen
from core.experiments.launched_experiment import LaunchedExperiment
from core.experiments.listing import list_runs
from core.experiments.look_log import note_look
from core.experiments.provenance import describe_run, settings_of
from core.launching.worker import ensure_worker
from core.machine.processes import end_group
from core.mixing.held_out import hold_out
from core.mixing.mixtures import Gate, Mixture, mixture_tasks, training_leaks
from core.number_words import amount
from core.pipeline.job_order import wants_work
from core.pipeline.work_registry import wanted_work, work_named
from core.preflight.pair_requirements import check_pairs
from core.runs.done import STAGES
from core.runs.layout import LAUNCH_LOCK, LAUNCHES, Run, experiment_folder, runs_folder, spec_path
from core.runs.run_record import read_record
from core.runs.state import RunState, corrected, finish, queue_for, read_state
from core.runs.supervisors import is_on_cluster
from core.specs.edit import as_yaml
from core.specs.spec import ExperimentSpec, Recipe, evaluated_tasks
from core.storage.files import append_record, locked, write_json, write_text
from core.storage.stores import Store
from core.training.adaptation import demonstrations_to_learn

BYTES_PER_RUN = 200 * 2**20
MOST_SHOWN = 12
"""Tasks that a refusal names."""


def runs_of(root: Path, spec: ExperimentSpec) -> list[Run]:
    """The runs of a spec, in the order in which they are queued."""
    return [Run(root, spec.name, variant, seed) for variant, seed in spec.pairs]


def prepare(
    root: Path,
    spec: ExperimentSpec,
    command: list[str],
    by: str | None = None,
    *,
    fresh_work: bool = False,
    work: str | None = None,
) -> list[Run]:
    """Check the spec against the data and freeze it: `experiment.yaml` and a folder for each run.

    `by` is who launches; it goes into the records of the runs that are new. With `fresh_work` these take
    nothing over from runs that did the same work. `work` names the kind of their work (None: what this
    process launches, see `core.pipeline.work_registry`).

    Folders that exist stay as they are. Raises `UserError` where one of them was made with other
    settings, where data or base model are missing, or where the disk has too little room.
    """
    work = wanted_work() if work is None else work_named(work).name
    runs = runs_of(root, spec)
    fresh = [run for run in runs if not run.record_file.exists()]
    _check_room(root, len(fresh))
    for run in runs:
        if run not in fresh:
            _check_settings(run, spec)
    frozen = freeze(root, spec)
    check_pairs(root, spec, frozen)
    gates = {variant: _frozen_leaks(root, spec, frozen, variant) for variant in spec.variants if fresh}
    leaking = {variant: gate.leaks for variant, gate in gates.items() if gate.leaks}
    if leaking and not spec.allow_leaks:
        raise _refuse_leaks(leaking)
    records = {
        run: {
            **describe_run(run, spec, frozen, command),
            "work": work,
            "launched_by": by,
            "fresh": fresh_work,
            "leaks": [asdict(leak) for leak in gates[run.variant].leaks],
            "test_time": gates[run.variant].test_time,
            "known_rules": gates[run.variant].known_rules,
        }
        for run in fresh
    }
    note_look(experiment_folder(root, spec.name), [run.variant for run in fresh])
    write_text(spec_path(root, spec.name), as_yaml(spec.model_dump(mode="json")))
    write_frozen(root, spec.name, frozen)  # before the first run.json, which makes it hold
    for run in fresh:
        put_aside(root, run)
        queue_for(run, STAGES[0])
        write_json(run.record_file, records[run])
    return runs


def _check_settings(run: Run, spec: ExperimentSpec) -> None:
    """Raise `UserError` where a run's folder was made with other settings than the spec has now."""
    try:
        made = settings_of(read_record(run))
    except (UserError, KeyError, TypeError):
        made = None
    if made != (spec.recipe_of(run.variant), spec.evaluation):
        raise UserError(
            f"{run.folder.relative_to(run.root)} was made with other settings. Give the spec another name,"
            f" or delete the old runs first: python -m core runs delete {spec.name}"
        )


def _frozen_leaks(root: Path, spec: ExperimentSpec, frozen: FrozenTasks, variant: str) -> Gate:
    """What a variant's trained tasks show of the evaluated ones. Raises `UserError` where it is to be
    validated and nothing is left for that."""
    recipe, evaluated = spec.recipe_of(variant), frozen.load_evaluated(root)
    by_source = frozen.load_trained(root, variant, recipe.mixture)
    hold_out(Mixture(by_source, recipe.mixture, 0), recipe.training.validation, frozen.held_out.get(variant))
    return _gate(root, recipe, by_source, evaluated)


def _gate(root: Path, recipe: Recipe, by_source: Mapping[str, Sequence[Task]], evaluated: list[Task]) -> Gate:
    """What a recipe shows of the evaluated tasks, in its mixture and at test time."""
    trained = [task for tasks in by_source.values() for task in tasks]
    if recipe.test_time is not None:
        trained += demonstrations_to_learn(evaluated, evaluated, recipe.prompt.encoding)
    return training_leaks(root, trained, evaluated)


def leaks_of(root: Path, spec: ExperimentSpec) -> dict[str, Gate]:
    """For each variant, what its mixture and its test-time training show of the evaluated tasks."""
    tasks = evaluated_tasks(root, spec.evaluation)
    recipes = {variant: spec.recipe_of(variant) for variant in spec.variants}
    return {
        variant: _gate(root, recipe, mixture_tasks(root, recipe.mixture, tasks), tasks)
        for variant, recipe in recipes.items()
    }


def _refuse_leaks(leaks: dict[str, tuple[Leak, ...]]) -> UserError:
    variant, found = next(iter(leaks.items()))
    first = found[0]
    shown = sorted({leak.task_a for leak in found if leak.source_a == first.source_a})
    more = (
        " (and more)"
        if len(shown) > MOST_SHOWN or any(leak.source_a != first.source_a for leak in found)
        else ""
    )
    return UserError(
        f"Variant '{variant}' trains on {len({leak.task_b for leak in found})} evaluated tasks or twins of"
        f" them, such as {first.source_a} {first.task_a} of {first.source_b} {first.task_b} ({first.kind})."
        f" Write 'exclude: [{', '.join(shown[:MOST_SHOWN])}]'{more} under {first.source_a}, or set"
        " allow_leaks: true."
    )


def _check_root(root: Path) -> None:
    if not (root / "data").is_dir():
        raise UserError(f"{root.resolve()} holds no folder data. Name the project folder with --root.")


def _check_room(root: Path, runs: int) -> None:
    free = shutil.disk_usage(root).free
    if runs and free < runs * BYTES_PER_RUN:
        raise UserError(
            f"For {amount(runs, 'runs')} about {runs * BYTES_PER_RUN / 2**30:.1f} GB are needed, but the disk"
            f" has {free / 2**30:.1f} GB left. Free some space and launch again."
        )


def launch(
    root: Path,
    spec: ExperimentSpec,
    command: list[str],
    by: str | None = None,
    cluster: ClusterSettings | None = None,
    *,
    fresh_work: bool = False,
    work: str | None = None,
) -> list[Run]:
    """Prepare an experiment, queue what is left of its runs, and see that a worker takes them.

    Launches take turns, so that none overwrites what another has just prepared. Each is a line of
    `launches.jsonl`: time, by, command.
    """
    _check_root(root)
    if cluster is not None:
        check_ray()
        if cluster.store is not None:
            Store(cluster.store)  # raises where a library for it is not installed
    with locked(runs_folder(root) / LAUNCH_LOCK):
        runs = prepare(root, spec, command, by, fresh_work=fresh_work, work=work)
        set_cluster(root, spec.name, cluster)
        record = {"time": round(time.time(), 3), "by": by, "command": command}
        append_record(experiment_folder(root, spec.name) / LAUNCHES, record)
        enqueue(LaunchedExperiment(root, spec), runs)
    see_to(root, spec.name)
    return list_runs(root, spec.name)


def see_to(root: Path, experiment: str) -> None:
    """See that something works on an experiment: a worker of this machine, or a driver of its cluster."""
    if not is_on_cluster(root, experiment):
        ensure_worker(root)
    elif any(wants_work(run, read_state(run)) for run in list_runs(root, experiment)):
        ensure_driver(root, experiment)


def enqueue(experiment: LaunchedExperiment, runs: Iterable[Run]) -> list[Run]:
    """Let runs go on from where they are, whatever their state; those that had something left to do.

    A run whose files are all there is done, whatever became of its `state.json`. One that lives just goes
    on; a process that gives no sign of life any more is ended.
    """
    queued = []
    for run in runs:
        run.stop_file.unlink(missing_ok=True)
        left, written = experiment.stages_left(run), read_state(run)
        state = corrected(run, written)
        if not left:
            if state.state != "done":
                finish(run)
        elif state.state != "running":
            if (state.state, state.stage) != ("queued", left[0]):
                queue_for(run, left[0])
            _end_silent_process(written)  # last: its worker would otherwise overwrite "queued" with "failed"
            queued.append(run)
    return queued


def _end_silent_process(written: RunState | None) -> None:
    """End the process of this machine that works, by this state, on a run which counts as failed."""
    process = written.process if written is not None and written.state == "running" else None
    if process is not None and process.is_here:
        end_group(process)
