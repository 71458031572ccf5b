"""The tiny spec of the tests as a file and as a spec."""

from pathlib import Path
from typing import Any

import yaml

from core.specs.spec import ExperimentSpec, read_spec
from tests.training.tiny import tiny_spec


def spec_file(root: Path, **changes: Any) -> Path:
    """The tiny spec with changes, written to `data/experiments/trial.yaml`."""
    path = root / "data" / "experiments" / "trial.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(tiny_spec(**changes)))
    return path


def spec_of(root: Path, **changes: Any) -> ExperimentSpec:
    """The tiny spec with changes, read back from its file."""
    return read_spec(spec_file(root, **changes))
