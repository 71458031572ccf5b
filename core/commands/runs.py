"""Verbs about runs: `launch`, `worker`, `run`, and `runs list / show / stop / resume / …`."""

import sys
from typing import Annotated

import typer

from core.commands.cluster_options import cluster_options
from core.commands.printing import (
    HERE,
    AsJson,
    Experiment,
    Format,
    Restorable,
    Root,
    SomeExperiment,
    format_of,
    print_errors,
    print_leaks,
    print_listing,
    say,
    say_json,
)
from core.machine.account import account
from core.runs.layout import spec_path

app = typer.Typer(no_args_is_help=True)

Of = Annotated[
    list[str] | None, typer.Option("--of", help="Only this run, as VARIANT/SEED; may be repeated.")
]


@cluster_options
def launch(
    spec: Annotated[str, typer.Argument(help="A YAML file, or the name of one in data/experiments.")],
    wait: Annotated[bool, typer.Option("--wait", help="Stay and show progress until all runs end.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Do everything anew, also what another run did in the same way.")
    ] = False,
    on: Annotated[
        str | None,
        typer.Option(help="Where: local (this machine) or ray (a cluster); else as before."),
    ] = None,
    work: Annotated[
        str | None, typer.Option(help="The kind of work: real, or pretended, which computes nothing.")
    ] = None,
    root: Root = HERE,
    **options: float | str | None,
) -> None:
    """Start all runs of an experiment in the background; finished stages are not repeated."""
    from core.cluster.settings import cluster_of, requested_cluster
    from core.commands.following import follow
    from core.launching.launch import launch as launch_spec
    from core.preflight.cautions import cautions_of
    from core.specs.spec import find_spec, read_spec

    experiment = read_spec(find_spec(root, spec))
    cluster = requested_cluster(on, options, before=cluster_of(root, experiment.name))
    for sentence in cautions_of(root, experiment):
        say(f"CAUTION: {sentence}", err=True)
    runs = launch_spec(root, experiment, sys.argv, by=account(), cluster=cluster, fresh_work=fresh, work=work)
    if wait:
        if not follow(root, experiment.name):
            raise typer.Exit(1)
        return
    say(f"{len(runs)} runs of '{experiment.name}' go on in the background.")
    say(f"See them with: python -m core runs list {experiment.name}")


def worker(
    gpus: Annotated[
        str | None, typer.Option(help="Numbers of the GPUs to use, such as 0,1; all where none are named.")
    ] = None,
    stay: Annotated[bool, typer.Option("--stay", help="Wait for more when nothing is left.")] = False,
    root: Root = HERE,
) -> None:
    """Take runs from the queue until nothing is left: one for each GPU, or small ones side by side on a CPU.

    A launch starts one in the background by itself. Ending it (Ctrl-C) ends no run.
    """
    import time

    from core.errors import UserError
    from core.launching.worker import work
    from core.runs.workers import worker_of

    def report(text: str) -> None:
        say(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}")

    if not work(root, report, gpus=gpus, stay=stay):
        other = worker_of(root)
        who = f"process {other.pid} on {other.host}" if other is not None else "another process"
        raise UserError(f"A worker takes the runs of this project already ({who}). One is enough.")


def drive(
    experiment: Experiment,
    root: Root = HERE,
) -> None:
    """Hand the runs of an experiment to its Ray cluster and see them through, in this process.

    A launch starts one in the background by itself.
    """
    import time

    from core.cluster.driver import drive as drive_experiment
    from core.errors import UserError

    def report(text: str) -> None:
        say(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}")

    if not drive_experiment(root, experiment, report):
        raise UserError(f"Another process drives '{experiment}' already. One is enough.")


