"""From the JSON of other people's files to candidates for tasks.

Whether a candidate is a good task is decided where it is imported. `LAYOUTS` says what is read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from core.curation.stored import DEFAULT_N_TRAIN
from core.errors import UserError
from core.plain_files import decoded
from core.storage.untrusted_json import Repeated, is_by_line, lines_of, parse_json

MAX_ID = 200
_NAMES = ("id", "task_id", "name")

LAYOUTS = """\
One task, named by its file:
  {"train": [{"input": [[0, 1]], "output": [[1, 0]]}, …],
   "test": [{"input": [[2, 3]], "output": [[3, 2]]}]}
Tasks by id, as on Kaggle; solutions lie beside them as {"a1": [[[3, 2]]]}:
  {"a1": {"train": […], "test": […]},
   "b2": {"train": […], "test": […]}}
A list of tasks, or one on each line of a .jsonl file; id, task_id or name is optional:
  {"id": "a1", "train": […], "test": […]}
  {"id": "b2", "examples": [[[[0, 1]], [[1, 0]]], …]}
A pool of pairs without a test, alone or by id:
  [{"input": [[0, 1]], "output": [[1, 0]]}, …]
  {"a1": {"train": […], "n_train": 3}}
Variations of a task, by its id:
  {"a1": [{"train": […], "test": […]},
          {"train": […], "test": […]}]}
Each may end in .gz, and lie in a folder or a zip."""
"""What is read, with an example of each, to be shown where a file is none of these."""


@dataclass(frozen=True)
class Candidate:
    """A task's JSON before it is checked, with the id and family that it will have; or, where it is
    known to be broken, the problem. `place` says which file it comes from, `kind` what becomes of it where
    it has a problem: one of the kinds of `Dropped`; `bad_pairs` says of each pair of a pool that was left out
    already what is wrong with it."""

    task_id: str
    record: Any
    family: str | None = None
    problem: str | None = None
    place: str = ""
    kind: str = "dropped"
    bad_pairs: tuple[str, ...] = ()


class UnknownLayoutError(UserError):
    """A file is valid JSON and holds no task in a layout that is read."""


def candidates_in_file(name: str, data: bytes, where: str, n_train: Mapping[str, int]) -> Iterator[Candidate]:
    """The candidates in a file, which holds one value, or one object on each of several lines. A broken line
    is one broken candidate. Raises `UserError` for a file of none of the known layouts."""
    text = decoded(data, where)
    if not is_by_line(text):
        yield from candidates_in(name, parse_json(text, where, repeated=True), n_train)
        return
    for number, line in lines_of(text):
        try:
            value = parse_json(line, f"{where}, line {number}", repeated=True)
            if not isinstance(value, Mapping):
                raise UserError(f"{where}, line {number} is no JSON object. Give one task on each line.")
            yield from candidates_in(f"{name}.{number - 1}", value)
        except UserError as problem:
            yield Candidate(f"{where}, line {number}", None, problem=str(problem))


def candidates_in(name: str, value: Any, n_train: Mapping[str, int] | None = None) -> Iterator[Candidate]:
    """The candidates in one file's JSON. `name` is the id of a task that fills the file; `n_train`
    holds the number of demonstrations of pools that do not say (else three).

    Raises `UserError` for JSON of none of the known layouts.
    """
    known = n_train or {}
    value = _unwrapped(value)
    if _is_task(value) or _has_examples(value):
        yield _plain(_named(value, name), value, known)
    elif isinstance(value, list) and value and (_is_pair(value[0]) or _is_couple(value[0])):
        yield _pool(name, value, known)
    elif isinstance(value, list) and value and any(_is_task(one) or _has_examples(one) for one in value):
        yield from (_listed(name, number, record) for number, record in enumerate(value))
    elif isinstance(value, Mapping) and any(_may_be_tasks(record) for record in value.values()):
        for task_id, record in value.items():
            yield from _by_id(task_id, record, known)
        for task_id, record in value.later if isinstance(value, Repeated) else ():
            what = "the same task" if record == value[task_id] else "another task; the first was taken"
            problem = f"The id stands twice in the file: {what}."
            yield Candidate(task_id, None, problem=problem, kind="doubled")
    elif is_submission(value):
        raise UnknownLayoutError(f"{name!r} is a submission: it holds answers, no tasks.")
    else:
        raise UnknownLayoutError(f"{name!r} holds no task in a layout that is read.")


def _unwrapped(value: Any) -> Any:
    """The list inside `{"tasks": [task, …]}`, whose tasks name themselves; any other value as it is."""
    alone = isinstance(value, Mapping) and len(value) == 1 and not isinstance(value, Repeated)
    inside = next(iter(value.values())) if alone else None
    named = isinstance(inside, list) and all(_is_task(one) and _named(one, "") for one in inside)
    return inside if inside and named else value


def is_submission(value: Any) -> bool:
    """Whether a file's JSON holds answers instead of tasks: {id: [{"attempt_1": grid, …}, …]}."""
    if not isinstance(value, Mapping) or not value:
        return False
    listed = [outputs for outputs in value.values() if isinstance(outputs, list)]
    return len(listed) == len(value) and all(
        isinstance(one, Mapping) and any(key.startswith("attempt_") for key in one)
        for outputs in listed
        for one in outputs
    )


