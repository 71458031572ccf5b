"""Processes that outlive whoever started them: started detached, recognised for certain, ended as a group.

A process is recognised by its number, the boot it belongs to and its start in that boot, which neither a
reused number nor a clock that is set anew can imitate. While it works it writes a heartbeat; one that gives
none for a minute, although nobody paused it, counts as gone.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from core.machine.heartbeat import seconds_since_beat

CODE = Path(__file__).parents[2]
MODULE = "core"
SECONDS_WITHOUT_BEAT = 60.0
SECONDS_TO_WONDER = 6.0
SECONDS_TO_TERMINATE = 4.0
SECONDS_TO_KILL = 4.0
WITH_PARENT = "ARC_WORKBENCH_WITH_PARENT"
"""A variable of the environment: the process that has it ends with the one that started it."""
Notify = Callable[[str], None]
"""Takes a sentence about what goes on, for whoever watches."""
_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


@dataclass(frozen=True)
class Identity:
    """What tells a process from every other: its number on a host, the boot of that host, and when it
    began (seconds since the boot)."""

    pid: int
    start_time: float
    boot: str
    host: str

    @classmethod
    def own(cls) -> Self:
        """That of this process."""
        return cls(os.getpid(), start_of(os.getpid()), boot_id(), socket.gethostname())

    @property
    def is_here(self) -> bool:
        """Whether it belongs to this machine, where its number means something."""
        return self.host == socket.gethostname()


def boot_id() -> str:
    """The kernel's name for the time since this machine was started."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_of(pid: int) -> float:
    """When a process of this machine began, in seconds since the boot. Raises where there is none."""
    found = _status(pid)
    if found is None:
        raise ProcessLookupError(pid)
    return found[1]


def _status(pid: int) -> tuple[str, float] | None:
    """A process's state letter and its start (seconds since the boot); None where there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()  # the name before may hold anything, blanks included
    return fields[0], int(fields[19]) / os.sysconf("SC_CLK_TCK")


def is_alive(process: Identity, heartbeat: Path | None = None) -> bool:
    """Whether a process lives: same number, boot and start, no zombie, and a fresh heartbeat where it has
    one. A paused process can't give one and lives all the same; of another machine the heartbeat decides.
    """
    age = None if heartbeat is None else seconds_since_beat(heartbeat, here=process.is_here)
    fresh = age is None or age < SECONDS_WITHOUT_BEAT
    if not process.is_here:
        return age is not None and fresh
    return exists(process) and (fresh or is_paused(process))


def seconds_silent(process: Identity, heartbeat: Path) -> float | None:
    """For how long a process of this machine has given no sign of life although it exists and nobody paused
    it; None where it gives some, or belongs to another machine."""
    if not process.is_here or not exists(process) or is_paused(process):
        return None
    age = seconds_since_beat(heartbeat, here=True)
    return age if age is not None and age > SECONDS_TO_WONDER else None


def exists(process: Identity) -> bool:
    """Whether a process of this machine is there and no zombie, whatever it does."""
    found = _status(process.pid)
    if found is None or process.boot != boot_id():
        return False
    return abs(found[1] - process.start_time) < 0.05 and found[0] not in "ZX"


def is_paused(process: Identity) -> bool:
    """Whether somebody paused a process that exists."""
    found = _status(process.pid)
    return found is not None and found[0] in "Tt"


def command_of(verb: Sequence[str], root: Path) -> list[str]:
    """What starts a verb on the project at `root`, from the folder `CODE`."""
    return [sys.executable, "-m", MODULE, *verb, "--root", str(root.resolve())]


def start_detached(verb: list[str], root: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start a verb as a process of a session of its own, which survives ours unless it goes
    `--with-parent`; its output goes to a log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            command_of(verb, root),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=CODE,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )


def end_with_parent() -> None:
    """Have the kernel kill this process as soon as the one that started it ends, or at once if it has."""
    parent = os.getppid()
    if ctypes.CDLL(None, use_errno=True).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent or parent == 1:
        os.kill(os.getpid(), signal.SIGKILL)


def exit_code(process: subprocess.Popen[bytes]) -> int | None:
    """The code of a child that has ended, after whatever was left of its group was killed; None while it
    works. The child is looked at before it is reaped, so that its number can't belong to others yet."""
    if process.returncode is not None:
        return process.returncode
    if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        return None
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def end_group(process: Identity) -> None:
    """SIGTERM to the group that a process of this machine leads, then SIGKILL, until nothing is left of it.
    A process that leads none is ended alone; one that is not there any more is left alone."""
    if not exists(process):
        return
    leads = os.getpgid(process.pid) == process.pid
    for number, patience in ((signal.SIGTERM, SECONDS_TO_TERMINATE), (signal.SIGKILL, SECONDS_TO_KILL)):
        try:
            (os.killpg if leads else os.kill)(process.pid, number)
            (os.killpg if leads else os.kill)(process.pid, signal.SIGCONT)  # or a paused one never hears it
        except ProcessLookupError:
            return
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if not (_group_works(process.pid) if leads else exists(process)):
                return
            time.sleep(0.05)


def _group_works(group: int) -> bool:
    """Whether a process group has a member that is no zombie."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            fields = text[text.rindex(")") + 2 :].split()
            if int(fields[2]) == group and fields[0] not in "ZX":
                return True
    return False
