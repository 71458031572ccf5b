"""Names of sources that are derived from stored ones: `reversed:<source>`, `demos:<source>` and
`reversed:demos:<source>`."""

from collections.abc import Sequence
from dataclasses import replace

from core.arc.tasks import REVERSED_SUFFIX, Task
from core.errors import UserError

REVERSED = "reversed:"
DEMOS = "demos:"


def stored_name(source: str) -> str:
    """The name of the stored source that a source is, or is derived from. Raises `UserError` for prefixes in
    another order."""
    name = source.removeprefix(REVERSED).removeprefix(DEMOS)
    if name.startswith((REVERSED, DEMOS)):
        raise UserError(
            f"'{source}' is no name for a source. Write the demonstrations of reversed tasks as"
            f" {REVERSED}{DEMOS}{name.removeprefix(REVERSED).removeprefix(DEMOS)}."
        )
    return name


def is_demonstrations(source: str) -> bool:
    """Whether the tasks of a source are demonstrations alone."""
    return source.removeprefix(REVERSED).startswith(DEMOS)


def stored_key(source: str, task_id: str) -> tuple[str, str]:
    """Source and id of the stored task that a task is, or is derived from."""
    if source.startswith(REVERSED):
        task_id = turned_id(task_id)
    return stored_name(source), task_id


def turned_id(task_id: str) -> str:
    """The id of a task turned around: of a reversed task that of its original, and the other way round."""
    plain = task_id.removesuffix(REVERSED_SUFFIX)
    return plain if plain != task_id else task_id + REVERSED_SUFFIX


def demonstrations_of(task: Task, source: str) -> Task:
    """The demonstrations of a task as a task of `source`, its test pairs left behind: a pool from which
    each is asked from all others. A single demonstration is asked from none."""
    return replace(task, source=source, test=(), n_train=len(task.train) - 1)


def asked_without_demonstrations(tasks: Sequence[Task]) -> list[str]:
    """Ids of the tasks that have a single demonstration, so that it is asked from none."""
    return [task.task_id for task in tasks if task.n_train == 0]
