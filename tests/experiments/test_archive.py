"""Whatever was thrown away comes back as it was, unless its place is taken; and what is gone is named."""

from pathlib import Path

import pytest

from core.errors import UserError
from core.experiments.archive import (
    archive_experiment,
    archived_experiments,
    delete_experiment,
    delete_runs,
    restore_experiment,
    restore_trashed,
    trashed,
)
from core.experiments.experiment import known_folder, list_experiments
from core.experiments.listing import list_runs
from core.experiments.name_suggestions import absent_experiment
from core.launching.launch import prepare
from core.runs.layout import runs_folder
from core.runs.state import RunState, write_state
from core.settings import nearest
from core.storage.files import write_json
from tests.faults.refused_writes import bound_by_rights
from tests.pipeline.trivial import trivial_root
from tests.specs.tiny import spec_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = trivial_root(tmp_path)
    prepare(root, spec_of(root), ["launch"])
    for run in list_runs(root, "trial"):
        write_state(run, RunState("done"))
    return root


def files(root: Path) -> dict[str, bytes]:
    folder = root / "runs" / "trial"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_was_thrown_away_comes_back_as_it_was(root: Path) -> None:
    before = files(root)
    assert len(before) >= 3
    delete_experiment(root, "trial")
    assert list_experiments(root) == []
    (one,) = trashed(root)
    assert (one.name, one.run) == ("trial", None)
    restore_trashed(root, one.entry)
    assert files(root) == before and trashed(root) == []


def test_one_run_is_thrown_away_and_comes_back(root: Path) -> None:
    before, runs = files(root), list_runs(root, "trial")
    (first, *others) = runs
    delete_runs(root, "trial", [first.name])
    assert list_runs(root, "trial") == others
    (one,) = trashed(root)
    assert one.name == f"trial/{first.name}"
    restore_experiment(root, f"trial/{first.name}")
    assert files(root) == before


def test_a_run_that_is_worked_on_stays(root: Path) -> None:
    (run, *_) = list_runs(root, "trial")
    write_state(run, RunState("queued"))
    delete_runs(root, "trial", [run.name])  # nothing works on the queue
    with pytest.raises(UserError, match="There is no run of 'trial'"):
        delete_runs(root, "trial", [run.name])


def test_nothing_is_laid_over_what_took_its_place(root: Path) -> None:
    delete_experiment(root, "trial")
    prepare(root, spec_of(root), ["launch"])
    (one,) = trashed(root)
    with pytest.raises(UserError, match="runs/ holds another 'trial'"):
        restore_trashed(root, one.entry)
    with pytest.raises(UserError, match=r"The trash holds no '\.\./trial'"):
        restore_trashed(root, "../trial")
    with pytest.raises(UserError, match=r"Neither archive nor trash holds 'other'\. They hold: trial"):
        restore_experiment(root, "other")


def test_a_record_in_the_trash_can_not_choose_another_place(root: Path) -> None:
    (run, *_) = list_runs(root, "trial")
    (target,) = delete_runs(root, "trial", [run.name])
    write_json(target / "run.json", {"experiment": "trial", "variant": "../../elsewhere", "train_seed": 0})
    assert trashed(root) == []


def test_an_absent_experiment_is_named_with_what_became_of_it(root: Path) -> None:
    assert absent_experiment(root, "trial") is None
    typo = absent_experiment(root, "trail")
    assert typo is not None and typo.nearest == "trial"
    assert typo.sentence == "There is no experiment 'trail'. Did you mean 'trial'?"
    archive_experiment(root, "trial")
    assert archived_experiments(root) == ["trial"]
    found = absent_experiment(root, "trial")
    assert found is not None and found.archived and "is archived" in found.sentence
    restore_experiment(root, "trial")
    delete_experiment(root, "trial")
    found = absent_experiment(root, "trial")
    assert found is not None and found.trash_entry is not None and "in the trash" in found.sentence
    assert nearest("x" * 10_000, ["trial"]) is None


def test_an_experiment_whose_folder_is_closed_is_not_said_to_be_absent(root: Path) -> None:
    folder = runs_folder(root) / "trial"
    for closed in (folder, folder.parent):
        closed.chmod(0)
        try:
            with (
                bound_by_rights(),
                pytest.raises(UserError, match=r"\(Permission denied\). Change its"),
            ):
                known_folder(root, "trial")
        finally:
            closed.chmod(0o755)
