"""What a stage says of its run while it works: progress, states, and why it failed."""

import logging
import shutil
import time
import traceback
from typing import Any

from core.errors import UserError
from core.experiments.runs import Run, RunState, Stage, own_state, say_state
from core.storage.files import append_record

log = logging.getLogger(__name__)

SECONDS_BETWEEN_STATES = 0.5


class Reporter:
    """Appends each report to `progress.jsonl` and keeps `state.json` fresh."""

    def __init__(self, run: Run, stage: Stage) -> None:
        self.run, self.stage = run, stage
        self.last = 0.0

    def __call__(self, record: dict[str, Any]) -> None:
        append_record(
            self.run.folder / "progress.jsonl", {"time": round(time.time(), 3), "stage": self.stage, **record}
        )
        now = time.monotonic()
        if now - self.last < SECONDS_BETWEEN_STATES and record["step"] != record["total"]:
            return
        self.last = now
        state = own_state(
            self.stage, step=record["step"], total=record["total"], eta_seconds=record.get("eta_seconds")
        )
        say_state(self.run, state)


def say_failed(run: Run, stage: Stage, error: Exception) -> None:
    """Say in `state.json` why a stage failed; the details of a defect go to the log. Call it while the
    error is handled."""
    sentence = sentence_of(run, error)
    say_state(run, RunState("failed", stage, error=sentence))
    if not isinstance(error, UserError):
        traceback.print_exception(error)
    log.error("%s", sentence)


def sentence_of(run: Run, error: Exception) -> str:
    """What went wrong, for a person."""
    if isinstance(error, UserError):
        return str(error)
    # Whoever writes says it in words of its own, and its unfinished file may be gone again by now.
    if "No space left" in str(error) or shutil.disk_usage(run.folder).free < 2**20:
        return "The disk is full. Free some space and launch again; finished stages are kept."
    return f"{type(error).__name__}: {error}. The log holds the details."


def say_in_log(run: Run, text: str) -> None:
    """Append a line to a run's `log.txt`, as its processes' own output is."""
    with (run.folder / "log.txt").open("a", encoding="utf-8") as file:
        file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
