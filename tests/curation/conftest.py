"""Small sources for the tests of this room."""

import time
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from core.arc.tasks import Task, parse_task
from core.curation.stored import SourceInfo, store_source
from core.importing.import_source import import_set
from tests.made_once import made_once
from tests.patience import slowness

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
ARCHIVES = {"concept-arc": "ConceptARC-main.zip", "mini-arc": "Mini-ARC-main.zip", "re-arc": "re_arc.zip"}


def make_task(task_id: str, source: str = "toy", *, tests: int = 1, demonstrations: int = 2) -> Task:
    """A task whose pairs all differ, for any id, and that is no twin of one with another id."""
    first, second = np.random.default_rng(crc32(task_id.encode())).integers(0, 10, (2, 2, 5)).tolist()
    pairs = [
        {"input": [*first, [n % 10, n // 10, 1, 2, 3]], "output": [*second, [n % 10, n // 10, 3, 2, 1]]}
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


@pytest.fixture(scope="session")
def arc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with ARC-1 and ARC-2; tests only read it."""

    def make(root: Path) -> None:
        started = time.process_time()
        import_set(root, "arc1")
        import_set(root, "arc2")
        assert time.process_time() - started < 10 * slowness()

    return made_once(tmp_path_factory, "arc", make)


@pytest.fixture(scope="session")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with all five sets, where the archives are at hand; tests only read it."""
    for archive in ARCHIVES.values():
        if not (SHARED / archive).is_file():
            pytest.skip(f"{archive} is not here")

    def make(root: Path) -> None:
        import_set(root, "arc1")
        import_set(root, "arc2")
        for name, archive in ARCHIVES.items():
            started = time.process_time()
            import_set(root, name, str(SHARED / archive))
            assert time.process_time() - started < 30 * slowness()

    return made_once(tmp_path_factory, "public", make)
