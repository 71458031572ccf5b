"""Curves of runs that may still be going on: read by offset, thinned before they are drawn."""

from pathlib import Path

from core.monitoring.run_times import Clock
from core.runs.progress import Report
from core.storage.json_records import read_fitting_from

MOST_POINTS = 400
LOOKED_AT = tuple(
    f"{name}_{what}" for name in ("validation", "seen", "evaluated") for what in ("loss", "accuracy")
)
"""What a training with validation reports after some of its steps."""
BESIDE = ("learning_rate", "tokens_per_second", "memory_bytes")
"""What a training reports with each loss."""


class Curve:
    """Training loss of one run and what its validations found, read on from where the last reading ended."""

    def __init__(self, path: Path) -> None:
        """`path` is the run's `progress.jsonl`, which need not exist yet."""
        self._path = path
        self._file: int | None = None
        self._begin()

    def _begin(self) -> None:
        self._offset = 0
        self.steps: list[int] = []
        self.losses: list[float] = []
        self.found: dict[str, dict[int, float]] = {name: {} for name in (*LOOKED_AT, *BESIDE)}
        self.clock = Clock()

    def read(self) -> None:
        """Take in what was appended since the last reading; a file in its place is read anew."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._begin()
            return
        if status.st_ino != self._file or status.st_size < self._offset:
            self._file = status.st_ino
            self._begin()
        if status.st_size == self._offset:
            return
        records, self._offset = read_fitting_from(self._path, Report, self._offset)
        for record in records:
            self.clock.note(record)
            if record.get("stage") == "train" and None not in (record.get("loss"), record.get("step")):
                self._add(int(record["step"]), float(record["loss"]))
                for name in (*LOOKED_AT, *BESIDE):
                    if record.get(name) is not None:
                        self.found[name][int(record["step"])] = float(record[name])

    def _add(self, step: int, loss: float) -> None:
        """Append a step; where a resumed training repeats steps, the later report holds."""
        while self.steps and self.steps[-1] >= step:
            self.steps.pop()
            self.losses.pop()
        self.steps.append(step)
        self.losses.append(loss)

    @property
    def last(self) -> float | None:
        """The latest loss; None before the first step."""
        return self.losses[-1] if self.losses else None

    def looked_at(self, name: str) -> tuple[list[int], list[float]]:
        """Steps and values of one of `LOOKED_AT` or `BESIDE`; empty where it was not reported."""
        steps = sorted(self.found[name])
        return steps, [self.found[name][step] for step in steps]

    def points(self, most: int = MOST_POINTS) -> tuple[list[int], list[float]]:
        """Steps and losses, at most `most` of them: of each stretch its lowest and its highest loss, so
        that no spike is lost."""
        count = len(self.steps)
        if count <= most:
            return list(self.steps), list(self.losses)
        stretches = most // 2
        kept: list[int] = []
        for number in range(stretches):
            begin, end = number * count // stretches, (number + 1) * count // stretches
            places = range(begin, end)
            kept += sorted(
                {min(places, key=self.losses.__getitem__), max(places, key=self.losses.__getitem__)}
            )
        return [self.steps[place] for place in kept], [self.losses[place] for place in kept]
