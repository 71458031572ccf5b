"""Small sources for the tests of this room."""

from pathlib import Path

import pytest

from core.arc.tasks import Task, parse_task
from core.curation.stored import SourceInfo, store_source


def make_task(task_id: str, source: str = "toy", *, tests: int = 1, demonstrations: int = 2) -> Task:
    """A task whose pairs all differ, for any id."""
    base = sum(map(ord, task_id)) % 7
    pairs = [
        {"input": [[base, n % 10], [n // 10, 1]], "output": [[n % 10, base, 2]]}
        for n in range(demonstrations + tests)
    ]
    record = {"train": pairs[:demonstrations], "test": pairs[demonstrations:]}
    return parse_task(record, task_id=task_id, source=source)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with one source, `toy`, of four tasks."""
    tasks = [make_task(task_id) for task_id in ("aa00", "bb11", "cc22", "dd33")]
    store_source(tmp_path, SourceInfo("toy", "made up", "1", "none", "0"), tasks)
    return tmp_path
