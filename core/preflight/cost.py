"""What an experiment will cost, before it is launched: minutes and disk.

Minutes are what a stage takes to start plus its work by its rate, both as finished runs of this machine
reported them: of the same base model, method and engine, and as near in size as there are. Where there are
none, minutes and bytes are unknown. So are the minutes of a depth-first search, which asks as often as a
model's answers branch.
"""

import contextlib
import functools
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.experiments.experiment import list_experiments
from core.experiments.listing import list_open_runs
from core.machine.hardware import hardware
from core.preflight.size import Size
from core.runs.adapted import adapted_groups
from core.runs.done import EVERY_STAGE
from core.runs.layout import Run
from core.runs.progress import progress_of
from core.runs.run_record import read_record
from core.runs.state import state_of
from core.specs.spec import ExperimentSpec
from core.storage.files import bytes_of

RUNS_LOOKED_AT, RUNS_KNOWN = 12, 60
LARGEST_FACTOR = 4.0
"""So many times as large or as small may a run be, for its speed to tell that of another."""


@dataclass(frozen=True)
class Measured:
    """What earlier runs of this machine reported: medians over runs, None where nothing is known.

    Speeds are tokens per second, that of test-time training with the loading of the model for each group;
    `starts` holds, for each stage, the seconds until it works, while a process starts and loads the model;
    `bytes_per_run` is the size of a finished run's folder. `alike` tells whether these runs were of about the
    same size, in tokens of a training step and of a task's attempts.
    """

    runs: int = 0
    training_speed: float | None = None
    adaptation_speed: float | None = None
    inference_speed: float | None = None
    starts: Mapping[str, float] = field(default_factory=dict)
    bytes_per_run: float | None = None
    alike: bool = True


def measured(root: Path, spec: ExperimentSpec) -> Measured:
    """What the finished runs that are most like these reported: with the same base model, method and engine,
    on this machine, the nearest in size and then the latest."""
    inference = spec.evaluation.inference
    recipes = [spec.recipe_of(variant) for variant in spec.variants]
    kinds: dict[Kind, Load] = {
        (recipe.base_model, recipe.training.method, inference.engine, inference.search is not None): _load(
            recipe.training.model_dump(), inference.model_dump()
        )
        for recipe in recipes
    }
    found = _finished_runs(root, kinds)
    alike = [run for run, apart in found if apart <= LARGEST_FACTOR]
    runs = alike or [run for run, _ in sorted(found, key=lambda one: one[1])]
    runs = runs[:RUNS_LOOKED_AT]
    records = [progress_of(run) for run in runs]
    return Measured(
        runs=len(runs),
        training_speed=_median(_speeds(records, "train")),
        adaptation_speed=_median(_adaptation_speeds(runs)),
        inference_speed=_median(_answering_speeds(records)),
        starts=_starts(runs, records),
        bytes_per_run=_median([float(bytes_of(run.folder)) for run in runs]),
        alike=bool(alike) or not runs,
    )


Kind = tuple[str, str, str, bool]
"""Base model, method, engine, and whether it searches."""
Load = tuple[float, float]
"""Tokens of a training step and of a task's attempts, at most."""


def _load(training: Mapping[str, Any], inference: Mapping[str, Any]) -> Load:
    step = training["samples_per_step"] * training["max_seq_len"]
    return float(step), float(inference["attempts"] * inference["max_model_len"])


def _apart(a: Load, b: Load) -> float:
    """The larger of the two factors between two loads."""
    return max(max(x, y) / max(1.0, min(x, y)) for x, y in zip(a, b, strict=True))


def _finished_runs(root: Path, wanted: Mapping[Kind, Load]) -> list[tuple[Run, float]]:
    """The latest finished runs of these kinds on this machine, each with how far it is in size."""
    found: list[tuple[Run, float]] = []
    for experiment in list_experiments(root):
        for run in list_open_runs(root, experiment):
            if len(found) >= RUNS_KNOWN or state_of(run).state != "done":
                continue
            known = _kind_of(run)
            if known is not None and known[0] in wanted:
                found.append((run, _apart(known[1], wanted[known[0]])))
    return found


def _kind_of(run: Run) -> tuple[Kind, Load] | None:
    """Kind and load of a run by its record; None where that is broken, of another make or another machine."""
    try:
        record = read_record(run)
        recipe, inference = record["recipe"], record["evaluation"]["inference"]
        made_by = record.get("hardware") or _here()
        if any(made_by.get(part) != value for part, value in _here().items()):
            return None
        searches = inference.get("search") is not None
        kind = recipe["base_model"], recipe["training"]["method"], inference["engine"], searches
        return kind, _load(recipe["training"], inference)
    except (UserError, KeyError, TypeError):
        return None


@functools.cache
def _here() -> dict[str, Any]:
    """What makes runs of this machine as fast as each other."""
    return {part: value for part, value in hardware().items() if part in ("processor", "cores", "gpus")}


