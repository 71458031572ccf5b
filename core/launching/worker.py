"""The worker of a machine: takes runs from the queue, one for each slot, and sees each job through.

One worker works on a project at a time; a second one leaves at once. It may end at any moment: its jobs
are processes of their own and go on, and the next worker, which the last of them starts where nobody did,
adopts those that live and starts again those that died. When nothing is left it leaves.
"""

import logging
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from types import FrameType

from core.launching.queue import open_queue
from core.machine.processes import Heartbeat, Identity, start_detached
from core.machine.slots import Slot, find_slots
from core.pipeline.executor import Job, LocalExecutor
from core.pipeline.schedule import conduct, next_job, priority_of, ready_runs, runs_to_go_on
from core.runs.layout import (
    WORKER,
    WORKER_HEARTBEAT,
    WORKER_LOCK,
    WORKER_LOG,
    WORKER_START_LOCK,
    Run,
    runs_folder,
)
from core.runs.state import read_state
from core.runs.workers import worker_of
from core.storage.files import locked, write_json

log = logging.getLogger(__name__)

SECONDS_BETWEEN_ROUNDS = 3.0
SHARE_FOR_ROUNDS = 0.02
SECONDS_IDLE = 10.0
SECONDS_TO_LEAVE = 3.0
LEAST_FREE_BYTES = 64 * 2**20

Say = Callable[[str], None]


def ensure_worker(root: Path) -> None:
    """Start a worker in the background, unless one lives or nothing waits."""
    with locked(runs_folder(root) / WORKER_START_LOCK):
        if worker_of(root) is None and runs_to_go_on(root):
            start_detached(["worker"], root, runs_folder(root) / WORKER_LOG)


def work(root: Path, say: Say, *, gpus: str | None = None, stay: bool = False) -> bool:
    """Work through the queue until nothing is left; False where another worker does already.

    With `stay` it waits for more. Ctrl-C, SIGTERM and the end of the terminal end the worker only.
    """
    with _alone(root) as alone:
        if not alone:
            return False
        write_json(runs_folder(root) / WORKER, asdict(Identity.own()))
        with Heartbeat(runs_folder(root) / WORKER_HEARTBEAT):
            Worker(root, find_slots(gpus), say).run(stay=stay)
    return True


@contextmanager
def _alone(root: Path) -> Iterator[bool]:
    """Hold the lock that one worker holds; whether it is held. One that is about to leave is waited for."""
    end = time.monotonic() + SECONDS_TO_LEAVE
    while True:
        with locked(runs_folder(root) / WORKER_LOCK, wait=False) as held:
            if held or worker_of(root) is not None or time.monotonic() > end:
                yield held
                return
        time.sleep(0.1)


class Worker:
    """Takes runs from the queue; as many jobs at a time as there are slots."""

    def __init__(self, root: Path, slots: list[Slot], say: Say) -> None:
        self.root = root
        self.slots = slots
        self.say = say
        self._free: SimpleQueue[tuple[Slot, LocalExecutor]] = SimpleQueue()
        for slot in slots:
            self._free.put((slot, LocalExecutor(slot.environment)))
        self._taken: set[Run] = set()
        self._turn = threading.Lock()
        self._end = threading.Event()

    def run(self, *, stay: bool) -> None:
        """Work until a signal comes, or, unless it is to stay, nothing is left."""
        self.say(f"A worker takes runs from the queue: {', '.join(slot.name for slot in self.slots)}.")
        self._consume()
        idle_since = time.monotonic()
        pause = 0.0
        while not self._end.wait(pause):
            begin = time.monotonic()
            if not self._queue.is_whole():
                self.say("The queue's file is gone or damaged; it is made anew from the run folders.")
                self._consumer.stop()
                self._consume()
            if self._fill() or self._taken:
                idle_since = time.monotonic()
            elif not stay and time.monotonic() - idle_since > SECONDS_IDLE and self._may_leave():
                break
            pause = max(SECONDS_BETWEEN_ROUNDS, (time.monotonic() - begin) / SHARE_FOR_ROUNDS)
        self._consumer.stop()

    def _consume(self) -> None:
        """Open the queue, with a thread for each slot that takes what is next. Signals are for the worker,
        not for huey."""
        self._queue = open_queue(self.root, self._advance)
        self._consumer = self._queue.huey.create_consumer(
            workers=len(self.slots), periodic=False, scheduler_interval=60, initial_delay=0.2, max_delay=1.0
        )
        self._consumer.start()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._leave)

    def _leave(self, number: int, _: FrameType | None) -> None:
        self.say(f"The worker leaves ({signal.Signals(number).name}). Runs that have begun go on.")
        self._end.set()

    def _fill(self) -> bool:
        """Put into the queue what the folders say is to go on; whether there is anything."""
        waiting = runs_to_go_on(self.root)
        if has_room(self.root):
            self._put(waiting)
        return bool(waiting)

    def _put(self, runs: list[Run]) -> None:
        self._queue.put({run: priority_of(run) for run in runs if run not in self._taken})

    def _may_leave(self) -> bool:
        """Whether nothing is left, told under the lock that launches hold while they ask for a worker."""
        with locked(runs_folder(self.root) / WORKER_START_LOCK):
            if runs_to_go_on(self.root):
                return False
            (runs_folder(self.root) / WORKER).unlink(missing_ok=True)
            return True

    def _advance(self, run: Run) -> None:
        """What a slot does with the next run of the queue."""
        with self._claimed(run) as job:
            if job is None:
                return
            slot, executor = self._free.get()
            try:
                names = ", ".join(one.name for one in job.runs)
                self.say(f"{job.experiment} {names}: {job.stage} on {slot.name}")
                conduct(job, executor)
                states = {one.name: read_state(one) for one in job.runs}
                ends = ", ".join(f"{name} {said.state}" for name, said in states.items() if said)
                self.say(f"{job.experiment} {job.stage} ended: {ends}")
            finally:
                self._free.put((slot, executor))
        self._put(ready_runs(self.root, job.experiment))

    @contextmanager
    def _claimed(self, run: Run) -> Iterator[Job | None]:
        """The next job of a run, whose runs no other slot sees to meanwhile; None where there is none."""
        with self._turn:
            job = next_job(run, self._taken.__contains__) if has_room(self.root) else None
            claimed = set(job.runs) if job is not None else set()
            self._taken |= claimed
        try:
            yield job
        finally:
            with self._turn:
                self._taken -= claimed


def has_room(root: Path) -> bool:
    """Whether the disk has room for a job to begin; where it has not, runs wait."""
    return shutil.disk_usage(root).free >= LEAST_FREE_BYTES
