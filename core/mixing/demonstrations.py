"""Demonstrations of tasks as a source of their own, `demos:<source>`: what test-time training learns from.

The demonstrations of a task are given with it; its test pairs are not. So a training may see the
demonstrations of the very tasks that it will be evaluated on, each predicted from the others (*leave-one-
out*), as long as no pair that it sees equals a test pair of an evaluated task. Nothing here ever reads a test
pair into a training task.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from core.arc.tasks import Pair, Task
from core.curation.canonical import canonical_pair, colour_counts, signatures
from core.curation.leaks import Leak, TaskKey, find_leaks, key
from core.curation.source_names import is_demonstrations, stored_key

KIND = "test pair"
"""The kind of a leak by a demonstration that equals a test pair of an evaluated task."""


@dataclass(frozen=True)
class TestTime:
    """What demonstrations in a mixture are to the evaluated tasks: `seen` are those evaluated tasks whose
    demonstrations are trained on, by source and id; `leaks` what goes beyond that."""

    seen: tuple[TaskKey, ...]
    leaks: tuple[Leak, ...]


def pair_forms(tasks: Iterable[Task], *, tests_only: bool = False) -> dict[bytes, list[TaskKey]]:
    """The tasks by the canonical forms of their pairs with known outputs, read forwards and backwards: what
    two pairs share that are equal up to symmetry, recolouring and reversal."""
    found: dict[bytes, list[TaskKey]] = defaultdict(list)
    for task in tasks:
        for pair in task.test if tests_only else task.pairs:
            if pair.output is not None:
                found[pair_form(pair)].append(key(task))
    return found


def pair_form(pair: Pair) -> bytes:
    """The same for all pairs that are equal up to symmetry, recolouring and reversal. The output is known."""
    assert pair.output is not None
    return min(canonical_pair(pair.input, pair.output), canonical_pair(pair.output, pair.input))


def without_pairs(pairs: Sequence[Pair], others: Sequence[Pair]) -> list[Pair]:
    """The pairs that equal none of the others up to symmetry, recolouring and reversal; all outputs known."""
    return [pair for pair, found in zip(pairs, are_among(pairs, others), strict=True) if not found]


def are_among(pairs: Sequence[Pair], others: Sequence[Pair]) -> list[bool]:
    """For each pair, whether one of the others equals it as above; all outputs known.

    Forms take time and are made only where both sides share a signature, for pools hold a thousand pairs.
    """
    own = _signatures(pairs)
    either_way = list(zip(_signatures(others), _signatures([pair.reverse() for pair in others]), strict=True))
    shared = set(own) & {signature for two in either_way for signature in two}
    forms = {
        pair_form(pair) for pair, two in zip(others, either_way, strict=True) if not shared.isdisjoint(two)
    }
    return [
        signature in shared and pair_form(pair) in forms for pair, signature in zip(pairs, own, strict=True)
    ]


def _signatures(pairs: Sequence[Pair]) -> list[bytes]:
    if not pairs:
        return []
    outputs = [pair.output for pair in pairs if pair.output is not None]
    return signatures(pairs, colour_counts([pair.input for pair in pairs]), colour_counts(outputs))


def compare_demonstrations(
    trained: Sequence[Task], evaluated: Sequence[Task], related: Mapping[str, str]
) -> TestTime:
    """Which evaluated tasks the `demos:` tasks of a mixture belong to, and which of them leak.

    A pair that equals a test pair of an evaluated task is a leak, however small. So is a task that
    `find_leaks` relates to an evaluated task without being made of that one's demonstrations alone.
    """
    tested = pair_forms(evaluated, tests_only=True)
    by_key = {key(task): task for task in evaluated}
    leaks: list[Leak] = []
    for task in trained:
        shared: dict[TaskKey, int] = defaultdict(int)
        for form, owners in pair_forms([task]).items():
            for other in set(tested.get(form, ())):
                shared[other] += len(owners)
        leaks += [Leak(*key(task), *other, KIND, count) for other, count in sorted(shared.items())]
    leaking = {((leak.source_a, leak.task_a), (leak.source_b, leak.task_b)) for leak in leaks}
    members = {key(task): task for task in trained}
    seen = {stored_key(*one) for one in members} & by_key.keys()
    for leak in find_leaks(trained, evaluated, related):
        one, other = (leak.source_a, leak.task_a), (leak.source_b, leak.task_b)
        if (one, other) in leaking or stored_key(*one) == other:
            continue
        if pair_forms([members[one]]).keys() <= _demonstrations_of(by_key[other]).keys():
            seen.add(other)
        else:
            leaks.append(leak)
    return TestTime(tuple(sorted(seen)), tuple(leaks))


def _demonstrations_of(task: Task) -> dict[bytes, list[TaskKey]]:
    return pair_forms([replace(task, test=())])


def split_demonstrations(tasks: Iterable[Task]) -> tuple[list[Task], list[Task]]:
    """The tasks of ordinary sources, and those of `demos:` sources."""
    members = list(tasks)
    demos = [task for task in members if is_demonstrations(task.source)]
    return [task for task in members if not is_demonstrations(task.source)], demos
