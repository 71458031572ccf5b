"""`state.json`: what a run's process last wrote of it, and all of its transitions.

The folder is the truth. A run that calls itself running while its process is gone is shown as failed.
`stop.json` says that a person wants it to stop, and stays until it is resumed. Nobody writes `state.json` but
the transitions here:

| transition | queued, running, failed, cancelled, unreadable | done |
|---|---|---|
| `begin`, `advance` | running, by this process | running |
| `queue_for` | queued for a stage | queued |
| `fail` | failed, with the step that its stage had reached | done |
| `stop` | cancelled, with the step that its stage had reached | done |
| `finish` | done | done |
"""

import errno
import json
import time
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field

from core.machine import processes
from core.machine.processes import Identity
from core.runs.done import Stage
from core.runs.layout import Run
from core.storage.files import write_json
from core.storage.json_records import Count, Text, read_as_or_none

StateName = Literal["queued", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class RunState:
    """What a run's process last wrote of it.

    `pid`, `start_time` (seconds since the boot), `boot` and `host` are the identity of its process;
    `updated` is seconds since the epoch.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)

    state: StateName = "queued"
    stage: Stage | None = None
    step: Count | None = None
    total: Count | None = None
    eta_seconds: float | None = None
    pid: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    start_time: float | None = None
    boot: Text | None = None
    host: Text | None = None
    error: Text | None = None
    updated: float | None = None

    @classmethod
    def running_here(cls, stage: Stage | None, **values: Any) -> Self:
        """A state `running` that names this process."""
        return cls("running", stage, **asdict(Identity.own()), **values)

    @property
    def process(self) -> Identity | None:
        """The process that works on the run; None where it names none."""
        if self.pid is None or self.start_time is None or self.boot is None or self.host is None:
            return None
        return Identity(self.pid, self.start_time, self.boot, self.host)


def begin(run: Run, stage: Stage) -> None:
    """This process works on a stage from now on."""
    write_state(run, RunState.running_here(stage))


def advance(
    run: Run, stage: Stage, step: int | None, total: int | None, eta_seconds: float | None = None
) -> None:
    """This process has come to a step of a stage; `eta_seconds` are left of it."""
    write_state(run, RunState.running_here(stage, step=step, total=total, eta_seconds=eta_seconds))


def queue_for(run: Run, stage: Stage) -> None:
    """The run waits for a stage."""
    write_state(run, RunState("queued", stage))


def finish(run: Run) -> None:
    """All stages are done."""
    write_state(run, RunState("done"))


def stop(run: Run) -> None:
    """A person stopped the run, which keeps what it has reached; what is done stays done."""
    reached = read_state(run) or RunState()
    if reached.state != "done":
        write_state(run, RunState("cancelled", reached.stage, reached.step, reached.total))


def fail(run: Run, error: str, stage: Stage | None = None) -> None:
    """A stage (where none is named, the last one) can't go on, and why; what is done stays done."""
    reached = read_state(run) or RunState()
    if reached.state == "done":
        return
    stage = stage or reached.stage
    step, total = (reached.step, reached.total) if reached.stage == stage else (None, None)
    write_state(run, RunState("failed", stage, step, total, error=error))


def write_state(run: Run, state: RunState) -> None:
    """Write `state.json`, with the time. A full disk leaves room for it where the old state stood."""
    value = asdict(replace(state, updated=time.time()))
    try:
        write_json(run.state_file, value)
    except OSError as error:
        if error.errno != errno.ENOSPC or not run.state_file.exists():
            raise
        with run.state_file.open("r+", encoding="utf-8") as file:
            file.write(json.dumps(value, ensure_ascii=False) + "\n")
            file.truncate()


def read_state(run: Run) -> RunState | None:
    """What `state.json` holds; None where that can't be read."""
    return read_as_or_none(run.state_file, RunState)


def state_of(run: Run) -> RunState:
    """The state of a run: what its file holds, corrected where its process is gone or a person stopped it."""
    return corrected(run, read_state(run))


def corrected(run: Run, written: RunState | None) -> RunState:
    """What a run's file held, corrected where its process is gone or a person stopped it."""
    if written is None:
        return RunState("queued", error=f"state.json is missing or broken. {go_on(run)}")
    if written.state == "running":
        if not is_alive(run, written):
            written = replace(written, state="failed", error=_why_gone(run, written))
        elif (silent := seconds_silent(run, written)) is not None:
            written = replace(written, error=_silence(run, silent))
    if written.state in ("queued", "failed") and run.stop_file.exists():
        return replace(written, state="cancelled", error=None)
    return written


def _why_gone(run: Run, written: RunState) -> str:
    process = written.process
    if process is not None and process.is_here and processes.exists(process):
        return f"The process gives no sign of life any more. {go_on(run)}"
    return f"The process is gone. {go_on(run)}"


def _silence(run: Run, silent: float) -> str:
    return (
        f"No sign of life for {silent:.0f} s; after {processes.SECONDS_WITHOUT_BEAT:.0f} s the run counts as"
        f" failed. If it hangs: python -m core runs stop {run.experiment}"
    )


def go_on(run: Run) -> str:
    """How a person lets a run go on."""
    return f"Go on with: python -m core runs resume {run.experiment}"


def is_alive(run: Run, written: RunState) -> bool:
    """Whether the process of a state lives, see `processes.is_alive`."""
    return written.process is not None and processes.is_alive(written.process, run.heartbeat)


def seconds_silent(run: Run, written: RunState | None) -> float | None:
    """For how long the process that works on a run has given no sign of life, though it exists; None where it
    gives some, or none works on it."""
    if written is None or written.state != "running" or written.process is None:
        return None
    return processes.seconds_silent(written.process, run.heartbeat)