def _may_be_tasks(record: Any) -> bool:
    """Whether an object's value is a task, a pool or variations of a task."""
    if isinstance(record, list):
        return bool(record) and (_is_pair(record[0]) or _is_couple(record[0]) or _is_task(record[0]))
    return _is_task(record) or _has_examples(record)


def _by_id(task_id: str, record: Any, n_train: Mapping[str, int]) -> Iterator[Candidate]:
    if isinstance(record, list) and record and not (_is_pair(record[0]) or _is_couple(record[0])):
        for number, variation in enumerate(record):
            yield replace(_plain(f"{task_id}.{number}", variation, n_train), family=task_id)
    else:
        yield _plain(task_id, record, n_train)


def _listed(name: str, number: int, record: Any) -> Candidate:
    """A task of a list, by the id that it names or its place in the list."""
    return _plain(_named(record, f"{name}.{number}"), record, {})


def _named(record: Any, otherwise: str) -> str:
    """The id that a record gives itself; a number is one too."""
    for key in _NAMES if isinstance(record, Mapping) else ():
        value = record.get(key)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            return str(value).strip()
    return otherwise


def _plain(task_id: str, record: Any, n_train: Mapping[str, int]) -> Candidate:
    """A candidate whose pairs are `{"input", "output"}`, whatever form they had."""
    if isinstance(record, Repeated):
        return Candidate(task_id, None, problem=_twice(record), kind="doubled")
    if isinstance(record, list):
        return _pool(task_id, record, n_train)
    if not isinstance(record, Mapping):
        return Candidate(task_id, record)
    if _has_examples(record) and "train" not in record:
        return _pool(task_id, record["examples"], n_train)
    listed = {key: record[key] for key in ("train", "test") if isinstance(record.get(key), list)}
    twice = tuple(reason for pairs in listed.values() for reason in _doubled_in(pairs))
    is_pool = type(record.get("n_train")) is int and not record.get("test")
    if twice and not is_pool:
        return Candidate(task_id, None, problem=twice[0], kind="doubled")
    return Candidate(
        task_id, {**record, **{key: _pairs(pairs) for key, pairs in listed.items()}}, bad_pairs=twice
    )


def _twice(record: Repeated) -> str:
    return f"The key {record.later[0][0][:80]!r} stands there twice."


def _doubled_in(pairs: list[Any]) -> list[str]:
    """Of each pair in which a key stands twice, which one."""
    return [
        f"Pair {number}: {_twice(pair)}" for number, pair in enumerate(pairs) if isinstance(pair, Repeated)
    ]


def _pairs(pairs: list[Any]) -> list[Any]:
    """The others as `{"input", "output"}`."""
    return [_pair(pair) for pair in pairs if not isinstance(pair, Repeated)]


def _pool(task_id: str, pairs: list[Any], n_train: Mapping[str, int]) -> Candidate:
    # At least one pair must be left over to ask about.
    sound = _pairs(pairs)
    wanted = min(n_train.get(task_id, DEFAULT_N_TRAIN), max(1, len(sound) - 1))
    return Candidate(task_id, {"train": sound, "n_train": wanted}, bad_pairs=tuple(_doubled_in(pairs)))


def _pair(value: Any) -> Any:
    return {"input": value[0], "output": value[1]} if _is_couple(value) else value


def _is_task(value: Any) -> bool:
    return isinstance(value, Mapping) and "train" in value


def _has_examples(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("examples"), list)


def _is_pair(value: Any) -> bool:
    return isinstance(value, Mapping) and "input" in value


def _is_couple(value: Any) -> bool:
    """Whether a value is a pair as a list of two grids."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(grid, list) and grid and isinstance(grid[0], list) for grid in value)
        and not isinstance(value[0][0][0] if value[0][0] else 0, list)
    )


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
    return replace(candidate, record={**candidate.record, "test": solved})


def _broken(candidate: Candidate, problem: str) -> Candidate:
    return replace(candidate, record=None, problem=problem)


def is_plain_id(task_id: str) -> bool:
    """Whether an id can be shown, stored and typed: short, printable, without spaces at its ends."""
    return 0 < len(task_id) <= MAX_ID and task_id.isprintable() and task_id == task_id.strip()
