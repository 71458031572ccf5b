"""Scoring: 2.7 million predictions (100 evaluations × 420 outputs × 64 attempts), against plain Python.

Both read the columns they need from the file of predictions and write the same file of scores. Plain Python
is timed on one evaluation, in turns with the project's scoring of all. Both figures are of processes that do
nothing else.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from core.arc.tasks import Task
from core.bench.bench_context import Workshop, peak_megabytes, seconds_of
from core.bench.registry import Benchmark, Measured, Row
from core.storage.evaluation_files import PREDICTIONS_FILE

SECONDS = Row(
    "scoring of 2.7 million predictions", "s", "100 evaluations, one after the other.", wanted="< 15"
)
RATIO = Row(
    "scoring of one evaluation",
    "s",
    "26,880 predictions of 420 outputs; of a hundred in a row, against one in plain Python.",
    peer="plain Python",
    wanted_ratio="≥ 30",
)
MEMORY = Row(
    "memory of scoring", "MB", "Peak of the process that scores all 100 evaluations.", wanted="< 2,000"
)
SCORED = "scored.parquet"
KEY: dict[str, Any] = {"experiment": "scored-again", "variant": "again", "train_seed": 0, "eval_seed": 0}


def all_scored(folder: Path) -> tuple[float, float]:
    """Seconds and peak megabytes for scoring every evaluation of the large experiment once more."""
    tasks, paths = _large(folder)
    _score(folder, tasks, paths[:1])
    return seconds_of(lambda: _score(folder, tasks, paths)), peak_megabytes("self")


def against_plain_python(folder: Path, repeats: int) -> tuple[float, float, float]:
    """Seconds of one evaluation, ours and counted by hand, and the ratio, in turns."""
    from core.bench.plain_metrics import write_counted

    tasks, paths = _large(folder)
    fast, slow, ratio = Workshop(folder, repeats).seconds_of_both(
        lambda: _score(folder, tasks, paths),
        lambda: write_counted(tasks, paths[0], folder / SCORED, KEY),
    )
    return fast / len(paths), slow, ratio * len(paths)


def _large(folder: Path) -> tuple[list[Task], list[Path]]:
    """The tasks of the large experiment, and its predictions."""
    from core.synthetic.large_projects import HUNDRED, hundred_runs, large_tasks

    runs = hundred_runs(folder, print) / "runs" / HUNDRED
    return large_tasks(), sorted(runs.rglob(PREDICTIONS_FILE))


def _score(folder: Path, tasks: list[Task], paths: Sequence[Path]) -> None:
    """Score evaluations one after the other."""
    from core.scoring.scores import Scoring, score_each, truths_of

    evaluations = (Scoring(path.parent, **KEY, target=folder / SCORED) for path in paths)
    for _ in score_each(evaluations, truths_of(tasks)):
        pass


def measure(workshop: Workshop) -> Iterator[Measured]:
    """Each in a process of its own, whatever this one has loaded before."""
    from core.synthetic.large_projects import hundred_runs

    hundred_runs(workshop.folder, workshop.notify)
    workshop.notify("scoring 2.7 million predictions")
    seconds, memory = _alone("all_scored", workshop.folder)
    yield Measured(SECONDS.name, seconds)
    yield Measured(MEMORY.name, memory)
    workshop.notify("scoring by plain Python")
    yield Measured(RATIO.name, *_alone("against_plain_python", workshop.folder, workshop.repeats))
    (workshop.folder / SCORED).unlink()


def _alone(function: str, folder: Path, *more: int) -> list[float]:
    """What a function of this module returns in another process."""
    code = f"import json, sys, pathlib; from {__name__} import {function} as work;"
    code += "print(json.dumps(work(pathlib.Path(sys.argv[1]), *map(int, sys.argv[2:]))))"
    command = [sys.executable, "-c", code, str(folder), *map(str, more)]
    found: list[float] = json.loads(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
    )
    return found


BENCHMARKS = (Benchmark("scoring", (SECONDS, MEMORY, RATIO), measure),)
