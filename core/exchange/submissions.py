"""Predictions as the files that others read: Kaggle's `submission.json`, and all attempts of each task.

Both have the form `{task_id: [{"attempt_1": grid, "attempt_2": grid, …}, …]}`, one object for each test
input. A submission has exactly two attempts, the two best answers by votes or by rescoring; a file of
predictions has as many as were made, null where an attempt holds no grid.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.arc.grids import Grid, parse_grid
from core.arc.tasks import Task
from core.curation.sources import load_tasks
from core.errors import UserError
from core.importing.archives import members_of
from core.number_words import amount
from core.results.answers import evaluated_task, prediction_paths
from core.results.loading import Evaluation
from core.storage.evaluation_files import CANDIDATES_FILE
from core.storage.queries import parquet, query
from core.storage.schemas import CANDIDATES, PREDICTIONS, grids_of
from core.storage.untrusted_json import parse_json

SUBMITTED = ("attempt_1", "attempt_2")
NOTHING = [[0]]
"""What stands in a submission where nobody gave a second, or any, answer."""
MOST_BYTES = 500 * 2**20
MOST_LISTS = 8_000_000
"""Lists of one file of predictions: 64 attempts at all of ARC-1's evaluation have about 500,000."""
_NUMBERED = re.compile(r"attempt_\d{1,6}")

# In the order of vote_k: votes, then mean log-probability per token, then first appearance.
_BEST = """
SELECT source, task_id, test_index, output_cells, output_h, output_w FROM (
    SELECT source, task_id, test_index, output_cells, output_h, output_w, count(*) AS votes,
           avg(logprob / NULLIF(output_tokens, 0)) FILTER (NOT isnan(logprob)) AS logprob_per_token,
           min((train_seed, eval_seed, attempt)) AS first_attempt
    FROM {predictions} WHERE output_cells IS NOT NULL GROUP BY ALL
)
QUALIFY row_number() OVER (
    PARTITION BY source, task_id, test_index
    ORDER BY votes DESC, logprob_per_token DESC NULLS LAST, first_attempt
) <= 2
ORDER BY source, task_id, test_index, votes DESC, logprob_per_token DESC NULLS LAST, first_attempt
"""

# Answers that nobody rescored come last.
_LIKELIEST = """
SELECT source, task_id, test_index, output_cells, output_h, output_w FROM (
    SELECT source, task_id, test_index, output_cells, output_h, output_w, avg(logprob) AS logprob,
           sum(votes) AS votes, min((train_seed, eval_seed, first_attempt)) AS first_attempt
    FROM {candidates} GROUP BY ALL
)
QUALIFY row_number() OVER (
    PARTITION BY source, task_id, test_index ORDER BY logprob DESC NULLS LAST, votes DESC, first_attempt
) <= 2
ORDER BY source, task_id, test_index, logprob DESC NULLS LAST, votes DESC, first_attempt
"""

_ALL = """
SELECT task_id, test_index, output_cells, output_h, output_w FROM {predictions}
ORDER BY task_id, test_index, train_seed, eval_seed, attempt
"""

Submission = dict[str, list[dict[str, Any]]]


def tasks_with_tests(root: Path, source: str) -> dict[str, Task]:
    """The tasks of a source that ask something, by id. Raises `UserError` for an unknown source."""
    return {task_id: task for task_id, task in load_tasks(root, source).items() if task.test}


def evaluated_tasks(root: Path, evaluated: Sequence[tuple[str, str]]) -> list[Task]:
    """The tasks of these sources and ids. Raises `UserError` where one is gone."""
    return [evaluated_task(root, source, task_id) for source, task_id in evaluated]


