"""What a person sees: one sentence and exit code 2, never a traceback."""

import errno
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from core import __main__ as command_line
from core.commands import follow_progress
from core.commands.printing import print_records
from core.errors import UserError
from core.experiments import listing
from core.experiments.listing import list_runs
from core.launching.launch import prepare
from core.runs.state import RunState, write_state
from core.storage.files import write_text
from tests.specs.tiny import spec_of
from tests.training.tiny import tiny_root


def said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    """Exit code, output and errors of a verb, as `python -m core` gives them."""
    monkeypatch.setattr(sys, "argv", ["core", *arguments])
    with pytest.raises(SystemExit) as end:
        command_line.main()
    captured = capsys.readouterr()
    return int(end.value.code or 0), captured.out, captured.err


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "The disk is full. Free some space and give the same command again; nothing is lost."),
        (errno.EISDIR, "This is a folder. Name a file."),
        (errno.EROFS, "The disk is read-only. Choose a writable folder with --root."),
        (
            errno.EACCES,
            "You may not read or write there. Change the rights of the folder or choose another with --root.",
        ),
    ],
)
def test_a_disk_that_takes_nothing_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int, sentence: str
) -> None:
    unfinished = "some/..place.12.0a1b2c3d.tmp.12.0a1b2c3d.tmp"
    for names, begin in (
        (("some/place",), "some/place: "),
        ((unfinished,), "some/place: "),
        ((), ""),
    ):

        def fail(names: tuple[str, ...] = names) -> None:
            raise OSError(number, "whatever", *names)

        monkeypatch.setattr(command_line, "app", fail)
        assert said(monkeypatch, capsys) == (2, "", f"{begin}{sentence}\n")


@pytest.mark.parametrize(
    ("verb", "sentence"),
    [
        ("import", " can't be read (Is a directory). Restore it or delete it."),
        ("export", ": This is a folder. Name a file."),
    ],
)
def test_a_folder_in_place_of_a_file_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    verb: str,
    sentence: str,
) -> None:
    folder = tmp_path / "flags.jsonl"
    folder.mkdir()
    found = said(monkeypatch, capsys, "flags", verb, str(folder), "--root", str(tmp_path))
    assert found == (2, "", f"{folder}{sentence}\n")
    assert [*tmp_path.iterdir()] == [folder]


def test_a_narrow_table_cuts_no_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    record = {"source": "arc1/evaluation", "origin": "a/long/place", "cells": 12345, "version": "of-today"}
    print_records([record], as_json=False)
    shown = capsys.readouterr().out
    assert "…" not in shown
    heading, *lines = shown.splitlines()
    begins = [*(heading.index(name) for name in record), None]
    parts = [[line[begin:end].strip() for line in lines] for begin, end in itertools.pairwise(begins)]
    assert ["".join(column) for column in parts] == [str(value) for value in record.values()]
    assert all(len(line) <= 40 for line in (heading, *lines))


