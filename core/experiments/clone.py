"""Cloning an experiment: its frozen spec under a new name, with changes, as a spec that people can edit."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.experiments.listing import chosen_runs
from core.runs.layout import experiment_folder, spec_path
from core.settings import read_yaml
from core.specs.edit import as_yaml, changed_text, save_spec
from core.yaml_text import parse_yaml


def clone_experiment(root: Path, experiment: str, name: str, changes: Sequence[str] = ()) -> Path:
    """Write the spec of a launched experiment as data/experiments/<name>.yaml; the file.

    A change is KEY=VALUE, such as recipe.training.steps=400 or train_seeds=[0,1,2], its value as in YAML.
    Raises `UserError` for an unknown experiment or key, or where another spec has that name.
    """
    chosen_runs(root, experiment)
    data = read_yaml(spec_path(root, experiment))
    text = changed_text(as_yaml(data), ("name",), name)
    for change in changes:
        text = changed_text(text, *_parsed(change))
    if spec_path(root, name).exists():
        raise UserError(f"There is an experiment '{name}' in runs/ already. Choose another name.")
    return save_spec(root, text)


def _parsed(change: str) -> tuple[tuple[str, ...], Any]:
    key, equals, value = change.partition("=")
    if not equals or not all(key.split(".")):
        raise UserError(f"'{change}' is no change. Write KEY=VALUE, such as recipe.training.steps=400.")
    return tuple(key.split(".")), parse_yaml(value, f"The value of {key}")


def free_name(root: Path, experiment: str) -> str:
    """A name for a clone that neither a spec nor an experiment has: name-2, name-3, …"""
    stem = experiment.rstrip("0123456789").removesuffix("-") if "-" in experiment else experiment
    number = 2
    while True:
        name = f"{(stem or experiment)[:60]}-{number}"
        taken = [root / "data" / "experiments" / f"{name}.yaml", experiment_folder(root, name)]
        if not any(path.exists() for path in taken):
            return name
        number += 1
