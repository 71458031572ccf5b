"""Fingerprints of work: equal where a training, or an evaluation of one, would come to the same again."""

from typing import Any

from core.errors import UserError
from core.runs.layout import Run
from core.runs.run_record import read_record
from core.storage.files import fingerprint
from core.storage.json_records import read_as_or_none
from core.storage.model_files import SUMS


def train_fingerprint(record: dict[str, Any]) -> str:
    """The fingerprint of the training that a run's record (`run.json`) describes."""
    recipe = record["recipe"]
    return fingerprint(
        {
            # Where the base model lies does not matter, what it is does.
            # What follows at test time does not change the training, so variants of it train once.
            "recipe": {
                name: value for name, value in recipe.items() if name not in ("base_model", "test_time")
            },
            "base_model": record["base_model"],
            "tasks": record["trained"],
            "held_out": record.get("held_out"),
            "train_seed": record["train_seed"],
            "work": record.get("work"),
            "code": record["code"]["sha256"],
            "libraries": record["libraries"],
        }
    )


def eval_fingerprint(record: dict[str, Any], eval_seed: int) -> str:
    """The fingerprint of one evaluation of the run that a record describes."""
    evaluation = record["evaluation"]
    sources = [share["source"] for share in evaluation["sources"]]
    return fingerprint(
        {
            "training": train_fingerprint(record),
            "test_time": record["recipe"].get("test_time"),
            "evaluation": evaluation,
            "data": {source: record["data"][source] for source in sources},
            "evaluated": record["evaluated"]["sha256"],
            "eval_seed": eval_seed,
        }
    )


def share_a_training(one: Run, other: Run) -> bool:
    """Whether two runs answered by the same trained model: the same work by its fingerprint and, where the
    weights of both are still there, the same numbers (a GPU that trains twice comes to others)."""
    try:
        alike = train_fingerprint(read_record(one)) == train_fingerprint(read_record(other))
    except (UserError, KeyError, TypeError):
        return False
    sums = [_weights(run) for run in (one, other)]
    return alike and (None in sums or sums[0] == sums[1])


def _weights(run: Run) -> dict[str, str] | None:
    for folder in (run.adapter, run.model):
        sums = read_as_or_none(folder / SUMS, dict[str, str])
        if sums is not None:
            return {name: value for name, value in sums.items() if name.endswith(".safetensors")}
    return None
