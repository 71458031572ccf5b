"""A prepared experiment on a tiny root, and a project of trivial stages."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.launching.launch import prepare
from core.machine import processes
from core.pipeline.work_registry import VARIABLE
from core.runs.layout import Run
from tests.pipeline.driving import QUICK
from tests.pipeline.trivial import (
    MODULE,
    PACES,
    SECONDS,
    TRIVIAL_WORK,
    end_all,
    make_trivial,
    trivial_root,
)
from tests.results.conftest import project
from tests.specs.tiny import spec_of
from tests.training.conftest import one_thread
from tests.training.tiny import tiny_root

__all__ = ["one_thread", "project", "root", "run", "trivial", "trivial_project"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with a tiny source and model."""
    return tiny_root(tmp_path)


@pytest.fixture
def run(root: Path) -> Run:
    """The one run of a prepared experiment."""
    (only,) = prepare(root, spec_of(root), ["launch"])
    return only


@pytest.fixture
def trivial(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trivial stages in this process too, and in all that it starts."""
    monkeypatch.setattr(processes, "MODULE", MODULE)
    for module, name, seconds in PACES:
        monkeypatch.setattr(module, name, seconds)
    monkeypatch.setenv(SECONDS, QUICK)
    monkeypatch.setenv(VARIABLE, TRIVIAL_WORK.name)
    make_trivial()


@pytest.fixture
def trivial_project(tmp_path: Path, trivial: None) -> Iterator[Path]:
    """A project whose processes are ended after the test."""
    yield trivial_root(tmp_path)
    end_all(tmp_path)
