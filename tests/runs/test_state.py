"""What the list of runs says of them, while nothing or somebody works on them."""

import json
import time
from dataclasses import asdict
from pathlib import Path

from core.experiments.listing import run_records
from core.launching.launch import prepare
from core.machine.processes import Identity
from core.runs.layout import WORKER, experiment_folder
from core.runs.supervisors import SECONDS_TO_BEGIN
from core.storage.files import write_json
from tests.specs.tiny import spec_of


def forget(root: Path, experiment: str, seconds: float) -> None:
    """Let the states of all runs be so many seconds old."""
    states = list(experiment_folder(root, experiment).glob("*/train-*/state.json"))
    assert states
    for path in states:
        write_json(path, {**json.loads(path.read_text()), "updated": time.time() - seconds})


def test_a_queued_run_without_a_worker_is_marked(root: Path) -> None:
    spec = spec_of(root)
    prepare(root, spec, ["launch"])
    assert {record["error"] for record in run_records(root, spec.name)} == {None}
    forget(root, spec.name, SECONDS_TO_BEGIN + 1)
    for record in run_records(root, spec.name):
        assert record["state"] == "queued"
        assert record["error"] == f"Nothing works on it. Go on with: python -m core runs resume {spec.name}"


def test_a_queued_run_whose_worker_lives_just_waits(root: Path) -> None:
    spec = spec_of(root)
    prepare(root, spec, ["launch"])
    forget(root, spec.name, SECONDS_TO_BEGIN + 1)
    write_json(root / "runs" / WORKER, asdict(Identity.own()))
    assert {record["error"] for record in run_records(root, spec.name)} == {None}
