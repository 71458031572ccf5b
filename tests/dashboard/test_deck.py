"""The document that the browser fetches says exactly what the tasks say."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from streamlit.components.v2.bidi_component import serialization

from core.arc.tasks import Pair, Task
from core.curation.stored import SourceInfo, store_source
from core.reversibility.suggestions import Suggestion
from dashboard.components.deck import suggestions_document, tasks_document
from tests.arc.strategies import tasks
from tests.curation.conftest import make_task
from tests.dashboard.alone import page_alone


def rows(grid: list[str] | None) -> list[list[int]] | None:
    return None if grid is None else [[int(digit) for digit in row] for row in grid]


@given(tasks())
def test_grids_arrive_as_they_are(task: Task) -> None:
    (record,) = json.loads(tasks_document([task]))["tasks"]
    arrived = [[rows(grid) for grid in pair] for pair in record["train"] + record["test"]]
    assert arrived == [
        [pair.input.tolist(), None if pair.output is None else pair.output.tolist()] for pair in task.pairs
    ]


def test_a_large_pool_is_shortened_with_a_notice() -> None:
    grid = np.ones((1, 1), dtype=np.uint8)
    pool = Task("p", "s", "p", tuple(Pair(grid, grid) for _ in range(1000)), (), n_train=3)
    (record,) = json.loads(tasks_document([pool]))["tasks"]
    assert len(record["train"]) + record["more"] == 1000
    assert len(record["train"]) <= 10


def test_suggestions_travel_apart_from_the_tasks() -> None:
    document = suggestions_document({"a": Suggestion("toy", "a", 0.87, "same size", 3)})
    assert json.loads(document) == {"a": {"probability": 0.87, "reasons": "same size", "rank": 3}}


def test_the_deck_is_sent_without_a_look_for_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For that look Streamlit loads pandas, which its collector then walks through at each key."""
    store_source(tmp_path, SourceInfo("toy", "made up", "1", "none", "0"), [make_task("a")])
    looked_at: list[object] = []
    monkeypatch.setattr(serialization, "is_dataframe_like", looked_at.append)
    page = page_alone(tmp_path, "curate", monkeypatch)
    assert [one.key for one in page.get("bidi_component")] == ["deck"]
    assert looked_at == []
