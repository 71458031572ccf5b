"""Leaks: tasks of one set that give away tasks of another.

Two tasks are the same problem where they have the same id, the same family, or share pairs up to the
8 symmetries and recolouring, forwards or reversed. Small pairs coincide by chance (a 3×3 grid whose
answer is one cell), so shared pairs count once they amount to `EVIDENCE` bits together. Whole tasks that
agree under one view are the same problem however small.
"""

import functools
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from core.arc.tasks import REVERSED_SUFFIX, Pair, Task
from core.curation.canonical import bits, canonical_pair, colour_counts, signatures, view_key, view_sketch
from core.curation.flags import flags_path
from core.curation.source_names import REVERSED, stored_name
from core.curation.sources import list_sources, load_tasks
from core.curation.stored import source_stamp
from core.curation.twins import are_twins
from core.plain_files import Stamp, file_stamp

# In ARC-1, ARC-2, RE-ARC, ConceptARC and Mini-ARC pairs shared by unrelated tasks reach 8 bits; the
# weakest that two tasks share because they follow the same rule has 16.
EVIDENCE = 12.0

KINDS = ("same id", "same family", "same pair", "reversed pair")

TaskKey = tuple[str, str]
Comparable = Callable[[TaskKey, TaskKey], bool]


@dataclass(frozen=True)
class Leak:
    """Task a gives away task b. `kind` is the strongest reason of `KINDS`; `pairs` says how many pairs of
    b are found in a, whichever way round (0 where only id or family agree)."""

    source_a: str
    task_a: str
    source_b: str
    task_b: str
    kind: str
    pairs: int


@dataclass
class _Shared:
    """What two tasks have in common: pairs of b, by index, and the bits of each distinct pair."""

    one: Task
    other: Task
    forwards: set[int] = field(default_factory=set)
    backwards: set[int] = field(default_factory=set)
    evidence: dict[bytes, float] = field(default_factory=dict)

    @functools.cached_property
    def kind(self) -> str | None:
        """The kind of a leak by pairs alone, or None where these can be a coincidence."""
        if sum(self.evidence.values()) >= EVIDENCE:
            return "same pair" if self.forwards else "reversed pair"
        if self.forwards and are_twins(self.one, self.other):
            return "same pair"
        is_reversed = self.backwards and are_twins(self.one.reverse(), self.other)
        return "reversed pair" if is_reversed else None


class _Index:
    """The pairs of many tasks by their signatures, and their canonical forms where these are needed."""

    def __init__(self, tasks: Sequence[Task], forms: dict[bytes, bytes]) -> None:
        """`forms` keeps canonical forms by exact cells; indices share it, as editions share most pairs."""
        known = [(key(task), index, pair) for task in tasks for index, pair in enumerate(task.pairs)]
        kept = [(owner, index, pair) for owner, index, pair in known if pair.output is not None]
        self.owners = [owner for owner, _, _ in kept]
        self.indices = [index for _, index, _ in kept]
        self.pairs = [pair for _, _, pair in kept]
        self.counts_in = colour_counts([pair.input for pair in self.pairs])
        self.counts_out = colour_counts([pair.output for pair in self.pairs if pair.output is not None])
        self._forms = forms

    def rows(self, *, backwards: bool = False) -> dict[bytes, list[int]]:
        """Row numbers by signature; of the reversed pairs where `backwards`."""
        pairs, a, b = self.pairs, self.counts_in, self.counts_out
        if backwards:
            pairs, a, b = [pair.reverse() for pair in pairs], b, a
        found: dict[bytes, list[int]] = defaultdict(list)
        for row, signature in enumerate(signatures(pairs, a, b)):
            found[signature].append(row)
        return found

    def form(self, row: int, *, backwards: bool = False) -> bytes:
        """The canonical form of a row."""
        pair: Pair = self.pairs[row].reverse() if backwards else self.pairs[row]
        assert pair.output is not None
        exact = bytes((*pair.input.shape, *pair.output.shape)) + pair.input.tobytes() + pair.output.tobytes()
        if exact not in self._forms:
            self._forms[exact] = canonical_pair(pair.input, pair.output)
        return self._forms[exact]


def key(task: Task) -> TaskKey:
    """What names a task among all sources."""
    return task.source, task.task_id


def find_leaks(
    tasks_a: Iterable[Task], tasks_b: Iterable[Task], related: Mapping[str, str] | None = None
) -> list[Leak]:
    """All leaks between two sets, by their keys. `related` maps families to a common name where they
    are known to be the same problem (see `related_families`).

    Tasks in both sets are compared with each other once, and never with themselves.
    """
    a = {key(task): task for task in tasks_a}
    b = {key(task): task for task in tasks_b}
    comparable = functools.partial(_comparable, both=a.keys() & b.keys())
    shared = _shared_pairs(a, b, comparable)
    named = _named_alike(a, b, related or {}, comparable)
    leaks = []
    for pair in sorted(shared.keys() | named.keys()):
        common = shared.get(pair)
        kind = named.get(pair) or (common.kind if common else None)
        if kind is not None:
            count = len(common.forwards | common.backwards) if common else 0
            leaks.append(Leak(*pair[0], *pair[1], kind, count))
    return leaks