def _speeds(runs: Iterable[list[dict[str, Any]]], stage: str) -> list[float]:
    """The median speed of each run in one stage, in tokens per second."""
    medians = [
        _median([speed for one in progress if one.get("stage") == stage
                 and (speed := one.get("tokens_per_second")) is not None])
        for progress in runs
    ]  # fmt: skip
    return [speed for speed in medians if speed]


def _answering_speeds(runs: Sequence[list[dict[str, Any]]]) -> list[float]:
    """The speed of each run's answers, all its evaluations together, from the first report of them on: what
    comes before it is the start. Of runs that told no tokens the median of what they reported."""
    speeds = []
    for progress in runs:
        told = [
            one
            for one in progress
            if one.get("stage") == "infer" and None not in (one.get("time"), one.get("tokens"))
        ]
        seconds = told[-1]["time"] - told[0]["time"] if told else 0.0
        last = {one.get("eval_seed"): one["tokens"] for one in told}
        if seconds > 0:
            speeds.append((sum(last.values()) - told[0]["tokens"]) / seconds)
        else:
            speeds += _speeds([progress], "infer")
    return [speed for speed in speeds if speed > 0]


def _adaptation_speeds(runs: Iterable[Run]) -> list[float]:
    """The median speed over the groups of each run, in tokens per second."""
    medians = []
    for run in runs:
        with contextlib.suppress(UserError):  # damaged, as the page of its experiment says
            groups = adapted_groups(run.folder)
            medians.append(_median([one.tokens_per_second for one in groups if one.tokens_per_second]))
    return [speed for speed in medians if speed]


def _starts(runs: Sequence[Run], records: Sequence[list[dict[str, Any]]]) -> dict[str, float]:
    """Seconds from the launch, or the end of the stage before, to where a stage works.

    Of an experiment the shortest counts, as runs also wait for each other; over experiments the median does.
    What is between two reports of a stage is work that its first report tells, too.
    """
    starts: dict[str, dict[str, float]] = {}
    for run, progress in zip(runs, records, strict=True):
        times = {
            stage: [
                one["time"] for one in progress if one.get("stage") == stage and one.get("time") is not None
            ]
            for stage in EVERY_STAGE
        }
        launched = _launched(run)
        ended = launched
        for stage in (stage for stage in EVERY_STAGE if times[stage]):
            first, last = min(times[stage]), max(times[stage])
            working = (last - first) / max(1, len(times[stage]) - 1)
            if ended is not None and first >= ended:
                start = max(0.0, first - ended - working)
                own = starts.setdefault(stage, {})
                own[run.experiment] = min(start, own.get(run.experiment, start))
            ended = last
    return {stage: statistics.median(own.values()) for stage, own in starts.items()}


def _launched(run: Run) -> float | None:
    """When a run was launched, in seconds since the epoch; None where its record does not tell."""
    try:
        return datetime.fromisoformat(read_record(run)["created"]).timestamp()
    except (UserError, KeyError, TypeError, ValueError):
        return None


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


def seconds_needed(size: Size, known: Measured, at_a_time: int = 1) -> float | None:
    """Seconds until all runs are done, so many at a time; None for a search or an unknown speed.

    Where no run tells, a training and test-time training start as answering does: a process begins and loads
    the base model.
    """
    training = _seconds(size.training_tokens, known.training_speed)
    answering = _answering_seconds(size, known)
    if training is None or answering is None or "infer" not in known.starts:
        return None
    load = known.starts["infer"]
    training_start = known.starts.get("train", load) if size.training_tokens else 0.0
    each = training_start + load + known.starts.get("score", 0.0)
    starts = size.runs * each + size.adapting_runs * known.starts.get("adapt", load)
    rounds = math.ceil(size.runs / at_a_time)
    return (starts + training + answering) * rounds / size.runs


def seconds_per_task(size: Size, known: Measured) -> float | None:
    """Seconds that a run spends on a task, test-time training and all its evaluations together, as contests
    limit it; None while a speed is unknown, or for a search. Where some adapt, of those that do the most.
    """
    inference = _inference_seconds(size, known)
    adapting = _adapting_seconds(size, known)
    if inference is None or adapting is None:
        return None
    return (inference / size.runs + adapting / max(1, size.adapting_runs)) / size.tasks


def _answering_seconds(size: Size, known: Measured) -> float | None:
    inference, adapting = _inference_seconds(size, known), _adapting_seconds(size, known)
    return None if inference is None or adapting is None else inference + adapting


def _inference_seconds(size: Size, known: Measured) -> float | None:
    return None if size.searches else _seconds(size.inference_tokens, known.inference_speed)


def _adapting_seconds(size: Size, known: Measured) -> float | None:
    speed = known.adaptation_speed or known.training_speed
    steps = _seconds(size.adaptation_tokens, speed)
    return None if steps is None else steps + size.adaptation_seconds


def _seconds(tokens: int, speed: float | None) -> float | None:
    if not tokens:
        return 0.0
    return None if not speed else tokens / speed


def bytes_needed(size: Size, known: Measured) -> float | None:
    """Bytes that all runs keep on disk; None while no finished run is known."""
    return None if known.bytes_per_run is None else size.runs * known.bytes_per_run
