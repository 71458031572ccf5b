"""Who adds runs to a table that could be looked at leaves a line of it at the launch."""

from pathlib import Path

from core.experiments.look_log import LOOKS, looks_of
from core.launching.launch import prepare
from core.runs.layout import Run, experiment_folder
from tests.specs.tiny import spec_of


def evaluated(run: Run) -> None:
    """Stand-in for a scored evaluation, which counts by its file alone."""
    path = run.scores(0)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")


def test_runs_added_to_a_table_with_results_are_a_look(root: Path) -> None:
    first = prepare(root, spec_of(root, train_seeds=[0, 1]), ["launch"])
    folder = experiment_folder(root, first[0].experiment)
    assert len(first) >= 2 and not (folder / LOOKS).exists()
    prepare(root, spec_of(root, train_seeds=[0, 1, 2]), ["launch"])
    assert looks_of(folder) == []  # nobody can have looked at results that are not there
    for run in first:
        evaluated(run)
        for old in (run.eval_folder(0).with_name("eval-old"), run.folder.with_name("train-old") / "eval-0"):
            old.mkdir(parents=True, exist_ok=True)
            (old / "scores.parquet").write_bytes(b"")  # put aside by a person: no result of this table
    prepare(root, spec_of(root, train_seeds=[0, 1, 2]), ["launch"])
    assert looks_of(folder) == []  # nothing was added
    prepare(root, spec_of(root, train_seeds=[0, 1, 2, 3]), ["launch"])
    (look,) = looks_of(folder)
    assert look == {run.variant: 2 for run in first}
