"""A prepared experiment on a tiny root for the tests of this room, and a project of trivial stages."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.experiments import processes
from core.experiments.launch import prepare
from core.experiments.runs import Run
from core.experiments.spec import ExperimentSpec, read_spec
from tests.experiments.driving import QUICK
from tests.experiments.trivial import CHANGED, MODULE, SECONDS, end_all, make_trivial, trivial_root
from tests.results.conftest import project  # noqa: F401 - a fixture
from tests.training.conftest import one_thread  # noqa: F401 - a fixture
from tests.training.tiny import tiny_root, tiny_spec


def spec_file(root: Path, **changes: Any) -> Path:
    path = root / "data" / "experiments" / "trial.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(tiny_spec(**changes)))
    return path


def spec_of(root: Path, **changes: Any) -> ExperimentSpec:
    return read_spec(spec_file(root, **changes))


@pytest.fixture
def root(tmp_path: Path) -> Path:
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
    for module, names in CHANGED.items():
        for name in names:
            value = getattr(module, name)
            monkeypatch.setattr(module, name, dict(value) if isinstance(value, dict) else value)
    monkeypatch.setenv(SECONDS, QUICK)
    make_trivial()


@pytest.fixture
def trivial_project(tmp_path: Path, trivial: None) -> Iterator[Path]:
    """A project whose processes are ended after the test."""
    yield trivial_root(tmp_path)
    end_all(tmp_path)
