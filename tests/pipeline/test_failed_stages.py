"""What goes wrong in a stage or before a launch is a sentence; files are believed, not what a state says."""

import errno
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.curation.stored import SourceInfo, store_source
from core.errors import UserError
from core.experiments.launched_experiment import LaunchedExperiment
from core.experiments.listing import run_records
from core.inference.prediction_parts import PARTS
from core.launching import worker
from core.launching.launch import launch, prepare
from core.pipeline.answer_groups import GROUPS
from core.pipeline.real_work import REAL_WORK
from core.pipeline.stages import mark_next, run_stage
from core.pipeline.work import Work, one_by_one
from core.runs.done import Stage
from core.runs.layout import Run
from core.runs.state import state_of
from core.storage.files import write_text
from tests.specs.tiny import spec_of
from tests.training.tiny import copy_task


def test_a_state_that_was_cut_in_half_is_not_believed(run: Run) -> None:
    state = run.folder / "state.json"
    state.write_text(state.read_text()[:20])
    assert state_of(run).state == "queued"
    said = "state.json is missing or broken. Go on with: python -m core runs resume trial"
    assert state_of(run).error == said


def pretend_done(run: Run) -> None:
    """All files of all stages, empty."""
    for name in ("adapter/x", *(f"eval-{s}/{n}.parquet" for s in (0, 1) for n in ("predictions", "scores"))):
        path = run.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")


@pytest.mark.parametrize("state", ['{"sta', '{"state": "running", "pid": 1, "host": "x"}', '{"colour": 1}'])
def test_a_run_whose_files_are_there_is_done_whatever_its_state_says(
    run: Run, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    monkeypatch.setattr(worker, "start_detached", lambda *_: pytest.fail("there is nothing to do"))
    pretend_done(run)
    (run.folder / "state.json").write_text(state)
    launch(run.root, LaunchedExperiment.of(run).spec, ["launch"])
    assert state_of(run).state == "done"


def test_what_a_killed_stage_left_is_removed_once_it_is_done(run: Run) -> None:
    experiment = LaunchedExperiment.of(run)
    left = [run.checkpoint, run.eval_folder(0) / GROUPS / "0001", run.eval_folder(1) / PARTS]
    for folder in left:
        write_text(folder / "x", "")
    mark_next(experiment, run)
    assert all(folder.exists() for folder in left), "their stages are not done"
    pretend_done(run)
    mark_next(experiment, run)
    assert not any(folder.exists() for folder in left) and state_of(run).state == "done"


def working(train: Any) -> Work:
    """The real work with another training."""
    return replace(REAL_WORK, stages={**REAL_WORK.stages, "train": one_by_one(train)})


def failed_stage(run: Run, stage: Stage, work: Work = REAL_WORK) -> str:
    """The sentence that a failed stage leaves in the list of runs."""
    assert run_stage(run, stage, work) is False
    (record,) = run_records(run.root, run.experiment)
    assert record["state"] == "failed" and record["stage"] == stage
    return str(record["error"])


def test_damaged_predictions_fail_the_run_with_a_sentence(run: Run) -> None:
    pretend_done(run)
    (run.eval_folder(1) / "scores.parquet").unlink()
    sentence = failed_stage(run, "score")
    assert "eval-1/predictions.parquet is damaged (" in sentence
    assert "Delete it and scores.parquet beside it, and launch the experiment again" in sentence
    assert (run.eval_folder(0) / "scores.parquet").exists()


def test_a_source_that_is_gone_fails_the_run_with_a_sentence(run: Run) -> None:
    (run.root / "data/sources/toy.json").unlink()
    assert failed_stage(run, "train").startswith("There is no source 'toy'. No source is imported yet.")


@pytest.mark.parametrize("stage", ["train", "infer", "score"])
def test_a_source_that_changed_since_the_launch_is_named(run: Run, stage: Stage) -> None:
    store_source(run.root, SourceInfo("toy", "made up", "2", "none", "1"), [copy_task(n) for n in range(3)])
    assert failed_stage(run, stage) == (
        "Source 'toy' has changed since the launch, so the run would not be what its record says."
        " Undo the change, or launch the spec under another name."
    )


@pytest.mark.parametrize(
    ("name", "stage"),
    [("checkpoint", "train"), ("adapter", "infer"), ("eval-0", "score"), ("eval-0", "infer")],
)
def test_a_file_in_the_place_of_a_folder_is_named_before_the_work(run: Run, name: str, stage: Stage) -> None:
    (run.folder / name).write_text("")
    assert failed_stage(run, stage) == (
        f"{run.folder / name} is a file where a folder is wanted. Move it away, then retry the run."
    )


@pytest.mark.parametrize(
    "problem",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_one_sentence(run: Run, problem: Exception) -> None:
    def fill(*_: Any) -> None:
        raise problem

    assert failed_stage(run, "train", working(fill)) == (
        "The disk is full. Free some space and launch again; finished stages are kept."
    )


def test_a_defect_says_where_its_details_are(run: Run) -> None:
    assert failed_stage(run, "train", working(lambda *_: 1 // 0)).endswith(
        "ZeroDivisionError: integer division or modulo by zero. The log holds the details."
    )


def test_a_panic_of_a_library_fails_the_run_and_does_not_end_its_process(run: Run) -> None:
    panic = type("PanicException", (BaseException,), {})

    def train(*_: Any) -> None:
        raise panic("no entry found for key")

    assert "no entry found for key" in failed_stage(run, "train", working(train))


def test_too_little_room_is_refused_before_anything_is_written(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    little = shutil.disk_usage(root)._replace(free=2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: little)
    with pytest.raises(UserError, match=r"For 1 run about 0.2 GB are needed, but the disk has 0.0 GB left"):
        prepare(root, spec_of(root), ["launch"])
    assert not (root / "runs" / "trial").exists()


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        ({"base_model": "gone", "mixture": {"sources": [{"source": "toy"}]}}, "no base model 'gone'"),
        ({"base_model": "tiny", "mixture": {"sources": [{"source": "toi"}]}}, "no source 'toi'"),
    ],
)
def test_missing_parts_are_named_at_the_launch(root: Path, recipe: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        launch(root, spec_of(root, recipe=recipe), ["launch"])
    assert not (root / "runs" / "trial").exists()


def test_a_root_that_is_none_is_named(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(UserError, match=r"holds no folder data. Name the project folder with --root"):
        launch(tmp_path_factory.mktemp("empty"), spec_of(root), ["launch"])


def test_more_seeds_may_be_added_and_other_settings_not(run: Run) -> None:
    runs = prepare(run.root, spec_of(run.root, train_seeds=[0, 1]), ["launch"])
    assert [one.train_seed for one in runs] == [0, 1]
    before = (run.folder / "run.json").read_text()
    with pytest.raises(UserError, match=r"plain/train-0 was made with other settings. Give the spec"):
        prepare(run.root, spec_of(run.root, variants={"plain": {"training": {"steps": 7}}}), ["launch"])
    assert (run.folder / "run.json").read_text() == before
