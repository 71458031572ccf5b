"""The document that the browser fetches says exactly what the tasks say."""

import json

import numpy as np
from hypothesis import given

from core.arc.tasks import Pair, Task
from dashboard.components.deck import Suggestion, tasks_document
from tests.arc.strategies import tasks


def rows(grid: list[str] | None) -> list[list[int]] | None:
    return None if grid is None else [[int(digit) for digit in row] for row in grid]


@given(tasks())
def test_grids_arrive_as_they_are(task: Task) -> None:
    (record,) = json.loads(tasks_document([task], {}))["tasks"]
    arrived = [[rows(grid) for grid in pair] for pair in record["train"] + record["test"]]
    assert arrived == [
        [pair.input.tolist(), None if pair.output is None else pair.output.tolist()] for pair in task.pairs
    ]
    assert "suggestion" not in record


def test_a_large_pool_is_shortened_and_says_so() -> None:
    grid = np.ones((1, 1), dtype=np.uint8)
    pool = Task("p", "s", "p", tuple(Pair(grid, grid) for _ in range(1000)), (), n_train=3)
    (record,) = json.loads(tasks_document([pool], {}))["tasks"]
    assert len(record["train"]) + record["more"] == 1000
    assert len(record["train"]) <= 10


def test_a_suggestion_travels_with_its_task() -> None:
    grid = np.ones((1, 1), dtype=np.uint8)
    known, unknown = (Task(name, "s", name, (Pair(grid, grid),), (Pair(grid, grid),)) for name in "ab")
    document = json.loads(tasks_document([known, unknown], {"a": Suggestion(0.87, "same size", 3)}))
    assert document["tasks"][0]["suggestion"] == {"probability": 0.87, "reasons": "same size", "rank": 3}
    assert "suggestion" not in document["tasks"][1]
