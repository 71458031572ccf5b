"""What the test-time training of a run came to, group by group: `adapted.json`, or the groups' own files
while the stage goes on."""

from pathlib import Path
from typing import Any

from core.errors import UserError
from core.runs.layout import ADAPT, ADAPTED
from core.storage.records import Count, Record, Text, read_as

RESULT = "group.json"
BEGUN = "begun.json"


class AdaptedGroup(Record):
    """How the training of one group of tasks went. Losses are those of its first and last step (nats per
    counted token), None where there was nothing to learn from; `tokens_per_second` counts the loading of the
    model as well; `weights` is the sha256 of what was trained, `numerics` how it was computed."""

    group: Text
    tasks: list[tuple[Text, Text]]
    demonstrations: Count = 0
    loss_before: float | None = None
    loss_after: float | None = None
    steps: Count | None = None
    seconds: float | None = None
    tokens_per_second: float | None = None
    weights: Text | None = None
    numerics: dict[Text, Any] | None = None


def adapted_groups(run: Path) -> list[AdaptedGroup]:
    """The groups of a run that are adapted, in order, by the run's folder; files that can't be read count as
    absent."""
    try:
        return read_as(run / ADAPTED, list[AdaptedGroup])
    except UserError:
        files = sorted((run / ADAPT).glob(f"*/{RESULT}"))
        return [group for file in files if (group := _read(file)) is not None]


def _read(file: Path) -> AdaptedGroup | None:
    try:
        return read_as(file, AdaptedGroup)
    except UserError:
        return None


def adapted_tasks(run: Path) -> dict[tuple[str, str], AdaptedGroup]:
    """The group of each adapted task, by source and id."""
    return {task: group for group in adapted_groups(run) for task in group.tasks}
