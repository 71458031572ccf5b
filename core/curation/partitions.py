"""Partitions: named lists of tasks in `data/partitions/<partition>.json`, such as train and validation.

A list is called `<partition>/<list>`. Whole families are dealt out, and families known to be the same
problem together, so that twins never stand on two lists.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field

from core.arc.tasks import REVERSED_SUFFIX, Task
from core.curation.flag_rules import FlagRule
from core.curation.leaks import find_leaks, related_families
from core.curation.source_names import stored_name
from core.curation.sources import load_tasks
from core.curation.stored import unknown_task
from core.errors import UserError
from core.seeds import generator
from core.storage.files import write_json
from core.storage.json_records import Record, Text, read_as

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

Lists = dict[str, dict[str, list[str]]]
"""Task ids by list and source."""


@dataclass(frozen=True)
class Partition:
    """Named lists of tasks, and how they were drawn."""

    name: str
    sources: tuple[str, ...]
    seed: int
    lists: Lists

    def counts(self) -> dict[str, int]:
        """The number of tasks on each list."""
        return {name: sum(map(len, members.values())) for name, members in self.lists.items()}


def partition_path(root: Path, partition: str) -> Path:
    """Where a partition lies. Raises `UserError` for a name that is no plain file name."""
    if not _NAME.fullmatch(partition):
        raise UserError(f"'{partition}' is no name for a partition. Use letters, digits, '.', '_' and '-'.")
    return root / "data" / "partitions" / f"{partition}.json"


def split(
    root: Path, partition: str, sources: Sequence[str], sizes: Mapping[str, int], seed: int
) -> Partition:
    """Deal the tasks of `sources` out to lists of exactly the sizes that are wanted, and store them.

    Groups of related tasks stay together, the largest are dealt first, and each goes to a list drawn with
    the room that it has left as its weight; tasks beyond the wanted ones are left over in the same way.
    Raises `UserError` where there are fewer tasks than wanted or the groups do not fit.
    """
    path = partition_path(root, partition)
    tasks = [task for source in sources for task in load_tasks(root, source).values()]
    wanted = sum(sizes.values())
    if not sizes or min(sizes.values()) < 1:
        raise UserError("A partition needs lists of at least one task, such as --train 700 --val 100.")
    if wanted > len(tasks):
        raise UserError(
            f"{wanted} tasks are wanted, but {', '.join(sources)} hold {len(tasks)}. Ask for fewer."
        )
    groups = _groups(tasks, related_families(root))
    rng = generator(seed, "partition", *sources)
    order = sorted(rng.permutation(len(groups)), key=lambda index: -len(groups[index]))
    names = [*sizes, ""]  # "" takes what is left over
    room = np.array([*sizes.values(), len(tasks) - wanted])
    lists: Lists = {name: defaultdict(list) for name in names}
    for group in (groups[index] for index in order):
        weights = np.where(room >= len(group), room, 0)
        if not weights.any():
            raise UserError(
                f"{len(group)} related tasks, among them {group[0].task_id}, must stay together but fit no"
                " list. Make one of the lists larger."
            )
        chosen = int(rng.choice(len(names), p=weights / weights.sum()))
        room[chosen] -= len(group)
        for task in group:
            lists[names[chosen]][task.source].append(task.task_id)
    del lists[""]
    ordered = {name: {source: sorted(ids) for source, ids in one.items()} for name, one in lists.items()}
    write_json(path, {"sources": list(sources), "seed": seed, "lists": ordered})
    return Partition(partition, tuple(sources), seed, ordered)


def _groups(tasks: Sequence[Task], related: Mapping[str, str]) -> list[list[Task]]:
    """Tasks that must stay together: of one family, or found to leak into each other."""
    parent: dict[str, str] = {}

    def first(name: str) -> str:
        while parent.get(name, name) != name:
            name = parent[name]
        return name

    families = {(task.source, task.task_id): related.get(task.family, task.family) for task in tasks}
    for leak in find_leaks(tasks, tasks, related):
        a, b = (families[leak.source_a, leak.task_a], families[leak.source_b, leak.task_b])
        low, high = sorted((first(a), first(b)))
        parent[high] = low
    groups: dict[str, list[Task]] = defaultdict(list)
    for task in sorted(tasks, key=lambda task: (task.source, task.task_id)):
        groups[first(families[task.source, task.task_id])].append(task)
    return [groups[name] for name in sorted(groups)]


def list_partitions(root: Path) -> list[Partition]:
    """All partitions that can be read, by name."""
    return [found for found in _partitions(root) if isinstance(found, Partition)]


def partition_problems(root: Path) -> list[str]:
    """Why files of partitions can't be read, a sentence for each; such partitions are in no list."""
    return [str(found) for found in _partitions(root) if isinstance(found, UserError)]


def _partitions(root: Path) -> Iterator[Partition | UserError]:
    for path in sorted((root / "data" / "partitions").glob("*.json")):
        if path.is_file() and not path.name.startswith("."):
            try:
                yield load_partition(root, path.stem)
            except UserError as problem:
                yield problem


def load_partition(root: Path, partition: str) -> Partition:
    """A partition by name. Raises `UserError` where it does not exist or is damaged."""
    path = partition_path(root, partition)
    if not path.is_file():
        known = sorted(found.stem for found in path.parent.glob("*.json") if found.is_file())
        listed = f"Known partitions: {', '.join(known)}." if known else "There is none yet."
        raise UserError(
            f"There is no partition '{partition}'. {listed} Run: python -m core data split --help"
        )
    found = read_as(path, _Stored, "Delete it and run: python -m core data split")
    return Partition(partition, tuple(found.sources), found.seed, found.lists)


class _Stored(Record):
    """The schema of a partition's file."""

    sources: list[Text] = Field(default_factory=list)
    seed: int = 0
    lists: dict[Text, dict[Text, list[Text]]]


def listed_tasks(root: Path, source: str, name: str, rule: FlagRule = FlagRule()) -> dict[str, Task]:
    """The tasks of `source` on the list `<partition>/<list>`, by id.

    A reversed source takes part through its original: a reversed task is on the list that holds the
    task it was turned from. Raises `UserError` for an unknown partition or list.
    """
    partition, _, part = name.partition("/")
    lists = load_partition(root, partition).lists
    if part not in lists:
        raise UserError(
            f"Partition '{partition}' has no list '{part}'. Use one of:"
            f" {', '.join(f'{partition}/{known}' for known in sorted(lists))}."
        )
    listed = {*lists[part].get(source, ()), *lists[part].get(stored_name(source), ())}
    return {
        task_id: task
        for task_id, task in load_tasks(root, source, rule).items()
        if task_id in listed or task_id.removesuffix(REVERSED_SUFFIX) in listed
    }


def chosen_tasks(
    root: Path, source: str, name: str | None, exclude: Sequence[str], rule: FlagRule = FlagRule()
) -> list[Task]:
    """The tasks of a source, or those on a list of a partition, without the excluded ones; `rule` says which
    flags make a reversed source.

    Raises `UserError` where source, list or an excluded task is unknown.
    """
    known = load_tasks(root, source, rule)
    for task_id in exclude:
        if task_id not in known:
            raise unknown_task(task_id, list(known), f"source '{source}', though it is to be excluded")
    tasks = known if name is None else listed_tasks(root, source, name, rule)
    return [task for task in tasks.values() if task.task_id not in exclude]
