"""A disk that gets full at any write leaves a project as it was, and the same command does its work later."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from core.curation.overlaps import overlaps
from core.curation.partitions import split
from core.curation.sources import load_tasks
from core.exchange.import_predictions import import_predictions
from core.exchange.import_scores import import_results
from core.experiments.clone import clone_experiment
from core.experiments.notes import Notes, write_notes
from core.importing.import_source import import_set
from core.launching.launch import prepare
from core.prompts.lengths import EMBEDDED, source_lengths
from core.prompts.templates import PromptSettings
from core.runs.layout import LAUNCH_LOCK
from core.specs.spec import read_spec
from core.sql.saved import save_query
from core.storage.seals import ENDING
from core.synthetic.experiments import make_experiment
from tests.faults.full_disk import full_after
from tests.faults.project import SHIPPED
from tests.result_table import result_records
from tests.specs.tiny import spec_file
from tests.training.tiny import tiny_root

NAME = "my-question"
GRID = [[1, 2]]
TASK = {"train": [{"input": GRID, "output": GRID}] * 2, "test": [{"input": GRID, "output": GRID}]}
TABLE = "variant,train_seed,eval_seed,accuracy\na,0,0,.5\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tiny_root(tmp_path / "project", model=False)
    make_experiment(root, NAME, {"plain": 0.0}, runs=1, evaluations=1, tasks=2, attempts=1)
    spec_file(root)
    return root


def put(root: Path, name: str, text: str) -> Path:
    path = root.parent / name
    path.write_text(text, encoding="utf-8")
    return path


def import_tasks(root: Path) -> None:
    import_set(root, "mine", str(put(root, "mine.json", json.dumps({"a": TASK, "b": TASK}))))


def import_other_tasks(root: Path) -> None:
    import_set(root, "toy", str(put(root, "toy.json", json.dumps({"a": TASK}))))


def import_numbers(root: Path) -> None:
    import_results(root, put(root, "table.csv", TABLE), "numbers")
    assert result_records(root, "numbers")


def import_answers(root: Path) -> None:
    asked = [task_id for task_id, task in load_tasks(root, "toy").items() if task.test]
    answers = {task_id: [{"attempt_1": GRID}] for task_id in asked}
    import_predictions(root, put(root, "answers.json", json.dumps(answers)), "toy", "answers", "theirs")
    assert result_records(root, "answers")


WRITES: list[Callable[[Path], object]] = [
    import_tasks,
    import_other_tasks,
    import_numbers,
    import_answers,
    lambda root: clone_experiment(root, NAME, "again"),
    lambda root: write_notes(root, NAME, Notes(text="What I think.")),
    lambda root: split(root, "half", ["toy"], {"a": 1, "b": 1}, 1),
    lambda root: save_query(root, "mine", "SELECT 1"),
]


def files(root: Path) -> dict[str, bytes]:
    """What lies in a project, but for the empty file that launches lock; a seal may name two states of its
    file while one takes the other's place."""
    found = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.name != LAUNCH_LOCK}
    return {
        name: path.read_bytes() if path.is_file() and path.suffix != ENDING else b""
        for name, path in found.items()
    }


@pytest.mark.parametrize("write", WRITES, ids=range(len(WRITES)))
def test_nothing_is_half_written(root: Path, write: Callable[[Path], object]) -> None:
    before = files(root)
    for writes in range(20):
        try:
            with full_after(writes):
                write(root)
            break
        except OSError as problem:
            assert "No space left" in str(problem)
            assert load_tasks(root, "toy")
            assert files(root) == before, writes
    assert 1 <= writes < 19
    assert files(root) != before


def test_a_launch_goes_on_where_the_disk_had_no_room(root: Path) -> None:
    shutil.copytree(SHIPPED, root / "data" / "models" / "tiny")
    spec = read_spec(spec_file(root))
    for writes in range(20):
        try:
            with full_after(writes):
                runs = prepare(root, spec, ["launch"])
            break
        except OSError as problem:
            assert "No space left" in str(problem)
    assert writes >= 2
    assert all(run.record_file.is_file() for run in runs)


def test_what_is_only_kept_for_later_needs_no_room(root: Path) -> None:
    with full_after(0):
        assert source_lengths(root, "toy", EMBEDDED, PromptSettings()).tokens
        assert overlaps(root, ["toy"])
    assert not list((root / "data").glob(".cache/**/*.json"))
