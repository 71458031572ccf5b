"""Jobs as tasks of a Ray cluster.

One task per run: it works through the run's stages, each a process of its own on the task's node, with what
the task was given of GPUs, cores and memory. A stage in parts is a task per part. A task that lost its
node begins anew on another one, where the run goes on from its checkpoint.
"""

import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from core.cluster.mirror import Mirror, Mirrors
from core.cluster.ray_session import how_it_ended
from core.cluster.remote_node import work_apart
from core.cluster.settings import ClusterSettings, Share
from core.cluster.shared_node import work_on
from core.errors import UserError
from core.experiments.launched_experiment import LaunchedExperiment
from core.machine.heartbeat import Heartbeat
from core.pipeline.executor import Job
from core.pipeline.shards import Shard, progress_of_shards, put_together, shard_is_done, shards
from core.pipeline.stages import mark_next
from core.runs.layout import SHARDS, Run
from core.runs.progress import append_progress
from core.runs.state import advance, begin, fail, read_state

SECONDS_TO_STOP, SECONDS_TO_PUSH = 10.0, 8.0
NO_LIMIT = 10**6


@dataclass
class _Tasks:
    """The tasks of a job, how those ended that ended badly, and what is held meanwhile."""

    waiting: set[Any] = field(default_factory=set)
    ends: list[str] = field(default_factory=list)
    lost: bool = False
    stopped: bool = False
    mirror: Mirror | None = None
    held: ExitStack = field(default_factory=ExitStack)


class RayExecutor:
    """The cluster that this process has joined."""

    def __init__(self, settings: ClusterSettings, share: Share, mirrors: Mirrors | None) -> None:
        self.seconds_to_stop: float | None = SECONDS_TO_STOP + (SECONDS_TO_PUSH if mirrors else 0.0)
        self._settings, self._share, self._mirrors = settings, share, mirrors
        self._jobs: dict[Job, _Tasks] = {}
        self._losses: dict[Run, int] = {}

    def room(self) -> int:
        """The cluster keeps what waits for a node by itself."""
        return NO_LIMIT

    def takes(self, job: Job) -> int:
        """A place for each part."""
        return job.parts

    def start(self, jobs: Sequence[Job]) -> None:
        """Hand jobs over to the cluster. A run that can't get a place in the store is marked as failed."""
        mirrors: dict[Run, Mirror] = {}
        if self._mirrors is not None:
            mirrors = self._mirrors.open([job.runs[0] for job in jobs])
        for job in jobs:
            tasks = self._jobs[job] = _Tasks(mirror=mirrors.get(job.runs[0]))
            if self._mirrors is not None and tasks.mirror is None:
                continue
            try:
                self._submit(job, tasks)
            except UserError as problem:  # the store does not answer, or the parts' tasks have changed
                fail(job.runs[0], str(problem))

    def _submit(self, job: Job, tasks: _Tasks) -> None:
        import ray

        (run,) = job.runs
        if self._mirrors is not None and tasks.mirror is not None:
            alone = ray.remote(work_apart).options(max_retries=0, **self._options(job))  # a try is an attempt
            tasks.waiting = {alone.remote(self._mirrors.errand(tasks.mirror), list(job.stages))}
            return
        parts: list[Shard | None] = [None]
        if job.parts > 1:
            experiment, stage = LaunchedExperiment.of(run), job.stages[0]
            parts = [one for one in shards(job.parts) if not shard_is_done(experiment, run, stage, one)]
            begin(run, job.stages[0])
            tasks.held.enter_context(Heartbeat(run.heartbeat))
        else:
            shutil.rmtree(run.folder / SHARDS, ignore_errors=True)
        retries = self._settings.retries
        for part in parts:
            task = ray.remote(work_on).options(max_retries=retries, **self._options(job, part))
            place = (str(job.root), job.experiment, run.name, list(job.stages))
            tasks.waiting.add(task.remote(*place, None if part is None else str(part)))

    def _options(self, job: Job, part: Shard | None = None) -> dict[str, Any]:
        """What a task gets of its node, and its name on Ray's pages."""
        memory = {} if self._share.memory is None else {"memory": self._share.memory}
        name = f"{job.experiment} {job.runs[0].name}" + (f" shard {part}" if part else "")
        return {"num_cpus": self._share.cpus, "num_gpus": self._share.gpus, "name": name, **memory}

    def wait(self, seconds: float) -> None:
        """Wait until a task ends, at most so long; then fetch what the nodes have put into the store."""
        import ray

        owners = {one: tasks for tasks in self._jobs.values() for one in tasks.waiting}
        if not owners:
            time.sleep(seconds)
            return
        ended, _ = ray.wait(list(owners), num_returns=len(owners), timeout=seconds)
        if self._mirrors is not None:
            just = [mirror for one in ended if (mirror := owners[one].mirror) is not None]
            every = [mirror for tasks in self._jobs.values() if (mirror := tasks.mirror) is not None]
            self._mirrors.pull(just, every)
        for one in ended:
            end, tasks = how_it_ended(one), owners[one]
            tasks.waiting.remove(one)
            if end.words is not None and not tasks.stopped:
                tasks.ends.append(end.words)
                tasks.lost = tasks.lost or end.lost

        for job, tasks in self._jobs.items():
            if job.parts > 1 and tasks.waiting:
                _report_parts(job)
                if tasks.ends:  # the other parts need not go on
                    self.stop(job)

    def is_alive(self, job: Job) -> bool:
        """Whether a task of the job has not ended."""
        return bool(self._jobs[job].waiting)

    def ask_to_stop(self, job: Job) -> None:
        """Tell the node of a run that shares no folder with us; others see it for themselves."""
        tasks = self._jobs[job]
        tasks.stopped = True
        if tasks.mirror is not None:
            tasks.mirror.ask_to_stop()

    def stop(self, job: Job) -> None:
        """Cancel the job's tasks, and their processes with them."""
        import ray

        for one in self._jobs[job].waiting:
            ray.cancel(one, force=True)

    def how_it_ended(self, job: Job) -> str | None:
        """How the first task ended that did not end well. A run that lost its node without sharing our folder
        waits for another one, some times; a run whose parts are all there waits for its next stage."""
        tasks = self._jobs.pop(job)
        tasks.held.close()
        (run,) = job.runs
        if not run.record_file.exists():
            return None
        experiment = LaunchedExperiment.of(run)
        if tasks.lost and tasks.mirror is not None and self._losses.get(run, 0) < self._settings.retries:
            self._losses[run] = self._losses.get(run, 0) + 1
            mark_next(experiment, run)
            return None
        if job.parts > 1 and not tasks.ends and not tasks.stopped:
            put_together(experiment, run, job.stages[0], job.parts)
            mark_next(experiment, run)
        problem = None
        if job.parts > 1 and tasks.ends:
            problem = progress_of_shards(run, job.stages[0], job.parts)["error"]
        if problem is not None:
            fail(run, problem)
            return None
        return tasks.ends[0] if tasks.ends else None


def _report_parts(job: Job) -> None:
    """The progress of all parts as one record, and as the run's state."""
    (run,) = job.runs
    record, state = progress_of_shards(run, job.stages[0], job.parts), read_state(run)
    if record["step"] is None or (state is not None and state.step == record["step"]):
        return
    values = {name: record[name] for name in ("step", "total", "tokens_per_second")}
    append_progress(run, job.stages[0], values)
    advance(run, job.stages[0], record["step"], record["total"])
