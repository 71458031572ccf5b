"""What the test-time training of a run came to, group by group: `adapted.json`, or the groups' own files
while the stage goes on."""

from pathlib import Path
from typing import Any

from core.runs.layout import ADAPT, ADAPTED
from core.storage.json_records import Amount, Count, Record, Text, read_as, read_as_or_none

RESULT = "group.json"
BEGUN = "begun.json"
REMEDY = "Restore it, or delete it and launch the experiment again: its groups are trained once more."


class Course(Record):
    """How a training goes: the losses of its first and last step (nats per counted token), None where there
    was nothing to learn from; `tokens_per_second` counts the loading of the model as well; `numerics` is how
    it is computed."""

    loss_before: float | None = None
    loss_after: float | None = None
    steps: Count | None = None
    seconds: Amount | None = None
    tokens_per_second: Amount | None = None
    numerics: dict[Text, Any] | None = None


class AdaptedGroup(Course):
    """How the training of one group of tasks went: on how many `demonstrations`; or how many are `too_long`,
    where no sample of them fits and nothing was learned. `weights` is the sha256 of what was trained."""

    group: Text
    tasks: list[tuple[Text, Text]]
    demonstrations: Count = 0
    too_long: Count = 0
    weights: Text | None = None


def adapted_groups(run: Path) -> list[AdaptedGroup]:
    """The groups of a run that are adapted, in order, by the run's folder. While the stage goes on, a group
    whose file can't be read counts as absent. Raises `UserError` where it is done and `adapted.json` can't be
    read: nobody shall answer without weights that there were."""
    if (run / ADAPTED).exists():
        return read_as(run / ADAPTED, list[AdaptedGroup], REMEDY)
    files = sorted((run / ADAPT).glob(f"*/{RESULT}"))
    return [group for file in files if (group := read_as_or_none(file, AdaptedGroup)) is not None]


def adapted_tasks(run: Path) -> dict[tuple[str, str], AdaptedGroup]:
    """The group of each adapted task, by source and id. Raises `UserError` like `adapted_groups`."""
    return {task: group for group in adapted_groups(run) for task in group.tasks}
