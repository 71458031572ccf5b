"""Who launched stands in the record of every run, and every launch in a line of the experiment."""

from pathlib import Path

import pytest

from core.commands.command_text import given_command
from core.launching import launch as launch_module
from core.launching.launch import LAUNCHES, launch
from core.runs.layout import experiment_folder
from core.storage.files import read_json, read_records
from tests.specs.tiny import spec_of


def test_the_command_is_kept_as_typed_without_the_folders_of_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.argv", ["/home/ada/lab/core/__main__.py", "launch", "trial"])
    assert given_command() == ["python", "-m", "core", "launch", "trial"]
    away = ["--root", "/home/ada/lab", "launch", "--wait", "/home/ada/specs/x.yaml", "--root=/home/ada"]
    monkeypatch.setattr("sys.argv", ["/home/ada/lab/.venv/bin/workbench", *away])
    assert given_command() == ["workbench", "launch", "--wait", "x.yaml"]


def test_launches_carry_a_name(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Path] = []
    monkeypatch.setattr(launch_module, "ensure_worker", started.append)
    spec = spec_of(root)
    (run,) = launch(root, spec, ["launch"], by="ada")
    launch(root, spec, ["launch", "again"], by="bob")
    assert started == [root, root]
    assert read_json(run.folder / "run.json")["launched_by"] == "ada"
    lines = read_records(experiment_folder(root, spec.name) / LAUNCHES)
    assert [(line["by"], line["command"]) for line in lines] == [
        ("ada", ["launch"]),
        ("bob", ["launch", "again"]),
    ]
