"""Candidates, as files hold them, become the tasks of a stored source.

A task that is broken is left out and listed in the source's record with the reason; only a set without
any good task is refused.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.arc.tasks import Task, parse_pairs, parse_task
from core.curation.stored import Dropped, SourceInfo, store_source
from core.errors import UserError
from core.importing.archives import MAX_MEMBERS, is_placeholder
from core.importing.kaggle import PLACEHOLDER
from core.importing.layouts import LAYOUTS, Candidate, is_plain_id

MAX_LISTED = 1_000  # dropped tasks that a record names
MAX_REASON = 300
MAX_PAIRS = 1_000_000
"""Pairs of one source, which is held in memory as a whole: about 700 MB of small ones."""


def store_candidates(root: Path, info: SourceInfo, candidates: Iterable[Candidate]) -> SourceInfo:
    """Check the candidates, store the good ones under `info` and list the others in it.

    Raises `UserError`, with the first reason, where no task is good; then nothing is written.
    """
    return store_source(root, *checked_candidates(info, candidates))


def checked_candidates(info: SourceInfo, candidates: Iterable[Candidate]) -> tuple[SourceInfo, list[Task]]:
    """The same without storing them."""
    tasks: dict[str, Task] = {}
    dropped: list[Dropped] = []
    pairs = 0
    for candidate in candidates:
        name = _shown(candidate.task_id)
        if candidate.problem is None and candidate.task_id in tasks:
            dropped.append(Dropped(name, _why_doubled(candidate, tasks[candidate.task_id]), "doubled"))
            continue
        try:
            task, bad = _checked(candidate, info.source)
        except UserError as problem:
            dropped.append(Dropped(name, _shown(str(problem)), candidate.kind))
        else:
            tasks[task.task_id] = task
            pairs += len(task.pairs)
            dropped += [Dropped(name, _shown(reason), "pair") for reason in bad]
        if len(tasks) + len(dropped) > 50 * MAX_MEMBERS or pairs > MAX_PAIRS:
            raise UserError(
                f"{info.origin} holds more than {50 * MAX_MEMBERS:,} tasks or {MAX_PAIRS:,} pairs. Import a"
                " part of it."
            )
    if not tasks:
        raise _nothing_read(info.origin, dropped)
    rest = Counter(one.kind for one in dropped[MAX_LISTED:])
    more = [Dropped("…", "others like these", kind, count) for kind, count in rest.items()]
    dropped = [*dropped[:MAX_LISTED], *more]
    return replace(info, dropped=tuple(dropped)), list(tasks.values())


def _nothing_read(origin: str, dropped: list[Dropped]) -> UserError:
    """The error for a set without any good task: why, and which layouts are read."""
    first = min(dropped, key=lambda one: one.kind == "skipped", default=None)
    reason = first.reason if first else "There is no .json file with a task in it."
    return UserError(f"Nothing of {origin} could be imported. {reason} These layouts are read:\n{LAYOUTS}")


def _why_doubled(candidate: Candidate, first: Task) -> str:
    """What a candidate is whose id came before it."""
    if is_placeholder(candidate.place):
        return PLACEHOLDER
    try:
        again, _ = _checked(candidate, first.source)
    except UserError:
        return "A task of this id came before it; this one is broken."
    same = (again.train, again.test) == (first.train, first.test)
    return "A task of this id came before it: " + ("the same." if same else "another one, which was taken.")


def _checked(candidate: Candidate, source: str) -> tuple[Task, list[str]]:
    """The task of a candidate and, of a pool, what is wrong with the pairs that it leaves out."""
    if candidate.problem is not None:
        raise UserError(candidate.problem)
    if not is_plain_id(candidate.task_id):
        raise UserError("Its id is empty, too long or holds characters that can't be shown.")
    record, bad = candidate.record, list[str]()
    try:
        task = parse_task(record, task_id=candidate.task_id, source=source, family=candidate.family)
    except UserError:
        record, bad = _good_pairs(record)
        if not bad and not candidate.bad_pairs:
            raise
        task = parse_task(record, task_id=candidate.task_id, source=source, family=candidate.family)
    return task, [*candidate.bad_pairs, *bad]


def _good_pairs(record: Any) -> tuple[Any, list[str]]:
    """A pool without its bad pairs, and what is wrong with these; none are left out of anything else."""
    if not isinstance(record, Mapping) or type(record.get("n_train")) is not int or record.get("test"):
        return record, []
    good: list[Any] = []
    bad: list[str] = []
    for number, pair in enumerate(record["train"] if isinstance(record.get("train"), list) else ()):
        try:
            parse_pairs([pair], "Pair", outputs_required=True)
            good.append(pair)
        except UserError as problem:
            bad.append(str(problem).replace("Pair 0", f"Pair {number}", 1))
    return {**record, "train": good, "n_train": max(1, min(record["n_train"], len(good) - 1))}, bad


def _shown(text: str) -> str:
    """A text from outside, short and without characters that would change the terminal."""
    plain = "".join(letter if letter.isprintable() else "�" for letter in text[: MAX_REASON + 1])
    return plain if len(plain) <= MAX_REASON else plain[: MAX_REASON - 1] + "…"
