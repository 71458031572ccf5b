"""The worker of a machine: begins runs in their order while slots are free, and sees each job through.

The run folders are the queue: what a run waits for stands in its `state.json`, so there is nothing beside
them to be lost or damaged. One worker works on a project; a second one leaves at once. It may end at
any moment: its jobs are processes of their own and go on, and the next worker, which the last of them starts
where nobody did, adopts those that live and starts again those that died. When nothing is left it leaves.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import FrameType

from core.machine.heartbeat import Heartbeat
from core.machine.processes import Identity, Notify, start_detached
from core.machine.slots import Slot, find_slots
from core.pipeline.conductor import SECONDS_BETWEEN_LOOKS, Conductor
from core.pipeline.executor import LocalExecutor
from core.pipeline.job_order import planned_jobs, runs_to_go_on
from core.reports.finish_notice import tell_of_end
from core.runs.layout import (
    WORKER,
    WORKER_CALL,
    WORKER_HEARTBEAT,
    WORKER_LOCK,
    WORKER_LOG,
    WORKER_START_LOCK,
    runs_folder,
)
from core.runs.supervisors import has_room, worker_of
from core.storage.files import locked, write_json

SECONDS_BETWEEN_ROUNDS = 3.0
SHARE_FOR_ROUNDS = 0.02
SECONDS_IDLE = 10.0
SECONDS_TO_LEAVE = 3.0


def ensure_worker(root: Path) -> None:
    """Start a worker in the background, unless one lives, which is called, or nothing waits."""
    with locked(runs_folder(root) / WORKER_START_LOCK):
        if worker_of(root) is not None:
            with contextlib.suppress(OSError):  # a full disk; it looks by itself in a while
                (runs_folder(root) / WORKER_CALL).touch()
        elif runs_to_go_on(root):
            start_detached(["worker"], root, runs_folder(root) / WORKER_LOG)


def work(root: Path, notify: Notify, *, gpus: str | None = None, stay: bool = False) -> bool:
    """Work through the queue until nothing is left; False where another worker does already.

    With `stay` it waits for more. Ctrl-C, SIGTERM and the end of the terminal end the worker only.
    """
    with _alone(root) as alone:
        if not alone:
            return False
        slots = find_slots(gpus)
        if gpus is not None:  # jobs see these, and so does a worker that the last of them starts
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(
                slot.environment["CUDA_VISIBLE_DEVICES"] for slot in slots
            )
        worker = Worker(root, slots, notify)
        if worker.wait_for_room():
            write_json(runs_folder(root) / WORKER, asdict(Identity.own()))
            with Heartbeat(runs_folder(root) / WORKER_HEARTBEAT):
                worker.run(stay=stay)
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
    """Begins jobs in their order; as many at a time as slots have room for."""

    def __init__(self, root: Path, slots: list[Slot], notify: Notify) -> None:
        self.root, self.slots, self.notify = root, slots, notify
        told = partial(tell_of_end, root, notify=notify)
        self._conductor = Conductor(partial(planned_jobs, root), LocalExecutor(slots), notify, told)
        self._end = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._leave)

    def wait_for_room(self) -> bool:
        """Wait until the disk has room for a worker's files; False where a signal came first."""
        if not has_room(self.root):
            self.notify("The disk is full. Runs wait until there is room.")
        while not has_room(self.root):
            if self._end.wait(SECONDS_BETWEEN_LOOKS):
                return False
        return True

    def run(self, *, stay: bool) -> None:
        """Work until a signal comes, or, unless it is to stay, nothing is left."""
        self.notify(f"A worker begins runs in their order: {', '.join(slot.name for slot in self.slots)}.")
        idle_since, next_round, call = time.monotonic(), 0.0, self._call()
        while not self._end.wait(SECONDS_BETWEEN_LOOKS):
            ended, now = self._conductor.look(), time.monotonic()
            if not ended and now < next_round and call == (call := self._call()):
                continue
            if self._begin() or self._conductor.busy:
                idle_since = now
            elif not stay and now - idle_since > SECONDS_IDLE and self._may_leave():
                break
            now, began = time.monotonic(), now
            next_round = now + max(SECONDS_BETWEEN_ROUNDS, (now - began) / SHARE_FOR_ROUNDS)

    def _call(self) -> float:
        """Changes whenever somebody calls the worker."""
        try:
            return (runs_folder(self.root) / WORKER_CALL).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def _begin(self) -> bool:
        """Begin what can begin; whether there is anything. Where the disk is full, it waits."""
        if not has_room(self.root):
            return bool(runs_to_go_on(self.root))
        return self._conductor.has_room and self._conductor.begin_jobs()

    def _leave(self, number: int, _: FrameType | None) -> None:
        self.notify(f"The worker leaves ({signal.Signals(number).name}). Runs that have begun go on.")
        self._end.set()

    def _may_leave(self) -> bool:
        """Whether nothing is left; launches hold this lock while they see that there is a worker."""
        with locked(runs_folder(self.root) / WORKER_START_LOCK):
            if runs_to_go_on(self.root):
                return False
            (runs_folder(self.root) / WORKER).unlink(missing_ok=True)
            return True
