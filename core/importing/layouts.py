"""From the JSON of other people's files to candidates for tasks.

Recognised are: one task, `{"train": […], "test": […]}`; a pool, `[{"input", "output"}, …]`; and, by task
id, tasks, pools `{"train": […], "n_train": k}` and variations `[task, task, …]`. Whether a candidate is
a good task is decided where it is imported.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.curation.stored import DEFAULT_N_TRAIN
from core.errors import UserError

MAX_ID = 200


@dataclass(frozen=True)
class Candidate:
    """A task's JSON before it is checked, with the id and family that it will have; or, where it is
    known to be broken, the problem."""

    task_id: str
    record: Any
    family: str | None = None
    problem: str | None = None


def parse_json(data: bytes, where: str) -> Any:
    """The value of JSON bytes. Raises `UserError` naming `where`."""
    if not data:
        raise UserError(f"{where} is empty. Copy or download it again, or remove it.")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as problem:
        raise UserError(f"{where} is no valid JSON ({problem}). Correct or remove it.") from None


def candidates_in(name: str, value: Any, n_train: Mapping[str, int] | None = None) -> Iterator[Candidate]:
    """The candidates in one file's JSON. `name` is the id of a task that fills the file; `n_train`
    holds the number of demonstrations of pools that do not say (else three).

    Raises `UserError` for JSON of none of the known forms.
    """
    known = n_train or {}
    if _is_task(value):
        yield Candidate(name, value)
    elif isinstance(value, list) and value and _is_pair(value[0]):
        yield _pool(name, value, known)
    elif isinstance(value, Mapping) and value and "train" not in value:
        for task_id, record in value.items():
            yield from _by_id(task_id, record, known)
    else:
        raise UserError(f"{name!r} holds neither a task nor tasks by id. Correct or remove it.")


def _by_id(task_id: str, record: Any, n_train: Mapping[str, int]) -> Iterator[Candidate]:
    if isinstance(record, list) and record and _is_pair(record[0]):
        yield _pool(task_id, record, n_train)
    elif isinstance(record, list) and record:
        for number, variation in enumerate(record):
            yield Candidate(f"{task_id}.{number}", variation, family=task_id)
    else:
        yield Candidate(task_id, record)


def _pool(task_id: str, pairs: list[Any], n_train: Mapping[str, int]) -> Candidate:
    # At least one pair must be left over to ask about.
    wanted = min(n_train.get(task_id, DEFAULT_N_TRAIN), max(1, len(pairs) - 1))
    return Candidate(task_id, {"train": pairs, "n_train": wanted})


def _is_task(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("train"), list)


def _is_pair(value: Any) -> bool:
    return isinstance(value, Mapping) and "input" in value


def with_solutions(candidate: Candidate, solutions: Mapping[str, Any]) -> Candidate:
    """The candidate with its test outputs filled in; unchanged where there are none for it."""
    outputs = solutions.get(candidate.task_id)
    if outputs is None or not _is_task(candidate.record):
        return candidate
    tests = candidate.record.get("test")
    if not isinstance(tests, list) or not isinstance(outputs, list) or len(tests) != len(outputs):
        return _broken(candidate, "Its tests and its solutions differ in number.")
    if not all(isinstance(test, Mapping) for test in tests):
        return _broken(candidate, "A test is no object with 'input'.")
    solved = [{**test, "output": output} for test, output in zip(tests, outputs, strict=True)]
    return Candidate(candidate.task_id, {**candidate.record, "test": solved}, candidate.family)


def _broken(candidate: Candidate, problem: str) -> Candidate:
    return Candidate(candidate.task_id, None, candidate.family, problem)


def is_plain_id(task_id: str) -> bool:
    """Whether an id can be shown, stored and typed: short, printable, without spaces at its ends."""
    return 0 < len(task_id) <= MAX_ID and task_id.isprintable() and task_id == task_id.strip()
