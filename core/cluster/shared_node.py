"""What a task of the cluster does on its node: stages of a run, each a process of its own.

A task ends with its node, and its processes with it, so that a node the cluster has given up does not go on
working on a run that has begun anew elsewhere.
"""

import socket
from collections.abc import Sequence
from pathlib import Path

from core.errors import UserError
from core.experiments.launched_experiment import LaunchedExperiment
from core.experiments.listing import named_run
from core.machine.processes import start_detached
from core.pipeline.executor import end_of
from core.runs.done import Stage
from core.runs.layout import DRIVER_LOCK, Run, experiment_folder
from core.runs.progress import write_log
from core.storage.files import locked


def work_on(root: str, experiment: str, name: str, stages: Sequence[Stage], shard: str | None) -> str | None:
    """What a task does, on its node: these stages of a run (or one part of its inference), a process each.

    None at the end or where nothing is wanted any more, else in words how the process ended that did not
    end well. Raises `UserError` where the node does not share the project's folder.
    """
    check_shared(experiment_folder(Path(root), experiment))
    return work_through(named_run(Path(root), experiment, name), stages, shard)


def work_through(run: Run, stages: Sequence[Stage], shard: str | None = None) -> str | None:
    """See stages of a run through, as `work_on` does."""
    log = run.log_file
    if shard is not None:
        log = run.folder / f"log-shard-{shard.replace('/', '-of-')}.txt"
    for stage in stages:
        if run.stop_file.exists():
            return None
        if stage not in LaunchedExperiment.of(run).stages_left(run):  # done before the task lost its node
            continue
        part = ["--shard", shard] if shard else []
        verb = ["run", run.experiment, "--of", run.name, "--stage", stage, *part, "--with-parent"]
        write_log(run, f"{stage}{f' {shard}' if shard else ''} on {socket.gethostname()}")
        code = start_detached(verb, run.root, log).wait()
        if code:
            return end_of(code)
    return None


def check_shared(folder: Path) -> None:
    """Raise `UserError` where this node does not see the experiment's folder, or where locks in it don't
    reach from node to node, so that two processes could work on one run."""
    here = socket.gethostname()
    if not (folder / DRIVER_LOCK).exists():
        raise UserError(
            f"The node {here} does not see {folder}. Put the project on a folder that all nodes share."
        )
    with locked(folder / DRIVER_LOCK, wait=False) as free:
        if free:
            raise UserError(
                f"Locks in {folder} don't reach the node {here}. Mount the shared folder with locks (NFS: no"
                " 'nolock' and no 'local_lock')."
            )
