"""The driver of one experiment on a Ray cluster: conducts its runs there until nothing is left to do."""

import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from core.cluster.mirror import Mirrors
from core.cluster.ray_executor import RayExecutor
from core.cluster.ray_session import connect, guard_local_cluster
from core.cluster.settings import LOCAL, ClusterSettings, address_of, check_ray, cluster_of, share_of
from core.errors import UserError
from core.experiments.launched_experiment import LaunchedExperiment
from core.experiments.listing import list_runs
from core.machine.heartbeat import Heartbeat
from core.machine.processes import Identity, Notify
from core.pipeline.conductor import Conductor
from core.pipeline.executor import Job
from core.pipeline.job_order import wants_work
from core.reports.finish_notice import tell_of_end
from core.runs.done import STAGES_IN_PARTS
from core.runs.layout import (
    DRIVER,
    DRIVER_HEARTBEAT,
    DRIVER_LOCK,
    DRIVER_START_LOCK,
    Run,
    experiment_folder,
)
from core.runs.state import fail, finish, read_state
from core.runs.supervisors import driver_of
from core.storage.files import locked, write_json

SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_BETWEEN_ROUNDS = 10.0


def drive(root: Path, experiment: str, notify: Notify) -> bool:
    """Drive an experiment until nothing of it is left to do; False where another driver does already.

    Raises `UserError` where there is no Ray, no cluster at the address, or no node that could take a run.
    """
    settings = cluster_of(root, experiment)
    if settings is None:
        raise UserError(f"'{experiment}' is not for a cluster. Launch it with: --on ray")
    check_ray()
    while not _drive_alone(root.resolve(), experiment, settings, notify):
        if driver_of(root, experiment) is not None:
            return False
        time.sleep(SECONDS_BETWEEN_LOOKS)  # the last one is leaving
    return True


def _drive_alone(root: Path, experiment: str, settings: ClusterSettings, notify: Notify) -> bool:
    """Drive the experiment; False, at once, while another process holds its lock."""
    folder = experiment_folder(root, experiment)
    with locked(folder / DRIVER_LOCK, wait=False) as alone:
        if alone:
            write_json(folder / DRIVER, asdict(Identity.own()))
            with Heartbeat(folder / DRIVER_HEARTBEAT):
                try:
                    _conduct(root, experiment, settings, notify)
                except UserError as problem:
                    _fail_waiting(root, experiment, str(problem))
                    raise
    return alone


def _fail_waiting(root: Path, experiment: str, problem: str) -> None:
    """Let the runs that wait tell why nobody works on them."""
    for run in list_runs(root, experiment):
        state = read_state(run)
        if state is not None and state.state == "queued":
            fail(run, problem)


def _conduct(root: Path, experiment: str, settings: ClusterSettings, notify: Notify) -> None:
    """Join the cluster and work until nothing is left."""
    address = address_of(settings)
    if address == LOCAL:
        guard_local_cluster()
    mirrors = Mirrors(root, experiment, settings.store, notify) if settings.store else None
    parts = settings.shards
    if parts > 1:
        parts = min(parts, len(LaunchedExperiment.open(root, experiment).evaluated))
    import ray

    connect(address)
    try:
        share = share_of(settings, ray.nodes())
        notify(f"{experiment} on {address}: each run gets {share}.")
        executor = RayExecutor(settings, share, mirrors)
        told = partial(tell_of_end, root, notify=notify)
        conductor = Conductor(partial(planned_jobs, root, experiment, parts), executor, notify, told)
        next_round = 0.0
        while True:
            now = time.monotonic()
            if conductor.look() or not conductor.busy or now >= next_round:
                next_round = now + SECONDS_BETWEEN_ROUNDS
                if (
                    not conductor.begin_jobs()
                    and not conductor.busy
                    and _may_leave(conductor, root, experiment)
                ):
                    return
            executor.wait(SECONDS_BETWEEN_LOOKS)
    finally:
        ray.shutdown()


def _may_leave(conductor: Conductor, root: Path, experiment: str) -> bool:
    """Whether nothing is left, found out under the lock that launches hold while they ask for a driver."""
    folder = experiment_folder(root, experiment)
    with locked(folder / DRIVER_START_LOCK):
        if conductor.begin_jobs():
            return False
        (folder / DRIVER).unlink(missing_ok=True)
        return True


def planned_jobs(root: Path, experiment: str, parts: int, taken: Callable[[Run], bool]) -> list[Job]:
    """A job for each run that wants to go on: all that is left of it or, where stages are done in parts, its
    next stage. Seed by seed, as the cluster takes them in this order."""
    runs = [run for run in list_runs(root, experiment) if not taken(run) and wants_work(run, read_state(run))]
    if not runs:
        return []
    launched = LaunchedExperiment.open(root, experiment)
    jobs = []
    for run in sorted(runs, key=lambda run: (run.train_seed, run.variant)):
        left = tuple(launched.stages_left(run))
        if not left:
            finish(run)
        elif parts == 1 or left[0] == "score":
            jobs.append(Job(left, (run,)))
        else:
            jobs.append(Job(left[:1], (run,), parts if left[0] in STAGES_IN_PARTS else 1))
    return jobs