def submission(
    root: Path,
    experiment: str,
    evaluations: Sequence[Evaluation],
    tasks: Sequence[Task],
    *,
    by_rescoring: bool = False,
) -> Submission:
    """Two attempts for each test input of the tasks: the answers of these evaluations together that are the
    most voted, or the likeliest by rescoring.

    Raises `UserError` where predictions or candidates are missing or two tasks share their id.
    """
    best: dict[tuple[str, int], list[Any]] = {}
    paths = prediction_paths(root, experiment, evaluations)
    sql = _BEST.format(predictions=parquet(paths, PREDICTIONS))
    if by_rescoring:
        paths = [path.with_name(CANDIDATES_FILE) for path in paths]
        if not all(path.exists() for path in paths):
            raise UserError(f"Not all is rescored. Run: python -m core rescore {experiment}")
        sql = _LIKELIEST.format(candidates=parquet(paths, CANDIDATES))
    for task_id, test_index, grid in _grids(sql):
        best.setdefault((task_id, test_index), []).append(grid)
    found: Submission = {}
    for task in tasks:
        if task.task_id in found:
            raise UserError(
                f"Task {task.task_id!r} is evaluated from two sources. A submission has one source."
            )
        found[task.task_id] = [
            dict(zip(SUBMITTED, _two(best.get((task.task_id, index), [])), strict=True))
            for index in range(len(task.test))
        ]
    return found


def _two(answers: list[Any]) -> list[Any]:
    """Two answers: where there is one, it stands twice."""
    return (answers + answers[:1] + [NOTHING, NOTHING])[:2]


def all_attempts(root: Path, experiment: str, evaluations: Sequence[Evaluation]) -> Submission:
    """Every attempt of these evaluations in the order of their seeds, numbered from 1."""
    found: Submission = {}
    paths = prediction_paths(root, experiment, evaluations)
    for task_id, test_index, grid in _grids(_ALL.format(predictions=parquet(paths, PREDICTIONS))):
        outputs = found.setdefault(task_id, [])
        outputs.extend({} for _ in range(test_index + 1 - len(outputs)))
        outputs[test_index][f"attempt_{len(outputs[test_index]) + 1}"] = grid
    return found


def _grids(sql: str) -> Any:
    """Task, test index and grid of each row, grids as lists of rows."""
    table = query(sql)
    keys = (table.column(name).to_pylist() for name in ("task_id", "test_index"))
    grids = (None if grid is None else grid.tolist() for grid in grids_of(table, "output"))
    return zip(*keys, grids, strict=True)


def problems_of(value: Any, tasks: Mapping[str, Task]) -> list[str]:
    """What keeps a value from being a valid submission for these tasks, one sentence each."""
    if not isinstance(value, dict):
        return ["The file holds no object of task ids."]
    found = [f"Task {task_id!r} is missing." for task_id in tasks if task_id not in value]
    found += [f"Task {task_id!r} is not in the source." for task_id in value if task_id not in tasks]
    for task_id, outputs in value.items():
        if task_id in tasks:
            found += _problems_of_task(task_id, outputs, len(tasks[task_id].test))
    return found


def _problems_of_task(task_id: str, outputs: Any, tests: int) -> list[str]:
    if not isinstance(outputs, list) or len(outputs) != tests:
        count = len(outputs) if isinstance(outputs, list) else "no list of"
        return [f"Task {task_id!r} has {count} outputs instead of {tests}."]
    found = []
    for index, output in enumerate(outputs):
        where = f"Task {task_id!r}, output {index}"
        if not isinstance(output, dict) or set(output) != set(SUBMITTED):
            found.append(f"{where} needs exactly attempt_1 and attempt_2.")
            continue
        for name in SUBMITTED:
            try:
                parse_grid(output[name], f"{where}, {name}")
            except UserError as problem:
                found.append(str(problem))
    return found


@dataclass(frozen=True)
class Attempts:
    """The attempts of a file of predictions: for each (task_id, test_index) grids in their order, None where
    an attempt holds none. `bad` says of each attempt that holds something else what is wrong with it;
    `skipped` names files that hold no attempts."""

    grids: dict[tuple[str, int], list[Grid | None]]
    bad: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """What became of the file, in one line."""
        read = [grid for grids in self.grids.values() for grid in grids]
        empty = sum(grid is None for grid in read) - len(self.bad)
        tasks = len({task_id for task_id, _ in self.grids})
        return (
            f"{amount(len(read), 'attempts')} at {amount(tasks, 'tasks')} read, {empty:,} of them empty,"
            f" {len(self.bad):,} bad and counted as unanswered{_some(self.bad)},"
            f" {amount(len(self.skipped), 'files')} skipped{_some(self.skipped)}."
        )