def run(
    experiment: Experiment,
    of: Annotated[
        list[str] | None, typer.Option(help="Only this run, as VARIANT/SEED; may be repeated …")
    ] = None,
    stage: Annotated[str | None, typer.Option(help="… and this stage: train, adapt, infer or score.")] = None,
    shard: Annotated[
        str | None, typer.Option(help="With --stage infer of one run: only this part, such as 2/4.")
    ] = None,
    with_parent: Annotated[
        bool, typer.Option("--with-parent", help="End when the process that started this one ends.")
    ] = False,
    one_gpu: Annotated[
        bool, typer.Option("--one-gpu", help="Take the first free GPU instead of all GPUs.")
    ] = False,
    go_on: Annotated[
        bool, typer.Option("--go-on", help="Afterwards see that a worker goes on with the queue.")
    ] = False,
    root: Root = HERE,
) -> None:
    """Work through a launched experiment and show its progress, or do one stage of runs in this process."""
    from contextlib import nullcontext

    from core.commands.following import follow
    from core.errors import UserError
    from core.experiments.launched_experiment import LaunchedExperiment
    from core.experiments.listing import chosen_runs
    from core.experiments.small_models import slots_held
    from core.launching.stop import resume_runs
    from core.launching.worker import ensure_worker
    from core.machine.processes import end_with_parent
    from core.pipeline.kinds_of_work import work_of
    from core.pipeline.shards import Shard, infer_shard
    from core.pipeline.stages import run_stage_of
    from core.runs.done import EVERY_STAGE

    if not spec_path(root, experiment).exists():
        raise UserError(f"'{experiment}' was never launched. Launch it: python -m core launch {experiment}")
    if with_parent:
        end_with_parent()
    if not of and stage is None:
        resume_runs(root, experiment)
        raise typer.Exit(0 if follow(root, experiment) else 1)
    if not of or stage not in EVERY_STAGE:
        stages = f"{', '.join(EVERY_STAGE[:-1])} or {EVERY_STAGE[-1]}"
        raise UserError(f"One stage needs --of VARIANT/SEED and --stage ({stages}).")
    chosen = chosen_runs(root, experiment, of)
    # A cluster deals out its machines by itself, and scores are light.
    free = with_parent or stage == "score"
    with nullcontext() if free else slots_held(chosen, say, all_gpus=not one_gpu):
        if shard is not None:
            launched = LaunchedExperiment.open(root, experiment)
            done = infer_shard(launched, chosen[0], Shard.parse(shard))
        else:
            done = run_stage_of(chosen, stage, work_of(chosen[0]))
    if go_on:
        ensure_worker(root)
    raise typer.Exit(0 if done else 1)


@app.command("list")
def list_(
    experiment: SomeExperiment = None,
    root: Root = HERE,
    as_json: AsJson = False,
    output: Format = "table",
) -> None:
    """List runs with their state, stage and progress."""
    from core.errors import UserError
    from core.experiments.experiment import list_experiments
    from core.experiments.listing import run_columns, run_records

    known = list_experiments(root)
    if experiment is not None and experiment not in known:
        raise UserError(f"'{experiment}' was never launched. Launched: {', '.join(known) or 'nothing yet'}.")
    output = format_of(output, as_json)
    records = run_records(root, experiment)
    columns = run_columns(records)
    if output == "table":  # in a terminal a sentence needs the whole width
        left_out = ("error",) if experiment is None else ("error", "experiment")
        columns = tuple(name for name in columns if name not in left_out)
    print_listing(records, columns, output)
    if output == "table":
        print_errors(records)
    for name in [experiment] if experiment else known:
        print_leaks(root, name)


