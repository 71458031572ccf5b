"""The driver of one experiment on a Ray cluster: hands each run to the cluster and sees it through.

One task per run: it works through the run's stages, each a process of its own on the task's node, with what
the task was given of GPUs, cores and memory. Where evaluations are answered in parts, each part is a task
too. A task that lost its node begins anew on another one, where the run goes on from its checkpoint. The
driver only says of a run what the run can't say itself.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from core.cluster.mirror import Mirror, Mirrors
from core.cluster.ray_session import connect, guard_local_cluster, how_it_ended
from core.cluster.remote_node import work_apart
from core.cluster.settings import (
    LOCAL,
    ClusterSettings,
    address_of,
    check_ray,
    cluster_of,
    share_of,
)
from core.cluster.shared_node import work_on
from core.errors import UserError
from core.machine.processes import Heartbeat, Identity
from core.pipeline.schedule import wants_work
from core.pipeline.shards import Shard, progress_of_shards, put_together, shard_is_done, shards
from core.pipeline.stages import launched_spec, mark_next
from core.runs.done import Stage, stages_left
from core.runs.frozen_tasks import frozen_of
from core.runs.layout import (
    DRIVER,
    DRIVER_HEARTBEAT,
    DRIVER_LOCK,
    DRIVER_START_LOCK,
    SHARDS,
    Run,
    experiment_folder,
    spec_path,
)
from core.runs.listing import list_runs
from core.runs.state import RunState, advance, begin, fail, read_state, stop
from core.runs.workers import driver_of
from core.specs.spec import read_spec
from core.storage.files import append_record, locked, write_json

SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_BETWEEN_ROUNDS = 10.0
SECONDS_TO_STOP, SECONDS_TO_PUSH = 10.0, 8.0

Say = Callable[[str], None]


def drive(root: Path, experiment: str, say: Say) -> bool:
    """Drive an experiment until nothing of it is left to do; False where another driver does already.

    Raises `UserError` where there is no Ray, no cluster at the address, or no node that could take a run.
    """
    settings = cluster_of(root, experiment)
    if settings is None:
        raise UserError(f"'{experiment}' is not for a cluster. Launch it with: --on ray")
    check_ray()
    while not _drive_alone(root, experiment, settings, say):
        if driver_of(root, experiment) is not None:
            return False
        time.sleep(SECONDS_BETWEEN_LOOKS)  # the last one is leaving
    return True


def _drive_alone(root: Path, experiment: str, settings: ClusterSettings, say: Say) -> bool:
    """Drive the experiment; False, at once, while another process holds its lock."""
    folder = experiment_folder(root, experiment)
    with locked(folder / DRIVER_LOCK, wait=False) as alone:
        if alone:
            write_json(folder / DRIVER, asdict(Identity.own()))
            with Heartbeat(folder / DRIVER_HEARTBEAT):
                try:
                    _Driver(root, experiment, settings, say).run()
                except UserError as problem:
                    _say_nobody_works(root, experiment, str(problem))
                    raise
    return alone


def _say_nobody_works(root: Path, experiment: str, problem: str) -> None:
    """Let the runs that wait say why they do."""
    for run in list_runs(root, experiment):
        said = read_state(run)
        if said is not None and said.state == "queued":
            fail(run, problem)


@dataclass
class _Flight:
    """A run that is with the cluster: its tasks, and since when a person wants it to stop."""

    run: Run
    tasks: dict[Any, Shard | None] = field(default_factory=dict)
    ends: list[str] = field(default_factory=list)
    stop_since: float | None = None
    held: ExitStack = field(default_factory=ExitStack)
    mirror: Mirror | None = None
    losses: int = 0


class _Driver:
    """The runs in flight, and the cluster."""

    def __init__(self, root: Path, experiment: str, settings: ClusterSettings, say: Say) -> None:
        self.root, self.experiment, self.settings, self.say = root.resolve(), experiment, settings, say
        self.flights: dict[Run, _Flight] = {}
        self.looked = 0.0
        self.mirrors = Mirrors(self.root, experiment, settings.store, say) if settings.store else None
        spec = read_spec(spec_path(root, experiment))
        tasks = frozen_of(list_runs(root, experiment)[0], spec).load_evaluated(root)
        self.parts = min(settings.shards, len(tasks))

    def run(self) -> None:
        """Work until nothing is left."""
        address = address_of(self.settings)
        if address == LOCAL:
            guard_local_cluster()
        import ray

        connect(address)
        try:
            self.share = share_of(self.settings, ray.nodes())
            self.say(f"{self.experiment} on {address}: each run gets {self.share}.")
            while self._begin() or self.flights or not self._may_leave():
                self._look()
        finally:
            ray.shutdown()

    def _may_leave(self) -> bool:
        """Whether nothing is left, told under the lock that launches hold while they ask for a driver."""
        folder = experiment_folder(self.root, self.experiment)
        with locked(folder / DRIVER_START_LOCK):
            if self._begin():
                return False
            (folder / DRIVER).unlink(missing_ok=True)
            return True

    def _begin(self) -> bool:
        """Hand over the runs that want to go on and are not with the cluster; whether there were any. Asked
        anew every few seconds, as runs may be resumed at any time."""
        if self.flights and time.monotonic() - self.looked < SECONDS_BETWEEN_ROUNDS:
            return False
        self.looked = time.monotonic()
        fresh = [run for run in list_runs(self.root, self.experiment) if run not in self.flights]
        fresh = [run for run in fresh if wants_work(run)]
        mirrors: dict[Run, Mirror] = {}
        if self.mirrors is not None:
            mirrors = self.mirrors.open(fresh)
            fresh = list(mirrors)
        for run in sorted(fresh, key=lambda run: (run.train_seed, run.variant)):
            self.flights[run] = _Flight(run, mirror=mirrors.get(run))
            self._go_on(self.flights[run])
        return bool(fresh)

    def _go_on(self, flight: _Flight) -> None:
        """Give the cluster what is next of a run, or let go of it."""
        run, spec = flight.run, launched_spec(flight.run)
        left = stages_left(run, spec)
        wanted = wants_work(run) and not flight.ends
        if not left or not wanted:
            self._let_go(flight)
        elif self.parts == 1 or left[0] == "score":
            shutil.rmtree(run.folder / SHARDS, ignore_errors=True)
            self._submit(flight, left, None)
        elif left[0] == "train":
            self._submit(flight, ["train"], None)
        else:
            parts = [part for part in shards(self.parts) if not shard_is_done(run, spec, part)]
            if not parts:  # a driver ended before they were put together
                put_together(run, spec, self.parts)
                self._go_on(flight)
                return
            begin(run, "infer")
            flight.held.enter_context(Heartbeat(run.heartbeat))
            for part in parts:
                self._submit(flight, ["infer"], part)

    def _submit(self, flight: _Flight, stages: Sequence[Stage], shard: Shard | None) -> None:
        import ray

        options: dict[str, Any] = {"num_cpus": self.share.cpus, "num_gpus": self.share.gpus}
        if self.share.memory is not None:
            options["memory"] = self.share.memory
        options["name"] = f"{self.experiment} {flight.run.name}" + (f" shard {shard}" if shard else "")
        if self.mirrors is not None and flight.mirror is not None:
            alone = ray.remote(work_apart).options(max_retries=0, **options)  # each try has its own number
            try:
                reference = alone.remote(self.mirrors.errand(flight.mirror), list(stages))
            except UserError as problem:  # the store does not answer
                flight.ends.append(str(problem))
                self._let_go(flight)
                return
        else:
            task = ray.remote(work_on).options(max_retries=self.settings.retries, **options)
            part = None if shard is None else str(shard)
            reference = task.remote(str(self.root), self.experiment, flight.run.name, list(stages), part)
        flight.tasks[reference] = shard

    def _look(self) -> None:
        """Wait a second for tasks to end; go on with their runs, and see to those that are to stop."""
        import ray

        references = {one: flight for flight in self.flights.values() for one in flight.tasks}
        if not references:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            return
        ended, _ = ray.wait(list(references), num_returns=len(references), timeout=SECONDS_BETWEEN_LOOKS)
        if self.mirrors is not None:
            just = [mirror for one in ended if (mirror := references[one].mirror) is not None]
            every = [mirror for flight in self.flights.values() if (mirror := flight.mirror) is not None]
            self.mirrors.pull(just, every)
        for reference in ended:
            flight = references[reference]
            end = how_it_ended(reference)
            del flight.tasks[reference]
            if end.words is None or flight.stop_since is not None:  # it was ended because a person asked
                continue
            if end.lost and flight.mirror is not None and flight.losses < self.settings.retries:
                flight.losses += 1  # and goes on elsewhere, as Ray sees to where a folder is shared
                mark_next(flight.run, launched_spec(flight.run))
            else:
                flight.ends.append(end.words)
        for flight in {flight.run: flight for flight in references.values()}.values():
            if not flight.tasks:
                flight.held.close()
                flight.held = ExitStack()
                flight.stop_since = None
                self._go_on(flight)
            else:
                self._see_to(flight)

    def _see_to(self, flight: _Flight) -> None:
        """Speak for a run that is answered in parts; end the tasks of one that does not stop by itself."""
        import ray

        if any(flight.tasks.values()):
            self._report(flight.run)
        deleted = not flight.run.record_file.exists()
        if flight.run.stop_file.exists() or flight.ends or deleted:
            patience = SECONDS_TO_STOP
            if flight.mirror is not None:
                flight.mirror.ask_to_stop()
                patience += SECONDS_TO_PUSH
            flight.stop_since = flight.stop_since or time.monotonic()
            said = read_state(flight.run)
            waits = said is not None and said.state != "running"
            if waits or time.monotonic() - flight.stop_since > patience:
                for reference in flight.tasks:
                    ray.cancel(reference, force=True)

    def _report(self, run: Run) -> None:
        """The progress of all parts as one record, and as the run's state."""
        record = progress_of_shards(run, self.parts)
        said = read_state(run)
        if record["step"] is None or (said is not None and said.step == record["step"]):
            return
        values = {name: record[name] for name in ("step", "total")}
        line = {"time": round(time.time(), 3), "stage": "infer", **values}
        line["tokens_per_second"] = record["tokens_per_second"]
        append_record(run.progress_file, line)
        advance(run, "infer", record["step"], record["total"])

    def _let_go(self, flight: _Flight) -> None:
        """Say of a run what it can't say itself, and forget it."""
        run, spec = flight.run, launched_spec(flight.run)
        said = read_state(run) or RunState("running")
        if not stages_left(run, spec):
            if said.state != "done":
                mark_next(run, spec)
        elif run.stop_file.exists():
            stop(run)
        elif flight.ends and said.state in ("running", "queued"):
            problem = progress_of_shards(run, self.parts)["error"]
            error = problem or (
                f"The {said.stage or 'train'} process ended with {flight.ends[0]}; finished stages are kept."
                f" Go on with: python -m core runs retry {self.experiment}"
            )
            fail(run, error)
        del self.flights[run]
        self.say(f"{run.name}: {(read_state(run) or said).state}")
