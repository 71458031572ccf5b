"""A sign of life in a file: who works writes it every two seconds, and who looks reads how old it is."""

import os
import threading
import time
from pathlib import Path
from typing import Self

SECONDS_BETWEEN_BEATS = 2.0


class Heartbeat:
    """A thread that says every two seconds that this process lives.

    It writes over the same few bytes again and again, which a full disk does not forbid. Two clocks
    stand there: one that nobody can set, for readers on this machine, and the time of day for others.
    """

    def __init__(self, *paths: Path) -> None:
        self._paths = paths
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._write()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._ended.wait(SECONDS_BETWEEN_BEATS):
            self._write()

    def _write(self) -> None:
        for path in self._paths:
            beat(path)


def beat(path: Path) -> None:
    """Say that whoever works where this heartbeat lies lives now."""
    if not path.parent.is_dir():  # deleted by hand; whoever works there finds out by itself
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.pwrite(descriptor, f"{time.monotonic():20.3f} {time.time():20.3f}\n".encode(), 0)
    finally:
        os.close(descriptor)


def seconds_since_beat(path: Path, *, here: bool) -> float | None:
    """How long ago the last beat was, by the clock that cannot be set where it was given `here`."""
    try:
        monotonic, wall = path.read_text().split()
        return time.monotonic() - float(monotonic) if here else time.time() - float(wall)
    except (FileNotFoundError, ValueError):
        return None