@app.command()
def show(
    experiment: Experiment,
    variant: Annotated[str, typer.Argument(help="The variant.")],
    train_seed: Annotated[int, typer.Argument(help="The seed of the training.")],
    root: Root = HERE,
    as_json: AsJson = False,
) -> None:
    """Show one run: its record, its state, its alarms and the end of its log."""
    from dataclasses import asdict

    from core.checks.alarms import alarm_sentences, check_records
    from core.experiments.listing import one_run, run_records
    from core.runs.progress import log_tail
    from core.runs.record import read_record
    from core.runs.state import state_of

    one = one_run(root, experiment, variant, train_seed)
    record = read_record(one)
    which = {"variant": variant, "train_seed": train_seed}
    sentences = alarm_sentences(
        [alarm for alarm in check_records(root, experiment) if which.items() <= alarm.items()]
    )
    if as_json:
        more = {"alarms": sentences, "log": log_tail(one), "record": record}
        listed = run_records(root, experiment)
        say_json([{**run, **more} for run in listed if which.items() <= run.items()])
        return
    say_json(record, indent=1)
    say_json(asdict(state_of(one)), indent=1)
    for sentence in sentences:
        say(f"Alarm: {sentence}")
    say(log_tail(one))
    print_leaks(root, experiment)


@app.command()
def stop(experiment: Experiment, of: Of = None, root: Root = HERE) -> None:
    """Stop runs, which leave a checkpoint first; what is finished stays, and they can be resumed."""
    from core.launching.stop import stop_runs

    stopped = stop_runs(root, experiment, of or ())
    say(f"Stopped {len(stopped)} runs of '{experiment}'. Go on with: python -m core runs resume {experiment}")


@app.command()
def resume(experiment: Experiment, of: Of = None, root: Root = HERE) -> None:
    """Let stopped, failed and forgotten runs go on from where they stand."""
    from core.launching.stop import resume_runs

    say(f"{len(resume_runs(root, experiment, of or ()))} runs of '{experiment}' go on.")


@app.command()
def retry(experiment: Experiment, of: Of = None, root: Root = HERE) -> None:
    """Let failed runs go on from where they stand; stopped ones stay stopped."""
    from core.launching.stop import retry_runs

    say(f"{len(retry_runs(root, experiment, of or ()))} runs of '{experiment}' are tried again.")


@app.command()
def clone(
    experiment: Experiment,
    name: Annotated[str, typer.Argument(help="The name of the new spec.")],
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="A change, such as recipe.training.steps=400; may be repeated."),
    ] = None,
    root: Root = HERE,
) -> None:
    """Write an experiment's spec under a new name, with changes, to data/experiments."""
    from core.experiments.clone import clone_experiment

    path = clone_experiment(root, experiment, name, changes or ())
    say(f"Wrote {path}. Launch it with: python -m core launch {name}")


@app.command()
def archive(experiment: Experiment, root: Root = HERE) -> None:
    """Move an experiment out of all lists, to runs/.archive; nothing of it is lost."""
    from core.experiments.archive import archive_experiment

    archive_experiment(root, experiment)
    say(f"Archived '{experiment}'. Bring it back with: python -m core runs restore {experiment}")


@app.command()
def restore(experiment: Restorable, root: Root = HERE) -> None:
    """Bring an experiment back from the archive or the trash; a deleted run as EXPERIMENT/VARIANT/SEED."""
    from core.experiments.archive import restore_experiment

    restore_experiment(root, experiment)
    say(f"'{experiment}' is back. See: python -m core runs list {experiment}")


@app.command()
def delete(experiment: Experiment, of: Of = None, root: Root = HERE) -> None:
    """Move an experiment, or the runs named with --of, to runs/.trash; stop what is running first."""
    from core.experiments.archive import delete_experiment, delete_runs

    if of:
        moved = delete_runs(root, experiment, of)
        say(f"Moved {len(moved)} to runs/.trash. Back: python -m core runs restore {experiment}/{of[0]}")
        return
    target, freed = delete_experiment(root, experiment)
    say(f"Moved to {target}. To free its {freed / 2**20:,.1f} MB: python -m core runs empty-trash")


@app.command()
def empty_trash(
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False, root: Root = HERE
) -> None:
    """Delete what lies in runs/.trash for good."""
    from core.experiments import archive

    size = archive.trash_bytes(root) / 2**20
    if not yes:
        typer.confirm(f"Delete what lies in runs/.trash for good ({size:,.1f} MB)?", abort=True)
    say(f"Freed {archive.empty_trash(root) / 2**20:,.1f} MB.")
