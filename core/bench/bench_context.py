"""What a benchmark works with: a folder, clocks that repeat, and somebody to tell how far it is."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Workshop:
    """`folder` holds projects with made-up experiments, which stay between benchmarks of one call.

    `repeats` is how often short things are timed; `say` takes what is done now, in words.
    """

    folder: Path
    repeats: int = 5
    notify: Callable[[str], None] = lambda _: None

    def seconds(self, work: Callable[[], Any]) -> float:
        """Median of the seconds that `work` takes, after one round that is not counted."""
        work()
        return median(seconds_of(work) for _ in range(self.repeats))

    def seconds_of_both(self, work: Callable[[], Any], peer: Callable[[], Any]) -> tuple[float, float, float]:
        """Median seconds of two ways in turns, and the median of the ratios peer / work of each turn.

        Taking turns lets a machine that is busy for a while slow both down alike.
        """
        work()
        turns = [(seconds_of(work), seconds_of(peer)) for _ in range(self.repeats)]
        ratios = [slow / fast for fast, slow in turns]
        return median(fast for fast, _ in turns), median(slow for _, slow in turns), median(ratios)


def seconds_of(work: Callable[[], Any]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def peak_megabytes(process: int | str) -> float:
    """The most memory so far of a process, by its number or "self". The peak that `getrusage` tells would
    begin with that of the process which started it."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))
