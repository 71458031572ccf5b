"""`run.json` as everybody reads it: the parts that tables and pages name have the types that they rely on."""

from pathlib import Path
from typing import Any

from pydantic import Field

from core.runs.layout import Run
from core.storage.json_records import Count, Record, Text, Whole, read_as

REMEDY = "Restore it, or delete the run's folder and launch again."


class _Training(Record):
    method: Text | None = None


class _Recipe(Record):
    base_model: Text | None = None
    training: _Training = _Training()
    mixture: dict[str, Any] = Field(default_factory=dict)
    prompt: dict[str, Any] = Field(default_factory=dict)


class _Inference(Record):
    engine: Text | None = None


class _Evaluation(Record):
    inference: _Inference = _Inference()
    sources: list[dict[str, Any]] = Field(default_factory=list)


class _Evaluated(Record):
    tasks: Count
    outputs: Count | None = None
    sha256: Text


class _Leak(Record):
    source_a: Text | None = None
    task_a: Text | None = None
    source_b: Text
    task_b: Text
    kind: Text | None = None


class _Engine(Record):
    name: Text | None = None
    version: Text | None = None


class RunRecord(Record):
    """The schema of `run.json`."""

    experiment: Text | None = None
    variant: Text | None = None
    train_seed: Whole | None = None
    created: Text | None = None
    recipe: _Recipe = _Recipe()
    evaluation: _Evaluation = _Evaluation()
    data: dict[Text, Text] = Field(default_factory=dict)
    base_model: Text | None = None
    evaluated: _Evaluated | None = None
    leaks: list[_Leak] = Field(default_factory=list)
    test_time: list[Any] | dict[str, Any] = Field(default_factory=list)
    command: list[Text] = Field(default_factory=list)
    code: dict[Text, Text | None] = Field(default_factory=dict)
    libraries: dict[Text, Text] = Field(default_factory=dict)
    hardware: dict[Text, Any] = Field(default_factory=dict)
    engine: _Engine | None = None
    launched_by: Text | None = None
    fresh: bool = False
    work: Text | None = None
    reused: dict[Text, Any] = Field(default_factory=dict)


def read_record(run: Run) -> dict[str, Any]:
    """What a run was made of. Raises `UserError` where its record is absent or damaged."""
    return read_record_file(run.record_file)


def read_record_file(path: Path) -> dict[str, Any]:
    """The same by the file."""
    return read_as(path, RunRecord, REMEDY).model_dump(exclude_unset=True)
