"""Verbs that make runs go: `demo`, `launch`, `worker`, `drive`, `run`."""

import inspect
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Annotated, Any, Optional

import typer

from core.cluster.settings import option_fields
from core.commands.command_text import given_command
from core.commands.dashboard import PORT, Port, check_port, serve
from core.commands.printing import HERE, Experiment, Root, say
from core.machine.account import account
from core.number_words import amount
from core.runs.layout import Run, spec_path


def _cluster_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb that takes `**options` an option for each setting of a cluster; None: not given."""
    signature = inspect.signature(verb)
    kept = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    added = [_parameter(name, option, field) for name, (option, field) in option_fields().items()]
    verb.__signature__ = signature.replace(parameters=[*kept, *added])  # type: ignore[attr-defined]
    return verb


def _parameter(name: str, option: str, field: Any) -> inspect.Parameter:
    kinds = {"int": int, "float": float, "str": str}
    kind = next(kind for part, kind in kinds.items() if part in str(field.annotation))
    annotation = Annotated[Optional[kind], typer.Option(option, help=f"On ray: {field.description}")]  # type: ignore[valid-type] # noqa: UP045
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def demo(
    open_: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the dashboard when the runs are done.")
    ] = True,
    port: Port = PORT,
    root: Root = HERE,
) -> None:
    """Run the main job on real ARC tasks: train, predict, score, and show mean ± std."""
    from core.commands.follow_progress import follow
    from core.commands.results import show
    from core.launching.demo import launch_demo

    if open_:
        check_port(port)
    name = launch_demo(root, given_command(), say)
    say("The runs go on if you close this terminal; the same command follows them again.")
    if not follow(root, name):
        say("Give the same command again: finished stages are kept.")
        raise typer.Exit(1)
    show(name, root=root)
    if open_:
        serve(root, port, f"results?experiment={name}")
    else:
        say(f"See it as a page: python -m core dashboard, then /results?experiment={name}")


@_cluster_options
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
    from core.commands.follow_progress import follow
    from core.launching.launch import launch as launch_spec
    from core.preflight.cautions import cautions_of
    from core.specs.spec import find_spec, read_spec

    experiment = read_spec(find_spec(root, spec))
    cluster = requested_cluster(on, options, before=cluster_of(root, experiment.name))
    for sentence in cautions_of(root, experiment):
        say(f"CAUTION: {sentence}", err=True)
    runs = launch_spec(
        root, experiment, given_command(), by=account(), cluster=cluster, fresh_work=fresh, work=work
    )
    if wait:
        if not follow(root, experiment.name):
            raise typer.Exit(1)
        return
    say(f"Working on {amount(len(runs), 'runs')} of '{experiment.name}' in the background.")
    say(f"See them with: python -m core runs list {experiment.name}")


def _say_with_time(text: str) -> None:
    say(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}")


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
    from core.errors import UserError
    from core.launching.worker import work
    from core.runs.supervisors import worker_of

    if not work(root, _say_with_time, gpus=gpus, stay=stay):
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
    from core.cluster.driver import drive as drive_experiment
    from core.errors import UserError

    if not drive_experiment(root, experiment, _say_with_time):
        raise UserError(f"Another process drives '{experiment}' already. One is enough.")


def run(
    experiment: Experiment,
    of: Annotated[
        list[str] | None, typer.Option(help="Only this run, as VARIANT/SEED; may be repeated …")
    ] = None,
    stage: Annotated[str | None, typer.Option(help="… and this stage: train, adapt, infer or score.")] = None,
    shard: Annotated[
        str | None, typer.Option(help="With --stage adapt or infer of one run: only this part, such as 2/4.")
    ] = None,
    parts: Annotated[
        int, typer.Option(min=1, help="With --stage adapt or infer: in up to so many free slots at a time.")
    ] = 1,
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
    from core.commands.follow_progress import follow
    from core.errors import UserError
    from core.experiments.listing import chosen_runs
    from core.launching.stop_and_resume import resume_runs
    from core.launching.worker import ensure_worker
    from core.machine.processes import end_with_parent
    from core.pipeline.stages import reasons_not_done
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
    done = _do_stage(chosen, stage, shard, parts=parts, free=free, all_gpus=not one_gpu)
    for sentence in [] if done else reasons_not_done(chosen, stage):
        say(sentence, err=True)
    if go_on:
        ensure_worker(root)
    raise typer.Exit(0 if done else 1)


def _do_stage(
    chosen: Sequence[Run], stage: str, shard: str | None, *, parts: int, free: bool, all_gpus: bool
) -> bool:
    """Do one stage of runs in this process, in slots of their own unless it is free of them; whether it is
    done."""
    from core.experiments.launched_experiment import LaunchedExperiment
    from core.experiments.slot_sharing import slots_held
    from core.pipeline.local_shards import in_parts
    from core.pipeline.shards import Shard, run_shard
    from core.pipeline.stages import run_stage_of
    from core.pipeline.work_registry import work_of

    with ExitStack() as held:
        holding = slots_held(chosen, say, all_gpus=all_gpus, parts=parts)
        slots = [] if free else held.enter_context(holding)
        if shard is None:
            return run_stage_of(chosen, stage, in_parts(work_of(chosen[0]), slots))
        launched = LaunchedExperiment.open(chosen[0].root, chosen[0].experiment)
        return run_shard(launched, chosen[0], stage, Shard.parse(shard))
