"""When a run worked, for how long, and how much is left of all its stages: by the times of its reports.

In come the first and last report of each stage; what is typical comes from finished runs beside it.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.runs.done import EVERY_STAGE, STAGES


@dataclass
class Clock:
    """First and last report of each stage of one run (seconds since the epoch), and how often each began; of
    its training the last step, of how many, and the tokens and seconds of all reported steps."""

    spans: dict[str, tuple[float, float]] = field(default_factory=dict)
    begun: dict[str, int] = field(default_factory=dict)
    trained: tuple[int, int] | None = None
    _tokens: float = 0.0
    _seconds: float = 0.0
    _steps: dict[str, tuple[Any, int]] = field(default_factory=dict)

    def note(self, record: Mapping[str, Any]) -> None:
        """Take in a report of `progress.jsonl`, in the order of the file."""
        stage, time = record.get("stage"), record.get("time")
        if not isinstance(stage, str) or not isinstance(time, int | float):
            return
        first, last = self.spans.get(stage, (time, time))
        self.spans[stage] = min(first, time), max(last, time)
        step, part = record.get("step"), record.get("eval_seed")
        if not isinstance(step, int):
            return
        before = self._steps.get(stage)
        if before is None or (before[0] == part and step <= before[1]):
            self.begun[stage] = self.begun.get(stage, 0) + 1
        self._steps[stage] = part, step
        if stage == "train":
            self._note_training(record, step)

    def _note_training(self, record: Mapping[str, Any], step: int) -> None:
        total, tokens, speed = (record.get(name) for name in ("total", "tokens", "tokens_per_second"))
        if isinstance(total, int):
            self.trained = step, total
        if isinstance(tokens, int | float) and isinstance(speed, int | float) and speed > 0:
            self._tokens += tokens
            self._seconds += tokens / speed

    @property
    def tokens_per_second(self) -> float | None:
        """The mean over the training: tokens of all reported steps by their seconds; None before one."""
        return self._tokens / self._seconds if self._seconds else None

    @property
    def started(self) -> float | None:
        """The first report; None before it."""
        return min((first for first, _ in self.spans.values()), default=None)

    @property
    def seconds(self) -> float | None:
        """From the first to the last report."""
        if not self.spans:
            return None
        return max(last for _, last in self.spans.values()) - min(first for first, _ in self.spans.values())

    @property
    def tries(self) -> int:
        """How often the stage that began most often began; 0 before the first report."""
        return max(self.begun.values(), default=0)

    def stage_seconds(self, stage: str) -> float | None:
        """How long a stage took, from the end of the one before, so that its start is counted; None where it
        has not reported."""
        if stage not in self.spans:
            return None
        first, last = self.spans[stage]
        before = [self.spans[one][1] for one in EVERY_STAGE[: EVERY_STAGE.index(stage)] if one in self.spans]
        return last - max([time for time in before if time <= first], default=first)


def typical_seconds(finished: Iterable[Clock]) -> dict[str, float]:
    """The median seconds of each stage over finished runs; stages that none of them tells are left out."""
    clocks = list(finished)
    found = {}
    for stage in EVERY_STAGE:
        known = [seconds for one in clocks if (seconds := one.stage_seconds(stage)) is not None]
        if known:
            found[stage] = statistics.median(known)
    return found


def share_of_all(record: Mapping[str, Any], stage_share: float, typical: Mapping[str, float]) -> float:
    """How much of all stages of a run is done, 0 to 1; `stage_share` is that of the present one.

    Stages count by their typical seconds, and all alike where these are unknown.
    """
    if record["state"] == "done":
        return 1.0
    stages = _stages_of(record, typical)
    if record["stage"] not in stages:
        return 0.0
    place = stages.index(record["stage"])
    known = all(stage in typical for stage in stages) and sum(typical.values()) > 0
    weights = [typical[stage] if known else 1.0 for stage in stages]
    return (sum(weights[:place]) + stage_share * weights[place]) / sum(weights)


def _stages_of(record: Mapping[str, Any], typical: Mapping[str, float]) -> list[str]:
    """The stages of a run: those of every run, and others that it is in or that runs like it went through."""
    return [one for one in EVERY_STAGE if one in STAGES or one == record["stage"] or one in typical]


def seconds_left(record: Mapping[str, Any], stage_share: float, typical: Mapping[str, float]) -> float | None:
    """Seconds until a run that is at work or waits has done all its stages; None while that is unknown.

    The present stage says itself how long it takes; else it counts by what is typical, as those behind it do.
    """
    if record["state"] not in ("running", "queued"):
        return None
    stages = _stages_of(record, typical)
    stage = record["stage"] if record["stage"] in stages else stages[0]
    place = stages.index(stage)
    own = record["eta_seconds"]
    if own is None and stage in typical:
        own = typical[stage] * (1 - stage_share)
    later = [typical.get(one) for one in stages[place + 1 :]]
    if own is None or any(one is None for one in later):
        return None
    return float(own + sum(one for one in later if one is not None))


def experiment_seconds_left(
    records: Sequence[Mapping[str, Any]], left: Sequence[float | None]
) -> float | None:
    """Seconds until all runs of an experiment are done, as many at once as work now; None while unknown.

    `left` are the `seconds_left` of the runs, in the same order.
    """
    waiting: list[float | None] = [
        seconds
        for record, seconds in zip(records, left, strict=True)
        if record["state"] in ("running", "queued")
    ]
    known = [seconds for seconds in waiting if seconds is not None]
    if not waiting or len(known) < len(waiting):
        return None
    at_once = max(1, sum(record["state"] == "running" for record in records))
    longest: float = max(known)
    shared: float = sum(known) / at_once
    return max(longest, shared)
