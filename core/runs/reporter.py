"""What a stage reports of its run while it works: progress, states, and why it failed; and when to stop."""

import logging
import os
import shutil
import time
import traceback
from typing import Any

from core.errors import Stopped, UserError, is_full_disk
from core.runs.done import Stage
from core.runs.layout import Run
from core.runs.progress import append_progress
from core.runs.state import advance, fail, queue_for, stop

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
        append_progress(self.run, self.stage, record)
        now = time.monotonic()
        if now - self.last >= SECONDS_BETWEEN_STATES or record["step"] == record["total"]:
            self.last = now
            advance(self.run, self.stage, record["step"], record["total"], record.get("eta_seconds"))
        if self.run.stop_file.exists():
            raise Stopped

    def _check_folder(self) -> None:
        try:
            same = self.run.heartbeat.stat().st_ino == os.fstat(self._mark.fileno()).st_ino
        except FileNotFoundError:
            same = False
        if not same:
            raise UserError(f"The folder of {self.run.name} was deleted. Launch {self.run.experiment} again.")


def report_failure(run: Run, stage: Stage, error: Exception) -> None:
    """Write into `state.json` why a stage failed or that it was stopped; the log gets the details of a
    defect. Call it while the error is handled."""
    message = failure_message(run, error)
    if run.heartbeat.exists():  # else the folder was deleted
        if not isinstance(error, Stopped):
            fail(run, message, stage)
        elif run.stop_file.exists():
            stop(run)
        else:
            queue_for(run, stage)
    if not isinstance(error, UserError | Stopped):
        traceback.print_exception(error)
    log.error("%s", message)


def failure_message(run: Run, error: Exception) -> str:
    """What went wrong, for a person."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, Stopped):
        return "Stopped by a person."
    # Whoever writes says it in words of its own, and its unfinished file may be gone again by now.
    if is_full_disk(error) or shutil.disk_usage(run.root).free < 2**20:
        return "The disk is full. Free some space and launch again; finished stages are kept."
    return f"{type(error).__name__}: {error}. The log holds the details."
