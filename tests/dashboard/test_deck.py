"""The document that the browser fetches says exactly what the tasks say."""

import json

import numpy as np
from hypothesis import given

from core.arc.tasks import Pair, Task
from core.curation.suggestions import Suggestion
from dashboard.components.deck import suggestions_document, tasks_document
from tests.arc.strategies import tasks


def rows(grid: list[str] | None) -> list[list[int]] | None:
    return None if grid is None else [[int(digit) for digit in row] for row in grid]


@given(tasks())
def test_grids_arrive_as_they_are(task: Task) -> None:
    (record,) = json.loads(tasks_document([task]))["tasks"]
    arrived = [[rows(grid) for grid in pair] for pair in record["train"] + record["test"]]
    assert arrived == [
        [pair.input.tolist(), None if pair.output is None else pair.output.tolist()] for pair in task.pairs
    ]


def test_a_large_pool_is_shortened_and_says_so() -> None:
    grid = np.ones((1, 1), dtype=np.uint8)
    pool = Task("p", "s", "p", tuple(Pair(grid, grid) for _ in range(1000)), (), n_train=3)
    (record,) = json.loads(tasks_document([pool]))["tasks"]
    assert len(record["train"]) + record["more"] == 1000
    assert len(record["train"]) <= 10


def test_suggestions_travel_apart_from_the_tasks() -> None:
    document = suggestions_document({"a": Suggestion("toy", "a", 0.87, "same size", 3)})
    assert json.loads(document) == {"a": {"probability": 0.87, "reasons": "same size", "rank": 3}}
