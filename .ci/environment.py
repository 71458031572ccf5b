"""The virtual environment, and the small files in it that tell how far its making has come.

`setup-began.json` (engine, Python, whether the empty environment is whole) is written first and marks the
folder as ours; `setup-complete.json` is written last and holds a stamp of everything the installation
depends on. Whatever is killed in between is continued, or made again, from these two.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from failures import AGAIN, SetupError
from machine import Python


class Environment:
    """A folder that holds a virtual environment made by this set-up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        self.log = folder / "setup.log"
        self.cache = folder / "setup-cache"
        self.lock = folder / "setup.lock"
        self._began = folder / "setup-began.json"
        self._complete = folder / "setup-complete.json"

    def is_complete(self, stamp: Mapping[str, str]) -> bool:
        """Whether a set-up with this stamp has ended well and the environment's Python still is the same."""
        recorded = _read(self._complete)
        if not stamp or any(recorded.get(key) != value for key, value in stamp.items()):
            return False
        try:
            answer = subprocess.run([str(self.python), "-V"], capture_output=True, text=True, timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            return False
        return answer.stdout.split()[-1:] == [recorded.get("python")]

    def complete(self, stamp: Mapping[str, str], python: str) -> None:
        """Record that everything is installed and works, and remove what only the set-up needed."""
        shutil.rmtree(str(self.cache), ignore_errors=True)
        _write(self._complete, {**stamp, "python": python})

    def claim(self) -> None:
        """Make the folder ours. Raises `SetupError` where somebody else has made an environment in it."""
        if not self._began.exists() and (self.folder / "pyvenv.cfg").exists():
            raise SetupError(
                f"{self.folder} was not made by this set-up. Move it away or delete it,"
                " then give the same command again."
            )
        self.folder.mkdir(exist_ok=True)
        if not self._began.exists():
            _write(self._began, {})

    @contextlib.contextmanager
    def locked(self) -> Iterator[int]:
        """Keep other set-ups of this folder out; yields the lock's file descriptor.

        The lock belongs to everybody who has inherited the descriptor, so it outlives a killed set-up
        until the pip that it started has ended.
        """
        descriptor = os.open(str(self.lock), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print("Another set-up of this folder, or its pip, is still at work; waiting.", flush=True)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)

    def make(self, python: Python, engine: str) -> None:
        """Make the empty environment, or keep the one there is if it is of this Python and this engine."""
        with contextlib.suppress(FileNotFoundError):
            self._complete.unlink()
        wanted = {"engine": engine, "python": python.name, "whole": True}
        if _read(self._began) != wanted or not self.python.exists():
            self._empty()
            _write(self._began, {**wanted, "whole": False})
            command = [python.path, "-m", "venv", str(self.folder)]
            answer = subprocess.run(command, capture_output=True, text=True)
            if answer.returncode != 0:
                reason = (answer.stdout + answer.stderr).strip().splitlines()[-1:] or ["no reason given"]
                raise SetupError(f"{' '.join(command)} failed: {reason[0]} Put that right, {AGAIN}")
            _write(self._began, wanted)
        sweep(self.folder)
        shutil.rmtree(str(self.cache), ignore_errors=True)
        (self.cache / "tmp").mkdir(parents=True)
        self.log.write_text("", encoding="utf-8")

    def _empty(self) -> None:
        _write(self._began, {})
        for path in self.folder.iterdir():
            if path in (self._began, self.lock):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(str(path))
            else:
                path.unlink()


def sweep(folder: Path) -> int:
    """Remove the traces of packages that a killed pip left half-installed; return how many there were.

    pip takes a package for installed once its METADATA is there, but writes INSTALLER only after the
    last of its files. While it replaces a package, the old one is kept under a name that begins with ~.
    """
    packages = folder / "lib"
    halves = [
        info
        for info in packages.glob("python*/site-packages/*.dist-info")
        if not (info / "INSTALLER").exists()
    ]
    halves += packages.glob("python*/site-packages/~*")
    for path in halves:
        if path.is_dir():
            shutil.rmtree(str(path))
        else:
            path.unlink()
    return len(halves)


def stamp_of(root: Path, engine: str) -> dict[str, str]:
    """What the installation depends on: the engine, and a sha256 over requirements and project file."""
    digest = hashlib.sha256()
    for name in (*requirement_files(engine), "pyproject.toml"):
        digest.update(name.encode() + b"\0" + (root / name).read_bytes() + b"\0")
    return {"engine": engine, "requirements": digest.hexdigest()}


def requirement_files(engine: str) -> list[str]:
    """The list of every direct dependency, and the engine of this kind."""
    return ["requirements.txt", f"requirements-{engine}.txt"]


def requirements_in(path: Path) -> list[str]:
    """The requirements of a file, without comments."""
    lines = (line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def _read(path: Path) -> dict[str, Any]:
    """A small JSON object; an empty one where the file is absent or was torn."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _write(path: Path, value: Mapping[str, Any]) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value) + "\n", encoding="utf-8")
    temporary.replace(path)
