"""Inference: tokens per second against the bare library and against transformers, and engines shared by runs.

All sides answer about the same tasks of ARC-1's evaluation set with the base model that ships, each in a
process of its own (`core.bench.inference_process`), in turns. "Ours" is everything from tasks to files:
views, prompts, answers, reading them, parquet, progress; the peers get prompts that are made already. Tokens
are those of prompts and answers, padding not counted; all answers are greedy.
"""

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Self

from core.bench.bench_context import Workshop, seconds_of
from core.bench.inference_process import MODEL, Answer
from core.bench.registry import Benchmark, Measured, Row
from core.errors import UserError

CODE = Path(__file__).parents[2]
ATTEMPTS = 8
TASKS = 20
SIZES = (8, 32, 64)
"""Batch sizes that the peer is tried with; it goes on with its fastest."""
ADAPTERS = 10
ADAPTED_TASKS = 40
ADAPTED_ATTEMPTS = 2
RANK = 16

BARE = Row(
    "inference, end to end",
    "tokens/s",
    "Prompts, views, answers of vLLM, parsing, parquet and progress, with the shipped base model.",
    peer="LLM.generate, prompts made before",
    wanted_ratio="≥ 0.95",
    more_is_better=True,
)
GENERATE = Row(
    "inference on 2 cores, against transformers",
    "tokens/s",
    "The same on ragged prompts; the peer's are sorted by length, in batches of its best size.",
    peer="generate, sorted, best batch",
    wanted_ratio="≥ 2.5",
    more_is_better=True,
)
SHARED = Row(
    "ten adapters × 40 tasks",
    "s",
    "Ten adapters of rank 16 on all layers, two attempts at each test, from the start of the process on.",
    peer="one engine start per adapter",
    wanted_ratio="≥ 3",
)


class Side:
    """A process that answers when it is asked; it waits meanwhile, without using a processor."""

    def __init__(
        self, workshop: Workshop, name: str, side: str, tasks: int, attempts: int, *more: str
    ) -> None:
        self._place = workshop.folder / "answering" / name
        shutil.rmtree(self._place, ignore_errors=True)  # answers of an earlier call would not be given anew
        self._place.mkdir(parents=True)
        words = [side, self._place, workshop.folder / "answering", tasks, attempts, *more]
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        with (self._place / "log.txt").open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "core.bench.inference_process", *map(str, words)],
                cwd=CODE,
                # The rows are about processors, so they hold on machines with a GPU, too.
                env={"OMP_NUM_THREADS": str(cores), **os.environ, "CUDA_VISIBLE_DEVICES": ""},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        if kind is not None:
            self._process.kill()
        self._process.communicate()

    def next_answer(self) -> Answer:
        """What it says next. Raises `UserError` with the end of its log where it ended instead."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            found: Answer = json.loads(line)
            return found
        lines = (self._place / "log.txt").read_text().strip().splitlines()
        raise UserError(
            f"A side of the benchmark ended ({lines[-1] if lines else 'without a word'})."
            f" Read {self._place / 'log.txt'}."
        )

    def speed(self, what: str, turn: int) -> float:
        """Tokens per second of one turn."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what} {turn}\n")
        self._process.stdin.flush()
        answer = self.next_answer()
        return answer["tokens"] / answer["seconds"]


def measure(workshop: Workshop) -> Iterator[Measured]:
    """The two rows about one engine: first against the bare library, then against transformers."""
    with Side(workshop, "ours", "engine", TASKS, ATTEMPTS) as ours:
        workshop.notify("the engine starts")
        ours.next_answer()
        number = itertools.count()
        ours.speed("ours", next(number))
        pairs = []
        turns = 2 * workshop.repeats  # the two differ by a few percent, and two turns by ten
        for turn in range(turns):
            workshop.notify(f"ours and the bare library, turn {turn + 1} of {turns}")
            at = next(number)
            # Who is first changes from turn to turn, as the second finds warmer caches of the processor.
            order = ("ours", "bare") if turn % 2 else ("bare", "ours")
            found = {what: ours.speed(what, at) for what in order}
            pairs.append((found["ours"], found["bare"]))
        yield _measured(BARE, pairs)
        with Side(workshop, "theirs", "generate", TASKS, ATTEMPTS) as theirs:
            theirs.next_answer()
            workshop.notify("the best batch size of transformers")
            tried = {size: theirs.speed(str(size), 0) for size in SIZES}
            best = max(SIZES, key=lambda size: tried[size])
            pairs, turns = [], min(3, workshop.repeats)
            for turn in range(turns):
                workshop.notify(f"ours and transformers, turn {turn + 1} of {turns}")
                at = next(number)
                pairs.append((ours.speed("ours", at), theirs.speed(str(best), at)))
            yield _measured(GENERATE, pairs)


def _measured(row: Row, pairs: list[tuple[float, float]]) -> Measured:
    ratio = median(mine / its for mine, its in pairs)
    return Measured(row.name, median(mine for mine, _ in pairs), median(its for _, its in pairs), ratio)


def measure_shared(workshop: Workshop) -> Iterator[Measured]:
    """Ten adapters by one process, before and after ten processes with one adapter each."""
    from core.bench.inference_process import prepared

    workshop.notify("ten adapters are made")
    prepared(workshop.folder / "answering")
    adapters = [made_adapter(workshop.folder / "adapters" / str(n), n) for n in range(ADAPTERS)]

    def seconds(name: str, chosen: list[Path]) -> float:
        workshop.notify(f"{len(chosen)} adapters by one engine: {name}")
        more = [str(one) for one in chosen]

        def whole() -> None:
            with Side(workshop, name, "adapters", ADAPTED_TASKS, ADAPTED_ATTEMPTS, *more) as side:
                side.next_answer()

        return seconds_of(whole)

    before = seconds("together-0", adapters)
    alone = sum(seconds(f"alone-{number}", [adapter]) for number, adapter in enumerate(adapters))
    after = seconds("together-1", adapters)
    yield Measured(SHARED.name, median([before, after]), alone)


def made_adapter(folder: Path, seed: int) -> Path:
    """An adapter of the shipped model that changes its answers, in a folder."""
    import torch

    from core.settings import validated
    from core.training.models import load_for_training, with_adapter
    from core.training.settings import TrainingSettings

    if folder.exists():
        return folder
    settings = validated(TrainingSettings, {"lora": {"rank": RANK}}, "bench")
    model = with_adapter(load_for_training(MODEL, settings, "cpu"), settings, seed)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "lora_B" in name:
                weights.copy_(torch.randn(weights.shape, generator=draw) * 0.01)
    model.save_pretrained(folder)
    return folder


BENCHMARKS = (
    Benchmark("inference", (BARE, GENERATE), measure),
    Benchmark("adapters", (SHARED,), measure_shared),
)
