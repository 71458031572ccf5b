"""What a stage says of its run while it works: progress, states, and why it failed; and when to stop."""

import logging
import os
import shutil
import time
import traceback
from typing import Any

from core.errors import Stopped, UserError
from core.runs.state import Run, RunState, Stage, own_state, said_of, say_state
from core.storage.files import append_record

log = logging.getLogger(__name__)

SECONDS_BETWEEN_STATES = 0.5


class Reporter:
    """Appends each report to `progress.jsonl` and keeps `state.json` fresh.

    A report raises `Stopped` where a person wants the run to stop, and `UserError` where the run's folder
    is not there any more: whatever was written then would lie in the way of a new launch.
    """

    def __init__(self, run: Run, stage: Stage) -> None:
        """Make it while the run's heartbeat beats: that file tells whether the folder is still the same."""
        self.run, self.stage = run, stage
        self.last = 0.0
        run.heartbeat.touch()
        self._mark = run.heartbeat.open("rb")  # an open file's number can't be given to another one

    def __call__(self, record: dict[str, Any]) -> None:
        """Append a record to the run's progress. Raises `Stopped` where a person stopped the run."""
        self._check_folder()
        append_record(
            self.run.folder / "progress.jsonl", {"time": round(time.time(), 3), "stage": self.stage, **record}
        )
        now = time.monotonic()
        if now - self.last >= SECONDS_BETWEEN_STATES or record["step"] == record["total"]:
            self.last = now
            state = own_state(
                self.stage, step=record["step"], total=record["total"], eta_seconds=record.get("eta_seconds")
            )
            say_state(self.run, state)
        if self.run.stop_file.exists():
            raise Stopped

    def _check_folder(self) -> None:
        try:
            same = self.run.heartbeat.stat().st_ino == os.fstat(self._mark.fileno()).st_ino
        except FileNotFoundError:
            same = False
        if not same:
            raise UserError(f"The folder of {self.run.name} was deleted. Launch {self.run.experiment} again.")


def say_failed(run: Run, stage: Stage, error: Exception) -> None:
    """Say in `state.json` why a stage failed or that it was stopped; the details of a defect go to the log.
    Call it while the error is handled."""
    sentence = sentence_of(run, error)
    said = said_of(run) or RunState()
    step, total = (said.step, said.total) if said.stage == stage else (None, None)
    if run.heartbeat.exists():  # else the folder was deleted
        if isinstance(error, Stopped):
            say_state(run, RunState("cancelled" if run.stop_file.exists() else "queued", stage, step, total))
        else:
            say_state(run, RunState("failed", stage, step, total, error=sentence))
    if not isinstance(error, UserError | Stopped):
        traceback.print_exception(error)
    log.error("%s", sentence)


def sentence_of(run: Run, error: Exception) -> str:
    """What went wrong, for a person."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, Stopped):
        return "Stopped, as a person asked."
    # Whoever writes says it in words of its own, and its unfinished file may be gone again by now.
    if "No space left" in str(error) or shutil.disk_usage(run.root).free < 2**20:
        return "The disk is full. Free some space and launch again; finished stages are kept."
    return f"{type(error).__name__}: {error}. The log holds the details."


def say_in_log(run: Run, text: str) -> None:
    """Append a line to a run's `log.txt`, as its processes' own output is."""
    with (run.folder / "log.txt").open("a", encoding="utf-8") as file:
        file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
