"""Verbs about runs: `runs list / show / stop / resume / …`."""

from typing import Annotated

import typer

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
from core.number_words import amount

app = typer.Typer(no_args_is_help=True)

Of = Annotated[
    list[str] | None, typer.Option("--of", help="Only this run, as VARIANT/SEED; may be repeated.")
]


@app.command("list")
def list_(
    experiment: SomeExperiment = None,
    root: Root = HERE,
    as_json: AsJson = False,
    output: Format = "table",
) -> None:
    """List runs with their state, stage and progress."""
    from itertools import chain

    from core.errors import UserError
    from core.experiments.experiment import list_experiments
    from core.experiments.listing import run_columns, run_records

    known = list_experiments(root)
    if experiment is not None and experiment not in known:
        raise UserError(f"'{experiment}' was never launched. Launched: {', '.join(known) or 'nothing yet'}.")
    output = format_of(output, as_json)
    listed = {}
    for name in [experiment] if experiment else known:
        try:
            listed[name] = run_records(root, name)
        except UserError as problem:
            if experiment:
                raise
            say(f"{name}: {problem}", err=True)
    records = list(chain.from_iterable(listed.values()))
    columns = run_columns(records)
    if output == "table":  # in a terminal a sentence needs the whole width
        left_out = ("error",) if experiment is None else ("error", "experiment")
        columns = tuple(name for name in columns if name not in left_out)
    print_listing(records, columns, output)
    if output == "table":
        print_errors(records)
    for name in listed:
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
    from core.runs.run_record import read_record
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
    from core.launching.stop_and_resume import stop_runs

    stopped = stop_runs(root, experiment, of or ())
    count = amount(len(stopped), "runs")
    say(f"Stopped {count} of '{experiment}'. Go on with: python -m core runs resume {experiment}")


@app.command()
def resume(experiment: Experiment, of: Of = None, root: Root = HERE) -> None:
    """Let stopped, failed and forgotten runs go on from where they stand."""
    from core.launching.stop_and_resume import resume_runs

    count = amount(len(resume_runs(root, experiment, of or ())), "runs")
    say(f"Going on with {count} of '{experiment}'.")


@app.command()
def retry(experiment: Experiment, of: Of = None, root: Root = HERE) -> None:
    """Let failed runs go on from where they stand; stopped ones stay stopped."""
    from core.launching.stop_and_resume import retry_runs

    count = amount(len(retry_runs(root, experiment, of or ())), "runs")
    say(f"Trying {count} of '{experiment}' again.")


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
def example(
    name: Annotated[str | None, typer.Argument(help="The example; without a name they are listed.")] = None,
    root: Root = HERE,
) -> None:
    """Open a finished experiment that comes with the project."""
    from core.experiments.examples import examples, open_example

    if name is None:
        say("\n".join(examples(root)) or "No example waits to be opened.")
        return
    open_example(root, name)
    say(f"'{name}' is open. See: python -m core results {name}")


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