def _comparable(a: TaskKey, b: TaskKey, both: Set[TaskKey]) -> bool:
    """Whether to compare two tasks: not with itself, and tasks of both sets only one way round."""
    return a != b and not (a > b and a in both and b in both)


def _named_alike(
    a: Mapping[TaskKey, Task],
    b: Mapping[TaskKey, Task],
    related: Mapping[str, str],
    comparable: Comparable,
) -> dict[tuple[TaskKey, TaskKey], str]:
    """Which tasks agree in id or family, and in which."""
    families: dict[str, list[TaskKey]] = defaultdict(list)
    for one, task in a.items():
        for name in {task.family, task.task_id.removesuffix(REVERSED_SUFFIX)}:
            families[related.get(name, name)].append(one)
    found = {}
    for other, task in b.items():
        for name in {task.family, task.task_id.removesuffix(REVERSED_SUFFIX)}:
            for one in families.get(related.get(name, name), ()):
                if comparable(one, other):
                    found[one, other] = "same id" if one[1] == other[1] else "same family"
    return found


def _shared_pairs(
    a: Mapping[TaskKey, Task], b: Mapping[TaskKey, Task], comparable: Comparable
) -> dict[tuple[TaskKey, TaskKey], _Shared]:
    """The pairs that tasks of a and b have in common, forwards or reversed. Tasks that are equal up to a view
    are compared once for all of them: no view changes what a task has in common with another."""
    equal_a, equal_b = _equal_tasks(a), _equal_tasks(b)

    def are_comparable(one: TaskKey, other: TaskKey) -> bool:
        return any(comparable(x, y) for x in equal_a[one] for y in equal_b[other])

    firsts_a, firsts_b = ({one: tasks[one] for one in equal} for tasks, equal in ((a, equal_a), (b, equal_b)))
    return {
        (one, other): common
        for (first_a, first_b), common in _shared_by_firsts(firsts_a, firsts_b, are_comparable).items()
        for one in equal_a[first_a]
        for other in equal_b[first_b]
        if comparable(one, other)
    }


def _equal_tasks(tasks: Mapping[TaskKey, Task]) -> dict[TaskKey, list[TaskKey]]:
    """Tasks with the same pairs up to a view, of pools with the very same ones, all of them by the first."""
    exact: dict[Hashable, list[TaskKey]] = defaultdict(list)
    for one, task in tasks.items():
        exact[tuple(map(_cells, task.pairs))].append(one)
    sketches = {
        cells: view_sketch(tasks[equal[0]]) for cells, equal in exact.items() if not tasks[equal[0]].is_pool
    }
    alike = Counter(sketches.values())
    found: dict[Hashable, list[TaskKey]] = defaultdict(list)
    for cells, equal in exact.items():  # most tasks are told apart by their sketch
        found[view_key(tasks[equal[0]]) if alike[sketches.get(cells)] > 1 else cells] += equal
    return {members[0]: members for members in found.values()}


def _cells(pair: Pair) -> Hashable:
    """What two pairs have in common only where they are equal."""
    return tuple((grid.shape, grid.tobytes()) for grid in (pair.input, pair.output) if grid is not None)


def _shared_by_firsts(
    a: Mapping[TaskKey, Task], b: Mapping[TaskKey, Task], comparable: Comparable
) -> dict[tuple[TaskKey, TaskKey], _Shared]:
    """The pairs that tasks of a and b have in common, forwards or reversed."""
    forms: dict[bytes, bytes] = {}
    index_a, index_b = _Index(list(a.values()), forms), _Index(list(b.values()), forms)
    rows_a = index_a.rows()
    found: dict[tuple[TaskKey, TaskKey], _Shared] = {}
    for backwards in (False, True):
        for signature, members_b in index_b.rows(backwards=backwards).items():
            members_a = rows_a.get(signature)
            if not members_a or not _any_comparable(index_a, members_a, index_b, members_b, comparable):
                continue
            by_form: dict[bytes, list[int]] = defaultdict(list)
            for row in members_a:
                by_form[index_a.form(row)].append(row)
            for row_b in members_b:
                form = index_b.form(row_b, backwards=backwards)
                for row_a in by_form.get(form, ()):
                    names = (index_a.owners[row_a], index_b.owners[row_b])
                    if comparable(*names):
                        common = found.setdefault(names, _Shared(a[names[0]], b[names[1]]))
                        (common.backwards if backwards else common.forwards).add(index_b.indices[row_b])
                        if form not in common.evidence:
                            common.evidence[form] = bits(index_a.counts_in[row_a], index_a.counts_out[row_a])
    return found


