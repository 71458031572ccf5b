"""A clone is the frozen spec under a new name, with changes, and nothing of the runs."""

from pathlib import Path

import pytest

from core.errors import UserError
from core.experiments.archive import (
    archive_experiment,
    archived_experiments,
    delete_experiment,
    empty_trash,
    restore_experiment,
    trash_bytes,
)
from core.experiments.clone import clone_experiment, free_name
from core.experiments.experiment import list_experiments
from core.launching.launch import prepare
from core.specs.spec import read_spec
from tests.pipeline.trivial import trivial_root
from tests.specs.tiny import spec_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = trivial_root(tmp_path)
    prepare(root, spec_of(root), ["launch"])
    return root


def test_a_clone_is_the_spec_with_changes(root: Path) -> None:
    name = free_name(root, "trial")
    path = clone_experiment(root, "trial", name, ["recipe.training.steps=9", "train_seeds=[3, 4]"])
    assert (name, path) == ("trial-2", root / "data" / "experiments" / "trial-2.yaml")
    spec, original = read_spec(path), read_spec(root / "data" / "experiments" / "trial.yaml")
    assert (spec.name, spec.train_seeds, spec.recipe_of("plain").training.steps) == ("trial-2", (3, 4), 9)
    assert spec.evaluation == original.evaluation and original.recipe_of("plain").training.steps == 6
    assert free_name(root, "trial-2") == "trial-3"
    assert list_experiments(root) == ["trial"], "nothing is launched"


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("other", "recipe.training.stepz=9", "Did you mean 'steps'"),
        ("other", "steps", "'steps' is no change. Write KEY=VALUE"),
        ("other", "recipe.training.steps=[", "The value of recipe.training.steps is no valid YAML"),
        ("trial", "train_seeds=[7]", "There is an experiment 'trial' in runs/ already"),
    ],
)
def test_what_can_not_be_cloned_is_a_sentence(root: Path, name: str, change: str, sentence: str) -> None:
    with pytest.raises(UserError) as said:
        clone_experiment(root, "trial", name, [change])
    assert sentence in str(said.value)


def test_an_archived_experiment_is_out_of_the_lists_and_comes_back(root: Path) -> None:
    before = sorted(path.name for path in (root / "runs" / "trial").rglob("*"))
    archive_experiment(root, "trial")
    assert (list_experiments(root), archived_experiments(root)) == ([], ["trial"])
    prepare(root, spec_of(root), ["launch"])
    with pytest.raises(UserError, match="The archive holds an experiment 'trial' already"):
        archive_experiment(root, "trial")
    with pytest.raises(UserError, match="Archive or delete that one first"):
        restore_experiment(root, "trial")
    delete_experiment(root, "trial")
    restore_experiment(root, "trial")
    assert sorted(path.name for path in (root / "runs" / "trial").rglob("*")) == before
    assert archived_experiments(root) == []


def test_the_trash_shows_how_much_emptying_frees(root: Path) -> None:
    (root / "runs" / "trial" / "plain" / "train-0" / "big").write_bytes(b"x" * 5000)
    _, size = delete_experiment(root, "trial")
    assert size > 5000 and trash_bytes(root) == size
    assert empty_trash(root) == size
    assert trash_bytes(root) == 0 == empty_trash(root)
