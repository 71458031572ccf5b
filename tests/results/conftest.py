"""One made-up project for all tests that only read it."""

from pathlib import Path

import pytest

from core.synthetic.experiments import make_experiment
from tests.made_once import made_once


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the experiment `my-question`: 3 variants × 3 runs × 2 evaluations × 40 tasks."""
    return made_once(tmp_path_factory, "experiment", make_experiment)
