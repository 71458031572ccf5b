"""What lies below an experiment's folder counts as a run or an evaluation only where it can be one."""

import errno
import os
from pathlib import Path

import pytest

from core.experiments.archive import put_aside
from core.runs.layout import Run, eval_folders, evaluation_files, run_folders
from core.runs.state import queue_for
from core.storage.files import write_text


def put_strangers(folder: Path, prefix: str) -> None:
    """A file, a pipe, links, and folders whose number is none."""
    (folder / f"{prefix}7").touch()
    os.mkfifo(folder / f"{prefix}8")
    (folder / f"{prefix}9").symlink_to("nowhere")
    (folder / f"{prefix}10").symlink_to(f"{prefix}10")
    for number in ("04", "x", "", "-1", str(10**30)):
        (folder / f"{prefix}{number}").mkdir()


def test_only_folders_named_by_their_seed_are_runs_and_evaluations(tmp_path: Path) -> None:
    run = Run(tmp_path, "trial", "plain", 3)
    run.eval_folder(1).mkdir(parents=True)
    put_strangers(run.folder.parent, "train-")
    put_strangers(run.folder, "eval-")
    assert run_folders(run.folder.parents[1]) == [run.folder]
    assert eval_folders(run.folder) == [(1, run.eval_folder(1))]


def test_a_folder_that_the_disk_does_not_give_is_not_taken_for_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Run(tmp_path, "trial", "plain", 3).eval_folder(1).mkdir(parents=True)

    def refuse(_: Path) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("core.runs.layout.os.scandir", refuse)
    for listed in (run_folders, lambda folder: evaluation_files(folder, "scores.parquet")):
        with pytest.raises(OSError, match="Too many open files"):
            listed(tmp_path / "runs" / "trial")


def test_what_may_be_work_is_put_aside_before_a_launch(tmp_path: Path) -> None:
    run = Run(tmp_path, "trial", "plain", 0)
    queue_for(run, "train")
    (run.folder / ".state.json.1.0a1b2c3d.tmp").touch()
    put_aside(tmp_path, run)
    assert run.state_file.exists(), "the rest of a launch that was killed"
    write_text(run.predictions(0), "answers")
    put_aside(tmp_path, run)
    assert not run.folder.exists() and len(list((tmp_path / "runs" / ".trash").iterdir())) == 1
