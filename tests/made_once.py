"""What takes seconds to make is made by the first process of a test run, and read by all others."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from core.importing.import_source import import_set
from core.storage.files import locked


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder of that name, filled by `make` where no process of this test run has done so; nobody may
    change it. What `make` had begun when it failed is made anew."""
    own = factory.getbasetemp()
    place = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "made-once"
    folder, ready = place / name, place / f"{name}.ready"
    with locked(place / f"{name}.lock"):
        if not ready.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            make(folder)
            ready.touch()
    return folder


def arc1_project(factory: pytest.TempPathFactory) -> Path:
    """A project with ARC-1 that is only read."""
    return made_once(factory, "arc1", lambda root: import_set(root, "arc1"))


def copy_of_arc1(factory: pytest.TempPathFactory, root: Path) -> Path:
    """Put ARC-1 into a project of one's own."""
    shutil.copytree(arc1_project(factory), root, dirs_exist_ok=True)
    return root