def test_a_defect_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError(errno.EBADF, "broken")

    monkeypatch.setattr(command_line, "app", fail)
    with pytest.raises(OSError, match="broken"):
        command_line.main()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny_root(tmp_path_factory.mktemp("root"))
    prepare(folder, spec_of(folder), ["launch"])
    return folder


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["launch", "nope"], "There is no spec 'nope'. Give a file, or one of data/experiments: trial."),
        (["run", "nope"], "'nope' was never launched. Launch it: python -m core launch nope"),
        (
            ["run", "trial", "--of", "plain/0"],
            "One stage needs --of VARIANT/SEED and --stage (train, adapt, infer or score).",
        ),
        (
            ["run", "trial", "--of", "plain/0", "--stage", "cook"],
            "One stage needs --of VARIANT/SEED and --stage (train, adapt, infer or score).",
        ),
        (
            ["run", "trial", "--of", "plain/7", "--stage", "train"],
            "There is no run of 'trial' with variant 'plain' and seed 7. See: python -m core runs list",
        ),
        (
            ["run", "trial", "--of", "plain", "--stage", "train"],
            "'plain' names no run. Write it as VARIANT/SEED, such as plain/0.",
        ),
        (
            ["runs", "show", "trial", "plain", "7"],
            "There is no run of 'trial' with variant 'plain' and seed 7.",
        ),
        (["runs", "list", "nope"], "'nope' was never launched. Launched:"),
        (
            ["results", "show", "trial", "--level", "-1"],
            "--level -1 is no level of an interval. Give one from 0.5 to 0.9999.",
        ),
        (
            ["compare", "trial", "a", "b", "--level", "nan"],
            "--level nan is no level of an interval. Give one from 0.5 to 0.9999.",
        ),
        (["runs", "stop", "nope"], "There is no experiment 'nope' in runs/. See: python -m core runs list"),
        (["runs", "delete", "nope"], "There is no experiment 'nope' in runs/. See: python -m core runs list"),
        (["model", "init", "tiny"], "exists already. Choose another name or delete the folder first."),
        (
            ["model", "init", "odd", "--heads", "3"],
            "'the whole file': heads are a multiple of 32 wide",
        ),
    ],
)
def test_a_wrong_argument_is_one_sentence(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    code, output, errors = said(monkeypatch, capsys, *arguments, "--root", str(root))
    assert (code, output) == (2, "")
    assert sentence in errors and errors.count("\n") == 1


def test_a_stopped_run_that_is_to_work_says_why_it_does_not(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (run,) = list_runs(root, "trial")
    run.stop_file.touch()
    try:
        found = said(
            monkeypatch, capsys, "run", "trial", "--of", "plain/0", "--stage", "score", "--root", str(root)
        )
    finally:
        run.stop_file.unlink()
    stopped = (
        "plain/0 was stopped before its stage score was done. Go on with: python -m core runs resume trial"
    )
    assert found == (1, "", f"{stopped}\n")


def test_runs_are_listed_and_shown(root: Path) -> None:
    invoke = CliRunner().invoke
    listed = invoke(command_line.app, ["runs", "list", "--json", "--root", str(root)])
    (record,) = json.loads(listed.stdout)
    assert (record["experiment"], record["variant"], record["state"]) == ("trial", "plain", "queued")
    assert record["loss"] is None and record["eta_seconds"] is None
    shown = invoke(command_line.app, ["runs", "show", "trial", "plain", "0", "--root", str(root)])
    assert '"libraries"' in shown.output and '"state": "queued"' in shown.output
    models = invoke(command_line.app, ["model", "list", "--json", "--root", str(root)])
    assert [one["name"] for one in json.loads(models.output)] == ["tiny"]
    write_text(root / "data" / "models" / "broken" / "config.json", "[]")
    models = invoke(command_line.app, ["model", "list", "--json", "--root", str(root)])
    assert [one["name"] for one in json.loads(models.stdout)] == ["tiny"]
    assert "1 file is left out" in models.stderr and "broken/config.json" in models.stderr


def test_why_a_run_failed_stands_below_the_list_in_a_line_of_its_own(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    (run,) = prepare(root, spec_of(root), ["launch"])
    write_state(run, RunState("failed", "train", error="The disk is full. Free some space and go on."))
    listed = CliRunner().invoke(command_line.app, ["runs", "list", "--root", str(root)]).output
    assert "trial plain seed 0: The disk is full. Free some space and go on.\n" in listed
    table, _, _ = listed.partition("trial plain seed 0")
    assert "error" not in table and "failed" in table
    written = (
        CliRunner().invoke(command_line.app, ["runs", "list", "--format", "csv", "--root", str(root)]).output
    )
    assert "The disk is full." in written


@pytest.mark.parametrize(
    ("state", "done"),
    [(RunState("done"), True), (RunState("failed", "train", error="The disk is full."), False)],
)
def test_following_ends_with_the_truth(
    root: Path, capsys: pytest.CaptureFixture[str], state: RunState, done: bool
) -> None:
    (run,) = prepare(root, spec_of(root), ["launch"])
    write_state(run, state)
    assert follow_progress.follow(root, "trial") is done
    assert ("plain seed 0 failed: The disk is full." in capsys.readouterr().out) is not done


def test_a_worker_that_never_comes_ends_the_following(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow_progress, "SECONDS_TO_START", 0.0)
    (run,) = prepare(root, spec_of(root), ["launch"])
    write_state(run, RunState("queued", "train"))
    assert follow_progress.follow(root, "trial") is False


def test_leaving_the_following_stops_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def leave(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(listing, "run_records", leave)
    assert follow_progress.follow(root, "trial") is True
    assert "The runs go on. See them with: python -m core runs list trial" in capsys.readouterr().out


def test_user_errors_are_no_other_errors() -> None:
    assert not issubclass(UserError, OSError | ValueError | RuntimeError)
