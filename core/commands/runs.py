"""Verbs about runs: `launch`, `run`, `runs list / show / stop / delete`."""

import sys
from typing import Annotated

import typer

from core.commands.printing import HERE, AsJson, Root, print_leaks, print_records
from core.people import account

app = typer.Typer(no_args_is_help=True)

COLUMNS = ("experiment", "variant", "train_seed", "state", "stage", "step", "total", "eta_seconds", "error")


def launch(
    spec: Annotated[str, typer.Argument(help="A YAML file, or the name of one in data/experiments.")],
    wait: Annotated[bool, typer.Option("--wait", help="Stay and show progress until all runs end.")] = False,
    root: Root = HERE,
) -> None:
    """Start all runs of an experiment in the background; finished stages are not repeated."""
    from core.commands.following import follow
    from core.experiments.launch import launch as launch_spec
    from core.experiments.spec import find_spec, read_spec

    experiment = read_spec(find_spec(root, spec))
    runs = launch_spec(root, experiment, sys.argv, by=account())
    if wait:
        if not follow(root, experiment.name):
            raise typer.Exit(1)
        return
    typer.echo(f"{len(runs)} runs of '{experiment.name}' go on in the background.")
    typer.echo(f"See them with: python -m core runs list {experiment.name}")


def run(
    experiment: Annotated[str, typer.Argument(help="A launched experiment.")],
    variant: Annotated[str | None, typer.Option(help="Only this variant's run …")] = None,
    train_seed: Annotated[int | None, typer.Option(help="… with this seed …")] = None,
    stage: Annotated[str | None, typer.Option(help="… and this stage: train, infer or score.")] = None,
    base_model: Annotated[
        str | None, typer.Option(help="With --stage infer: all trained runs with adapters on this base.")
    ] = None,
    root: Root = HERE,
) -> None:
    """Work through a launched experiment in this process's foreground, or do one stage of one run.

    `--stage infer` alone answers all trained runs: those whose adapters share a base model by one engine.
    """
    from core.errors import UserError
    from core.experiments.launch import drive, infer_waiting
    from core.experiments.runs import STAGES, experiment_folder, one_run
    from core.experiments.stages import infer_together, run_stage, waiting_on

    if not (experiment_folder(root, experiment) / "experiment.yaml").exists():
        raise UserError(f"'{experiment}' was never launched. Launch it: python -m core launch {experiment}")
    if variant is None and train_seed is None and stage is None:
        done = drive(root, experiment)
    elif stage == "infer" and base_model is not None and variant is None and train_seed is None:
        done = infer_together(waiting_on(root, experiment, base_model))
    elif stage == "infer" and variant is None and train_seed is None:
        done = infer_waiting(root, experiment)
    elif variant is None or train_seed is None or stage not in STAGES:
        raise UserError("One stage needs --variant, --train-seed and --stage (train, infer or score).")
    else:
        done = run_stage(one_run(root, experiment, variant, train_seed), stage)
    raise typer.Exit(0 if done else 1)


@app.command("list")
def list_(
    experiment: Annotated[str | None, typer.Argument(help="Only this experiment.")] = None,
    root: Root = HERE,
    as_json: AsJson = False,
) -> None:
    """List runs with their state, stage and progress."""
    from core.errors import UserError
    from core.experiments.runs import run_records
    from core.results.experiment import list_experiments

    known = list_experiments(root)
    if experiment is not None and experiment not in known:
        raise UserError(f"'{experiment}' was never launched. Launched: {', '.join(known) or 'nothing yet'}.")
    print_records(run_records(root, experiment), as_json=as_json, columns=COLUMNS)
    for name in [experiment] if experiment else known:
        print_leaks(root, name)


@app.command()
def show(
    experiment: Annotated[str, typer.Argument(help="The experiment.")],
    variant: Annotated[str, typer.Argument(help="The variant.")],
    train_seed: Annotated[int, typer.Argument(help="The seed of the training.")],
    root: Root = HERE,
) -> None:
    """Show one run: its record, its state, its alarms and the end of its log."""
    import json
    from dataclasses import asdict

    from core.experiments.runs import log_tail, one_run, state_of
    from core.results.checks import alarm_sentences, check_records
    from core.storage.files import read_json

    one = one_run(root, experiment, variant, train_seed)
    typer.echo(json.dumps(read_json(one.folder / "run.json"), indent=1, ensure_ascii=False))
    typer.echo(json.dumps(asdict(state_of(one)), indent=1, ensure_ascii=False))
    mine = [
        record
        for record in check_records(root, experiment)
        if (record["variant"], record["train_seed"]) == (variant, train_seed)
    ]
    for sentence in alarm_sentences(mine):
        typer.echo(f"Alarm: {sentence}")
    typer.echo(log_tail(one))
    print_leaks(root, experiment)


@app.command()
def stop(experiment: Annotated[str, typer.Argument(help="The experiment.")], root: Root = HERE) -> None:
    """Stop the runs of an experiment; what is finished stays, and a launch goes on from there."""
    from core.experiments.stopping import stop_experiment

    stopped = stop_experiment(root, experiment)
    typer.echo(f"Stopped {stopped} runs of '{experiment}'. Go on with: python -m core launch {experiment}")


@app.command()
def delete(experiment: Annotated[str, typer.Argument(help="The experiment.")], root: Root = HERE) -> None:
    """Move an experiment to runs/.trash; running ones must be stopped first."""
    from core.experiments.stopping import delete_experiment

    target, freed = delete_experiment(root, experiment)
    typer.echo(f"Moved to {target}; emptying it frees {freed / 2**20:.0f} MB.")
