"""What this machine has: a Python that will do, a GPU or none, space on the disk.

Standard library only, and no syntax newer than Python 3.8, so that a Python that is too old can still
be told so. Each function answers one question or raises a `SetupError` that says what to do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from failures import AGAIN, SetupError

OLDEST = (3, 11)
NEWEST = (3, 14)
_NAMES = [f"python{OLDEST[0]}.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1)]
_PROBE = """
import sys
try:
    import ensurepip, venv
    able = 1
except ImportError:
    able = 0
print(able, *sys.version_info[:3])
"""
_GIGABYTE = 10**9


@dataclass(frozen=True)
class Python:
    """An interpreter: its path, its version, and whether it can make virtual environments."""

    path: str
    version: tuple[int, int, int]
    has_venv: bool

    @property
    def suits(self) -> bool:
        """Whether the workbench runs on this Python."""
        return OLDEST <= self.version[:2] <= NEWEST

    @property
    def name(self) -> str:
        """Like python3.11."""
        return f"python{self.version[0]}.{self.version[1]}"


def find_python(candidates: Iterable[str]) -> Python:
    """The first candidate (a path or a name on PATH) of a right version that can make environments.

    Raises `SetupError` where every one is too old or too new, or lacks the venv module.
    """
    found = [python for python in map(probe, candidates) if python is not None]
    suiting = [python for python in found if python.suits]
    for python in suiting:
        if python.has_venv:
            return python
    if suiting:
        raise SetupError(
            f"{suiting[0].path} can't make virtual environments. Install its venv module (Debian/Ubuntu: "
            f"sudo apt-get install {suiting[0].name}-venv), {AGAIN}"
        )
    seen = ", ".join(f"{_dotted(python.version)} at {python.path}" for python in found) or "none"
    raise SetupError(
        f"Python {_dotted(OLDEST)} to {_dotted(NEWEST)} is needed, but found: {seen}. Install one"
        " (Debian/Ubuntu: sudo apt-get install python3.11 python3.11-venv; elsewhere: python.org/downloads),"
        " then give the same command again."
    )


def candidates(environ: Mapping[str, str]) -> list[str]:
    """Where to look for a Python: the one asked for in PYTHON, or the named versions, then this one."""
    return [environ["PYTHON"]] if environ.get("PYTHON") else [*_NAMES, sys.executable]


def probe(candidate: str) -> Python | None:
    """Ask an interpreter who it is; None where there is none or it doesn't run."""
    path = shutil.which(candidate)
    if path is None:
        return None
    try:
        answer = subprocess.run([path, "-c", _PROBE], capture_output=True, text=True, timeout=30)
        able, *version = (int(word) for word in answer.stdout.split())
        return Python(path, (version[0], version[1], version[2]), bool(able))
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired):
        return None


def find_engine(environ: Mapping[str, str], device: Path = Path("/dev/nvidia0")) -> str:
    """Which engine to install, "cpu" or "gpu": what ENGINE says, or whether an NVIDIA GPU is seen."""
    asked = environ.get("ENGINE", "").lower()
    if asked in ("cpu", "gpu"):
        return asked
    if asked:
        raise SetupError(f"ENGINE is {asked!r}. Set it to cpu or gpu, or leave it out to have it found.")
    return "gpu" if device.exists() or _nvidia_smi_sees_one() else "cpu"


def _nvidia_smi_sees_one() -> bool:
    path = shutil.which("nvidia-smi")
    if path is None:
        return False
    try:
        answer = subprocess.run([path, "-L"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and "GPU 0" in answer.stdout


def check_space(folder: Path, needed: int) -> None:
    """Raise `SetupError` where fewer bytes than `needed`, less what `folder` already holds, are free."""
    missing = needed - bytes_in(folder)
    free = shutil.disk_usage(folder).free
    if free < missing:
        raise SetupError(
            f"Too little space: {folder} needs {missing / _GIGABYTE:.1f} GB more, but its disk has"
            f" {free / _GIGABYTE:.1f} GB free. Free some space, or clone to another disk, {AGAIN}"
        )


def bytes_in(folder: Path) -> int:
    """Bytes of all files below a folder; links are not followed."""
    total = 0
    for here, _, names in os.walk(str(folder)):
        for name in names:
            try:
                total += Path(here, name).lstat().st_size
            except OSError:  # a file that vanished meanwhile
                continue
    return total


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