def _some(reasons: Sequence[str], most: int = 3) -> str:
    """The first reasons in brackets."""
    more = ["…"] if len(reasons) > most else []
    return f" ({'; '.join([*reasons[:most], *more])})" if reasons else ""


def read_attempts(origin: Path, tasks: Mapping[str, Task]) -> Attempts:
    """The attempts of a file of predictions, or of a folder with a file for each task, named by its id.

    An attempt is a grid, `{"answer": grid, …}`, or null; one that is none of these is unanswered. Raises
    `UserError` for a file of another form, for unknown tasks, and for a key that stands twice.
    """
    found: dict[tuple[str, int], list[Grid | None]] = {}
    bad: list[str] = []
    skipped: list[str] = []
    for name, value in _values_of(origin, skipped):
        for task_id, outputs in _by_task(value, name, origin).items():
            if task_id not in tasks:
                raise UserError(
                    f"{origin}: the source has no task {task_id!r}, of {name!r}. Name the right source."
                )
            if (task_id, 0) in found:
                raise UserError(f"{origin}: task {task_id!r} is answered in two files. Remove one of them.")
            if not isinstance(outputs, list) or len(outputs) > len(tasks[task_id].test):
                raise UserError(
                    f"{origin}: task {task_id!r} needs a list of {len(tasks[task_id].test)} outputs."
                    " Correct the file."
                )
            for index, output in enumerate(outputs):
                where = f"task {task_id!r}, output {index}"
                found[task_id, index] = _attempts(output, where, origin, bad)
    if not found:
        raise UserError(f"{origin} holds no attempt. It needs the form of a Kaggle submission.")
    return Attempts(found, tuple(bad), tuple(skipped))


def _values_of(origin: Path, skipped: list[str]) -> Iterator[tuple[str, Any]]:
    """The JSON of a file, or of all that lie in a folder, each with the name without its ending."""
    if origin.is_file() and origin.stat().st_size > MOST_BYTES:
        raise UserError(f"{origin} is larger than {MOST_BYTES // 2**20} MB. Split it.")
    for member in members_of(origin):
        if member.kind == "skipped":
            skipped.append(member.path)
            continue
        if member.problem is not None:
            raise UserError(f"{origin}: {member.path}: {member.problem} Correct or remove it.")
        where = str(origin) if origin.is_file() else member.path
        yield member.stem, parse_json(member.data, where, most_lists=MOST_LISTS)


def _by_task(value: Any, name: str, origin: Path) -> Mapping[str, Any]:
    """The outputs in one file by task: it names them, or holds those of the task that it is named after."""
    if isinstance(value, list) and value:
        return {name: value}
    if not isinstance(value, dict) or not value:
        raise UserError(f"{origin} holds no object of task ids. It needs the form of a Kaggle submission.")
    return {name: [value]} if all(map(_NUMBERED.fullmatch, value)) else value


def _attempts(output: Any, where: str, origin: Path, bad: list[str]) -> list[Grid | None]:
    if not isinstance(output, dict) or not output or not all(map(_NUMBERED.fullmatch, output)):
        raise UserError(f"{origin}: {where} is no object of attempt_1, attempt_2, … Correct the file.")
    numbered = sorted(output, key=lambda name: int(name.removeprefix("attempt_")))
    return [_attempt(output[name], f"{where}, {name}", bad) for name in numbered]


def _attempt(value: Any, where: str, bad: list[str]) -> Grid | None:
    """The grid of one attempt; None for an empty one, and for a bad one, which is noted."""
    if isinstance(value, dict) and "answer" in value:
        value = value["answer"]
    if value is None or value == []:
        return None
    try:
        return parse_grid(value, where)
    except UserError as problem:
        bad.append(str(problem).split(". ")[0])
        return None
