"""Places that refuse what is written, for real: a disk mounted read-only, one without room, and folders that
this process has no right to write into."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MEGABYTES = 400
_OVERRIDE, _SEARCH = 1, 2
_VERSION = 0x20080522
"""Of the capabilities, as capset(2) has it: whether rights bind, to write and to read, also root."""


@contextmanager
def small_disk(place: Path) -> Iterator[None]:
    """A disk of its own at a folder; skipped where only root may mount one."""
    place.mkdir()
    size = f"size={MEGABYTES}m"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", str(place)], check=False).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def remount(place: Path, how: str) -> None:
    """Mount the disk at a place anew: `ro` for reading alone, `rw`."""
    subprocess.run(["mount", "-o", f"remount,{how}", str(place)], check=True)


def fill(filler: Path) -> None:
    """Fill a disk to its last byte."""
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(b"x" * 2**12)


@contextmanager
def bound_by_rights() -> Iterator[None]:
    """Let rights of files bind this thread, and those it starts, as they bind people who are not root."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, held = (ctypes.c_uint32 * 2)(_VERSION, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, held) == 0
    dropped = (ctypes.c_uint32 * 6)(*held)
    dropped[0] &= ~(1 << _OVERRIDE | 1 << _SEARCH)
    assert libc.capset(header, dropped) == 0
    try:
        yield
    finally:
        assert libc.capset(header, held) == 0


@contextmanager
def no_right_to_write(folder: Path) -> Iterator[None]:
    """Take the right to write from every folder and file below a folder, and from this process."""
    places = [folder, *(path for path in folder.rglob("*") if not path.is_symlink())]
    modes = {path: path.stat().st_mode for path in places}
    for path in places:
        path.chmod(modes[path] & ~0o222)
    try:
        with bound_by_rights():
            yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
