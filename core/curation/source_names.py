"""Names of sources that are derived from stored ones: `reversed:<source>`, `demos:<source>`,
`reversed:demos:<source>`, and `drawn:<source>` of a source of pools."""

from collections.abc import Sequence
from dataclasses import replace

from core.arc.tasks import REVERSED_SUFFIX, Task
from core.errors import UserError
from core.seeds import generator

REVERSED = "reversed:"
DEMOS = "demos:"
DRAWN = "drawn:"
_SEED = 0


def stored_name(source: str) -> str:
    """The name of the stored source that a source is, or is derived from. Raises `UserError` for prefixes
    that don't go together."""
    if is_drawn(source):
        name = source.removeprefix(DRAWN)
    else:
        name = source.removeprefix(REVERSED).removeprefix(DEMOS)
    if name.startswith((REVERSED, DEMOS, DRAWN)):
        raise UserError(
            f"'{source}' is no name for a source. The demonstrations of reversed tasks are"
            f" {REVERSED}{DEMOS}…; what is drawn from pools, {DRAWN}…, goes with no other prefix."
        )
    return name


def is_drawn(source: str) -> bool:
    """Whether the tasks of a source are drawn from pools, to be evaluated."""
    return source.startswith(DRAWN)


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
    each is predicted from all others. A single demonstration has no others."""
    return replace(task, source=source, test=(), n_train=len(task.train) - 1)


def asked_without_demonstrations(tasks: Sequence[Task]) -> list[str]:
    """Ids of the tasks that have a single demonstration, which is predicted from no other."""
    return [task.task_id for task in tasks if task.n_train == 0]


def drawn_from(pool: Task, source: str) -> Task:
    """A task of `source` drawn from a pool: as many demonstrations as the pool shows, and one test pair. What
    is drawn depends on the pool's source, id and pairs alone."""
    rng = generator(_SEED, "drawn from pool", pool.source, pool.task_id)
    *shown, tested = rng.permutation(len(pool.train))[: (pool.n_train or 0) + 1]
    train = tuple(pool.train[index] for index in shown)
    return replace(pool, source=source, train=train, test=(pool.train[tested],), n_train=None)
