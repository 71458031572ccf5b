"""A folder below `runs/` that is closed to this person: no table counts its files as absent, and lists, pages
and the queue go on with the other experiments."""

import json
from pathlib import Path

import pytest

from core import __main__ as command_line
from core.checks.alarms import check_records
from core.errors import UserError
from core.experiments.experiment import latest_evaluated
from core.experiments.listing import list_runs
from core.monitoring.overview import launched_experiments
from core.pipeline.job_order import planned_jobs
from core.reports.experiment_index import experiment_records
from core.results.loading import load_scores
from core.runs.layout import Run
from core.runs.state import queue_for
from core.synthetic.experiments import make_experiment
from tests.faults.refused_writes import bound_by_rights


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("open", "closed"):
        make_experiment(tmp_path, name, runs=2, evaluations=2, tasks=4, skills={"plain": 0, "b": 1})
        queue_for(Run(tmp_path, name, "plain", 0), "score")
    return tmp_path


@pytest.mark.parametrize("folder", ["b", "b/train-1", "b/train-1/eval-1"])
def test_scores_behind_a_closed_folder_are_not_taken_for_absent(root: Path, folder: str) -> None:
    place = root / "runs" / "closed" / folder
    place.chmod(0)
    try:
        with bound_by_rights():
            for counts in (load_scores, check_records):
                with pytest.raises(UserError, match=f"closed/{folder} is closed to you. Change its rights"):
                    counts(root, "closed")
            assert load_scores(root, "open").missing == 0
            assert latest_evaluated(root) == "open"
            if folder.endswith("eval-1"):
                return
            assert {job.experiment for job in planned_jobs(root)} == {"open"}
            assert launched_experiments(root) == ["closed", "open"]
            problems = {one["experiment"]: one["problem"] for one in experiment_records(root)}
            assert problems == {"closed": f"{place} is closed to you. Change its rights.", "open": None}
            with pytest.raises(UserError, match="is closed to you"):
                list_runs(root, "closed")
    finally:
        place.chmod(0o755)


def test_a_list_of_all_runs_names_the_closed_ones_and_shows_the_others(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = root / "runs" / "closed" / "b" / "train-0"
    place.chmod(0)
    try:
        with bound_by_rights():
            monkeypatch.setattr("sys.argv", ["core", "runs", "list", "--json", "--root", str(root)])
            with pytest.raises(SystemExit, match="0"):
                command_line.main()
    finally:
        place.chmod(0o755)
    said = capsys.readouterr()
    assert [one["experiment"] for one in json.loads(said.out)] == ["open"] * 4
    assert f"closed: {place} is closed to you. Change its rights." in said.err
