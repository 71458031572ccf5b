"""Scoring: 2.7 million predictions (100 evaluations × 420 outputs × 64 attempts), against plain Python.

Both read the columns they need from the file of predictions and write the same file of scores. Plain Python
is timed on one evaluation, in turns with the project's scoring of it. Memory is that of a process of its own
which scores all of them.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from core.bench.registry import Benchmark, Measured, Row
from core.bench.workshop import Workshop, seconds_of

SECONDS = Row(
    "scoring of 2.7 million predictions", "s", "100 evaluations, one after the other.", wanted="< 15"
)
RATIO = Row(
    "scoring of one evaluation",
    "s",
    "26,880 predictions of 420 outputs; of ten in a row, against one in plain Python.",
    peer="plain Python",
    wanted_ratio="≥ 30",
)
MEMORY = Row(
    "memory of scoring", "MB", "Peak of the process that scores all 100 evaluations.", wanted="< 2,000"
)
IN_A_ROW = 10


def score_all(folder: Path) -> tuple[float, float]:
    """Seconds and peak megabytes for scoring every evaluation of the large experiment once more."""
    import resource

    from core.bench.experiments import HUNDRED, hundred_runs, large_tasks
    from core.scoring.scores import score, truths_of

    tasks = large_tasks()
    paths = sorted((hundred_runs(folder, print) / "runs" / HUNDRED).rglob("predictions.parquet"))
    target = folder / "scored.parquet"

    def all_of_them() -> None:
        truths = truths_of(tasks)
        for path in paths:
            score(path, truths, target, experiment=HUNDRED, variant="again", train_seed=0, eval_seed=0)

    seconds = seconds_of(all_of_them)
    target.unlink()
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(workshop: Workshop) -> Iterator[Measured]:
    """All evaluations in a process of their own, then a few against plain Python."""
    from core.bench.by_hand import write_counted
    from core.bench.experiments import HUNDRED, hundred_runs, large_tasks
    from core.scoring.scores import score, truths_of

    root = hundred_runs(workshop.folder, workshop.say)
    workshop.say("scoring 2.7 million predictions")
    code = "import json, sys; from pathlib import Path; from core.bench.scoring import score_all;"
    code += "print(json.dumps(score_all(Path(sys.argv[1]))))"
    said = subprocess.run(
        [sys.executable, "-c", code, str(workshop.folder)], capture_output=True, text=True, check=True
    )
    seconds, memory = json.loads(said.stdout)
    yield Measured(SECONDS.name, seconds)
    yield Measured(MEMORY.name, memory)
    workshop.say("scoring by plain Python")
    paths = sorted((root / "runs" / HUNDRED).rglob("predictions.parquet"))[:IN_A_ROW]
    tasks, target = large_tasks(), workshop.folder / "scored.parquet"
    key = {"experiment": HUNDRED, "variant": "again", "train_seed": 0, "eval_seed": 0}

    def ten() -> None:
        truths = truths_of(tasks)
        for path in paths:
            score(path, truths, target, **key)  # type: ignore[arg-type]

    fast, slow, ratio = workshop.seconds_of_both(ten, lambda: write_counted(tasks, paths[0], target, key))
    target.unlink()
    yield Measured(RATIO.name, fast / IN_A_ROW, slow, ratio * IN_A_ROW)


BENCHMARKS = (Benchmark("scoring", (SECONDS, MEMORY, RATIO), measure),)
