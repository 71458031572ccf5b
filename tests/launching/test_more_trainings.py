"""More trainings: seeds of their own after the others, the same settings, and the spec's file grows too."""

from pathlib import Path

import pytest

from core.errors import UserError
from core.experiments.listing import list_runs
from core.launching import launch as launch_module
from core.launching.launch import launch
from core.launching.more_trainings import add_trainings
from core.monitoring.overview import overview
from core.preflight.size import size_of
from core.runs.layout import spec_path
from core.specs.spec import read_spec
from tests.specs.tiny import spec_file


def test_trainings_are_added_after_those_that_are_there(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch_module, "ensure_worker", lambda _: None)
    variants = {"plain": None, "longer": {"training": {"steps": 8}}}
    path = spec_file(root, train_seeds=[0, 4], variants=variants)
    path.write_text(f"# mine\n{path.read_text()}")
    spec = read_spec(path)
    launch(root, spec, ["python"])
    runs = add_trainings(root, "trial", 2, by="Ada")
    assert sorted(run.train_seed for run in runs if run.variant == "longer") == [0, 4, 5, 6]
    assert read_spec(spec_path(root, "trial")).train_seeds == (0, 4, 5, 6)
    assert read_spec(path).train_seeds == (0, 4, 5, 6) and path.read_text().startswith("# mine")
    runs = add_trainings(root, "trial", 2, variants=["longer"])
    assert sorted(run.train_seed for run in runs if run.variant == "longer") == [0, 4, 5, 6, 7, 8]
    assert read_spec(path).more_seeds == {"longer": (7, 8)} and overview(root, "trial").missing == 0
    assert size_of(root, read_spec(path)).runs == len(list_runs(root, "trial")) == 10
    with pytest.raises(UserError, match="longr"):
        add_trainings(root, "trial", 1, variants=["longr"])
    spec_file(root, train_seeds=[9])
    add_trainings(root, "trial", 1)
    assert read_spec(path).train_seeds == (9,), "a file that became another spec stays"
    assert read_spec(spec_path(root, "trial")).train_seeds == (0, 4, 5, 6, 9)
