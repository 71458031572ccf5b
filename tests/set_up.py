"""The modules of `.ci/`, and interpreters and pips that are short shell scripts."""

import importlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

CI = Path(__file__).resolve().parents[1] / ".ci"
ROOT = CI.parent


def _load(name: str) -> ModuleType:
    sys.path.insert(0, str(CI))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(CI))


failures = _load("failures")
machine = _load("machine")
environment = _load("environment")
progress = _load("progress")
installing = _load("installing")
gpu = _load("gpu")
setup = _load("setup")
wheel_requirements = _load("wheel_requirements")


def script(path: Path, body: str) -> Path:
    """A shell script to run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + body)
    path.chmod(0o755)
    return path


def open_lock(tmp_path: Path) -> Iterator[int]:
    """A descriptor to inherit, as the set-up's lock is."""
    with (tmp_path / "lock").open("w") as file:
        yield file.fileno()


def scripted_pip(folder: Path, lock: int, body: str) -> Any:
    """A pip whose answers are the shell script `body`; its arguments are appended to `calls`."""
    there = environment.Environment(folder)
    script(there.python, f'echo "$@" >> {folder}/calls\n{body}')
    return installing.Pip(there, progress.Progress(5, io.StringIO()), lock)
