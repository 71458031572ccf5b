"""The queue of one machine: which run is next, in a small SQLite file inside `runs/`.

The queue is only an order. What a run is and how far it has come stands in its folder, so that a queue that
was deleted or damaged is made anew from the folders, and an entry too many does no harm. Entries are JSON
(huey's own are pickles, which may run code when they are read).
"""

import json
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from huey import SqliteHuey
from huey.registry import Message
from huey.serializer import Serializer

from core.runs.layout import Run, runs_folder

QUEUE = ".queue.db"


class _Json(Serializer):
    """Entries as JSON."""

    def _serialize(self, data: Any) -> bytes:
        return json.dumps(data).encode()

    def _deserialize(self, data: bytes) -> Any:
        return Message(*json.loads(data))


def queue_path(root: Path) -> Path:
    """Where the queue lies."""
    return runs_folder(root) / QUEUE


class Queue:
    """Runs in the order in which they are to go on: those with a higher priority first, then the earlier.

    `work` is what a worker does with a run; whoever only appends needs none.
    """

    def __init__(self, root: Path, work: Callable[[Run], None] | None = None) -> None:
        self.root = root
        self.path = queue_path(root)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # One file without side files, which a person may delete; nothing in it has to survive a crash.
        self.huey = SqliteHuey(
            name="runs",
            filename=str(self.path),
            results=False,
            serializer=_Json(),
            journal_mode="truncate",
            fsync=False,
            cache_mb=1,
            strict_fifo=True,
        )

        def advance(experiment: str, variant: str, train_seed: int) -> None:
            if work is not None:
                work(Run(root, experiment, variant, train_seed))

        self.task = self.huey.task()(advance)
        self.inode = self.path.stat().st_ino

    def put(self, runs: Mapping[Run, int]) -> None:
        """Append runs, with their priorities, that do not wait already."""
        waiting = set(self.waiting())
        for run, priority in runs.items():
            if entry(run) not in waiting:
                self.huey.enqueue(self.task.s(*entry(run), priority=priority))

    def waiting(self) -> list[tuple[str, str, int]]:
        """Experiment, variant and seed of the waiting runs, the next one first."""
        return [(task.args[0], task.args[1], task.args[2]) for task in self.huey.pending()]

    def is_whole(self) -> bool:
        """Whether the file is the one that was opened, and readable."""
        try:
            self.huey.pending_count()
            return self.path.stat().st_ino == self.inode
        except (FileNotFoundError, sqlite3.DatabaseError):
            return False


def entry(run: Run) -> tuple[str, str, int]:
    """What stands in the queue for a run."""
    return run.experiment, run.variant, run.train_seed


def open_queue(root: Path, work: Callable[[Run], None] | None = None) -> Queue:
    """The queue of a project; a damaged one is thrown away and begun anew, and filled again by the worker."""
    try:
        queue = Queue(root, work)
        queue.waiting()
        return queue
    except (sqlite3.DatabaseError, ValueError, TypeError) as problem:
        if isinstance(problem, sqlite3.OperationalError):  # locked, or no room: the file itself is well
            raise
        queue_path(root).unlink(missing_ok=True)
        return Queue(root, work)
