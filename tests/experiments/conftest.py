"""A prepared experiment on a tiny root for the tests of this room."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from core.experiments.launch import prepare
from core.experiments.runs import Run
from core.experiments.spec import ExperimentSpec, read_spec
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