def shared_pairs(one: Task, other: Task) -> list[tuple[int, int]]:
    """Which pairs two tasks have in common, forwards or reversed, as indices into their `pairs`; every
    pair of `other` at most once, in its order."""
    forms: dict[bytes, bytes] = {}
    index, others = _Index([one], forms), _Index([other], forms)
    rows = index.rows()
    found: dict[int, int] = {}
    for backwards in (False, True):
        for signature, members in others.rows(backwards=backwards).items():
            by_form = {index.form(row): index.indices[row] for row in reversed(rows.get(signature, ()))}
            for row in members:
                place = by_form.get(others.form(row, backwards=backwards)) if by_form else None
                if place is not None:
                    found.setdefault(others.indices[row], place)
    return [(found[place], place) for place in sorted(found)]


def _any_comparable(
    index_a: _Index, rows_a: list[int], index_b: _Index, rows_b: list[int], comparable: Comparable
) -> bool:
    """Whether rows of one signature belong to two tasks that may be compared at all."""
    owners_a = {index_a.owners[row] for row in rows_a}
    owners_b = {index_b.owners[row] for row in rows_b}
    return any(comparable(one, other) for one in owners_a for other in owners_b)


def related_families(root: Path) -> Mapping[str, str]:
    """Families that are the same problem under two names, each mapped to the first of the names.

    They are found in the imported sources: tasks of two families of which the smaller is contained in
    the other pair by pair. So RE-ARC's pool of ARC-1's 40853293 is known to belong to 070dd51e as well,
    though they have no pair in common.
    """
    stamps = tuple((info.source, source_stamp(root, info.source)) for info in list_sources(root))
    return _related_families(root, stamps)


@functools.lru_cache(maxsize=4)
def _related_families(root: Path, stamps: tuple[tuple[str, tuple[Stamp, Stamp]], ...]) -> Mapping[str, str]:
    tasks = {
        key(task): task
        for source, _ in stamps
        for task in load_tasks(root, source).values()
        if not task.is_pool
    }
    names: dict[str, str] = {}

    def first_name(family: str) -> str:
        while names.get(family, family) != family:
            family = names[family]
        return family

    def strangers(one: TaskKey, other: TaskKey) -> bool:
        return one < other and tasks[one].family != tasks[other].family

    for (one, other), common in _shared_pairs(tasks, tasks, strangers).items():
        fewest = min(len(tasks[one].pairs), len(tasks[other].pairs))
        if common.kind and len(common.forwards | common.backwards) >= fewest:
            low, high = sorted((first_name(tasks[one].family), first_name(tasks[other].family)))
            names[high] = low
    return {family: first_name(family) for family in names}


def leaks_between(root: Path, sources_a: Iterable[str], sources_b: Iterable[str]) -> list[Leak]:
    """The leaks between two lists of sources, related families included."""
    loaded = [
        [task for source in sources for task in load_tasks(root, source).values()]
        for sources in (sources_a, sources_b)
    ]
    return find_leaks(loaded[0], loaded[1], related_families(root))


def leaking_families(root: Path, sources: Sequence[str], evaluated: Sequence[str]) -> frozenset[str]:
    """The families of the evaluated sources' tasks and of all tasks of `sources` that give one away.

    A family goes as a whole: where a task shares a pair with an evaluated one, its pool or its reversed
    twin teaches the same. Raises `UserError` for a source that was not imported.
    """
    if not evaluated:
        return frozenset()
    names = (*sources, *evaluated)
    stamps = tuple(source_stamp(root, stored_name(name)) for name in names)
    derived = any(name.startswith(REVERSED) for name in names)
    flags = file_stamp(flags_path(root)) if derived else (0, 0)
    return _leaking_families(root, tuple(sources), tuple(evaluated), stamps, flags)


@functools.lru_cache(maxsize=16)
def _leaking_families(
    root: Path,
    sources: tuple[str, ...],
    evaluated: tuple[str, ...],
    _stamps: tuple[tuple[Stamp, Stamp], ...],
    _flags: Stamp,
) -> frozenset[str]:
    tasks = {key(task): task for name in sources for task in load_tasks(root, name).values()}
    found = {task.family for name in evaluated for task in load_tasks(root, name).values()}
    for leak in leaks_between(root, sources, evaluated):
        found.add(tasks[leak.source_a, leak.task_a].family)
    related = related_families(root)
    first = {related.get(family, family) for family in found}
    return frozenset(found | {family for family, name in related.items() if name in first})
