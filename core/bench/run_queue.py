"""The queue of one machine with 50 runs of a trainer that does nothing: what it costs beside the runs.

Measured is the worker, which is all that the queue adds to the processes of the runs: its largest memory, and
its processor time as a share of the time from the launch to the end of the last run.
"""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from core.bench.bench_context import Workshop
from core.bench.registry import Benchmark, Measured, Row
from core.curation.stored import SourceInfo, store_source
from core.errors import UserError
from core.launching.launch import launch
from core.machine.processes import end_group
from core.pipeline.pretended_work import PRETENDED_WORK
from core.runs.state import state_of
from core.runs.supervisors import worker_of
from core.settings import validated
from core.specs.spec import ExperimentSpec
from core.synthetic.experiments import SOURCE, make_tasks

RUNS = 50
SECONDS_BETWEEN_LOOKS = 1.0
ENDS = ("done", "failed", "cancelled")

MEMORY = Row(
    "memory of a queue of 50 runs",
    "MB",
    "The largest resident memory of the worker while 50 runs of a trivial trainer go through the queue.",
    wanted="< 150",
)
PROCESSOR = Row(
    "processor time of a queue of 50 runs",
    "% of a core",
    "Processor time of the worker in percent of the time that the 50 runs take.",
    wanted="< 5",
)
SECONDS = Row(
    "50 runs of a trivial trainer",
    "s",
    "From the launch to the end of the last run: 50 trainings and one inference for all, a process each.",
)


@dataclass(frozen=True)
class Cost:
    """What a worker took: bytes at most, processor seconds, and the seconds until all runs had ended."""

    memory: int
    processor: float
    seconds: float


def spec_of(runs: int) -> ExperimentSpec:
    """One variant with so many seeds, on the base model that ships with the project, which nobody loads."""
    training = {"steps": 5, "samples_per_step": 1, "max_seq_len": 2048}
    recipe = {"base_model": "arc-tiny", "mixture": {"sources": [{"source": SOURCE}]}, "training": training}
    data = {
        "name": "queued",
        "baseline": "trivial",
        "variants": {"trivial": None},
        "train_seeds": list(range(runs)),
        "eval_seeds": [0],
        "evaluation": {"sources": [{"source": SOURCE}]},
        "recipe": recipe,
        "allow_leaks": True,
    }
    return validated(ExperimentSpec, data, "bench")


def cost_of(root: Path, runs: int) -> Cost:
    """Launch so many runs in a new project and see them through. Raises `UserError` where one fails."""
    shutil.rmtree(root, ignore_errors=True)
    store_source(root, SourceInfo(SOURCE, "made up", "1", "none", "0"), make_tasks(4))
    began = time.monotonic()
    launched = waiting = launch(root, spec_of(runs), ["bench"], work=PRETENDED_WORK.name)
    memory, processor, worker = 0, 0.0, None
    while waiting:
        worker = worker_of(root)
        if worker is not None:
            seen = psutil.Process(worker.pid)
            memory = max(memory, seen.memory_info().rss)
            processor = sum(seen.cpu_times()[:2])
        waiting = [run for run in waiting if state_of(run).state not in ENDS]
        time.sleep(SECONDS_BETWEEN_LOOKS if waiting else 0)
    cost = Cost(memory, processor, time.monotonic() - began)
    if worker is not None:
        end_group(worker)
    failed = [run for run in launched if state_of(run).state != "done"]
    if failed:
        raise UserError(f"{len(failed)} of {runs} runs failed: {state_of(failed[0]).error} See {root}/runs.")
    return cost


def measure(workshop: Workshop) -> Iterator[Measured]:
    """Once, as it takes a minute and more."""
    workshop.notify(f"{RUNS} queued runs")
    cost = cost_of(workshop.folder / "queued", RUNS)
    yield Measured(MEMORY.name, cost.memory / 1e6)
    yield Measured(PROCESSOR.name, 100 * cost.processor / cost.seconds)
    yield Measured(SECONDS.name, cost.seconds)


BENCHMARKS = (Benchmark("queue", (MEMORY, PROCESSOR, SECONDS), measure),)
