"""The metrics once more, straight from `predictions.parquet` and the tasks, in plain Python.

Written without the project's scoring and statistics, so that the two can disagree.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from core.arc.tasks import Task
from core.storage.schemas import SCORES, write_table

Answer = tuple[bytes, int, int] | None

_COLUMNS = (
    *("task_id", "test_index", "attempt", "logprob", "output_tokens"),
    *("output_cells", "output_h", "output_w"),
)


def attempts_of(path: Path) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """The attempts of one evaluation by task and test index, in their order."""
    found: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    table = pq.read_table(path, columns=list(_COLUMNS), partitioning=None)
    for record in sorted(table.to_pylist(), key=lambda row: row["attempt"]):
        found[record["task_id"], record["test_index"]].append(record)
    return found


def output_values(tasks: Iterable[Task], path: Path, metric: str) -> dict[str, list[float]]:
    """The values of a metric for each task, one per test output."""
    attempts = attempts_of(path)
    return {
        task.task_id: [
            _value(metric, _truth(task, index), attempts.get((task.task_id, index), []))
            for index in range(len(task.test))
        ]
        for task in tasks
    }


def counted_outputs(tasks: Iterable[Task], path: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """The columns of `scores.parquet` for each test output of one evaluation, counted one by one."""
    attempts = attempts_of(path)
    return {
        (task.task_id, index): _counted(_truth(task, index), attempts.get((task.task_id, index), []))
        for task in tasks
        for index in range(len(task.test))
    }


def write_counted(tasks: Sequence[Task], path: Path, target: Path, key: Mapping[str, Any]) -> None:
    """Write the same `scores.parquet` as the project's scoring; `key` names the evaluation."""
    sources = {task.task_id: task.source for task in tasks}
    rows = [
        {**key, "source": sources[task_id], "task_id": task_id, "test_index": index, **counted}
        for (task_id, index), counted in sorted(counted_outputs(tasks, path).items())
    ]
    write_table(target, pa.Table.from_pylist(rows, schema=SCORES), SCORES)


def _counted(truth: Answer, records: list[dict[str, Any]]) -> dict[str, Any]:
    answers = [_answer(record) for record in records]
    ranking = _ranking(answers, records)
    votes = [answers.count(answer) for answer in ranking]
    correct = answers.count(truth)
    shares = [_pixels(answer, truth) for answer in answers]
    return {
        "attempts": len(answers),
        "correct": correct,
        "right_size": sum(
            answer is not None and truth is not None and answer[1:] == truth[1:] for answer in answers
        ),
        "pixels_sum": sum(shares),
        "pixels_max": max(shares, default=0.0),
        "unanswered": answers.count(None),
        "distinct": len(ranking),
        "votes_above": sum(count > correct for count in votes),
        "votes_tied": votes.count(correct) if correct else 0,
        "vote_rank": ranking.index(truth) + 1 if correct else 0,
        "votes": votes,
    }


def _truth(task: Task, index: int) -> Answer:
    grid = task.test[index].output
    assert grid is not None
    return grid.tobytes(), *grid.shape


def _answer(record: Mapping[str, Any]) -> Answer:
    cells = record["output_cells"]
    return None if cells is None else (cells, record["output_h"], record["output_w"])


def _value(metric: str, truth: Answer, records: list[dict[str, Any]]) -> float:
    answers = [_answer(record) for record in records]
    if not records:
        return 1.0 if metric == "unanswered" else 0.0
    n, c = len(answers), answers.count(truth)
    name, _, k = metric.rpartition("_")
    match name if k.isdecimal() else metric:
        case "accuracy":
            return c / n
        case "unanswered":
            return answers.count(None) / n
        case "correct_pixels":
            return fmean(_pixels(answer, truth) for answer in answers)
        case "pass":
            return 1 - math.comb(n - c, int(k)) / math.comb(n, int(k))
        case "vote":
            return float(truth in _ranking(answers, records)[: int(k)])
    raise AssertionError(metric)


def _pixels(answer: Answer, truth: Answer) -> float:
    if answer is None or truth is None or answer[1:] != truth[1:]:
        return 0.0
    return sum(a == b for a, b in zip(answer[0], truth[0], strict=True)) / len(truth[0])


def _ranking(answers: list[Answer], records: list[dict[str, Any]]) -> list[Answer]:
    """Distinct answers, most votes first, then the higher mean logprob per token."""
    likelihood: dict[Answer, list[float]] = defaultdict(list)
    for answer, record in zip(answers, records, strict=True):
        if answer is not None:
            likelihood[answer].append(record["logprob"] / record["output_tokens"])
    return sorted(likelihood, key=lambda answer: (-len(likelihood[answer]), -fmean(likelihood[answer])))


def aggregated(values: Mapping[str, list[float]], how: str) -> float:
    """One number per evaluation."""
    if how == "by_output":
        return fmean(value for task in values.values() for value in task)
    return fmean((fmean if how == "by_task" else math.prod)(task) for task in values.values())


def mean_and_std(runs: Iterable[list[float]]) -> tuple[float, float | None, int]:
    """Over runs, each the mean of its evaluations: the recipe scope."""
    means = [fmean(run) for run in runs]
    return fmean(means), stdev(means) if len(means) > 1 else None, len(means)
