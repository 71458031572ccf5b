"""Experiments that come with the project: opened once, whole or not at all, and no other in their place."""

import shutil
from pathlib import Path

import pytest

from core.errors import UserError
from core.experiments.archive import archive_experiment, delete_experiment, restore_experiment
from core.experiments.examples import FOLDER, examples, open_example
from core.experiments.experiment import list_experiments
from core.synthetic.experiments import make_experiment
from tests.result_table import result_records


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with one example and no experiment."""
    make_experiment(tmp_path, "known", {"base": 0, "more": 1}, runs=2, evaluations=1, tasks=4)
    (tmp_path / FOLDER).mkdir(parents=True)
    shutil.move(tmp_path / "runs" / "known", tmp_path / FOLDER / "known")
    return tmp_path


def test_an_opened_example_is_an_experiment_like_all_others(root: Path) -> None:
    assert (examples(root), list_experiments(root)) == (["known"], [])
    open_example(root, "known")
    assert (examples(root), list_experiments(root)) == ([], ["known"])
    assert {record["variant"] for record in result_records(root, "known")} == {"base", "more"}
    assert (root / FOLDER / "known" / "experiment.yaml").exists()


@pytest.mark.parametrize("name", ["other", "../known", ""])
def test_what_is_no_example_opens_nothing(root: Path, name: str) -> None:
    with pytest.raises(UserError, match="Waiting: known"):
        open_example(root, name)
    assert list_experiments(root) == []


def test_an_example_never_replaces_an_experiment_of_its_name(root: Path) -> None:
    open_example(root, "known")
    (root / "runs" / "known" / "notes.md").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="Waiting: none"):
        open_example(root, "known")
    assert (root / "runs" / "known" / "notes.md").read_text(encoding="utf-8") == "mine"


def test_an_example_that_was_put_away_is_not_offered_again(root: Path) -> None:
    open_example(root, "known")
    archive_experiment(root, "known")
    assert examples(root) == []
    restore_experiment(root, "known")
    delete_experiment(root, "known")
    assert examples(root) == []


def test_a_disk_that_does_not_take_an_example_is_a_sentence(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise shutil.Error([("a", "b", "[Errno 28] No space left on device")])

    monkeypatch.setattr("shutil.copytree", full)
    with pytest.raises(UserError, match="No space left on device"):
        open_example(root, "known")
    assert list_experiments(root) == []
