"""What reaches a terminal: no character that commands it, no markup, and JSON from every reading verb."""

import errno
import json
from pathlib import Path
from typing import Any

import pytest
import typer

import core.commands
from core import __main__ as command_line
from core.commands.command_text import as_typed
from core.commands.printing import clean, print_records, progress_bar, say_json
from core.commands.result_options import Aggregation, Scope
from core.curation.flags import add_flag
from core.curation.sources import load_tasks
from core.errors import disk_sentence
from core.scoring.metrics import AGGREGATIONS
from core.spread.scopes import SCOPES
from core.synthetic.experiments import SOURCE, make_experiment
from tests.commands.test_errors import said

CODES = "a\x1b[31mred\x1b[0m\x1b]0;title\x07\x07\x9b1m\u202eback\ud800 [b] [/b] é – 5\u00a0% 好 😀"
CHANGING = {
    *("launch", "worker", "drive", "run", "rescore", "demo", "dashboard", "bench make", "bench table"),
    *(
        "data split",
        "flags add",
        "flags export",
        "flags import",
        "model init",
        "model keep",
        "model shrink",
        "model expand",
    ),
    *("runs stop", "runs resume", "runs retry", "runs clone", "runs archive", "runs restore", "runs delete"),
    *("runs empty-trash", "runs example", "results import", "predictions export", "predictions import"),
}
"""Verbs that write, start or stop something; all others read, and have `--json`."""


def test_a_text_commands_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert clean(CODES) == "ared��1m�back� [b] [/b] é – 5\u00a0% 好 😀"
    say_json([CODES])
    shown = capsys.readouterr().out
    assert json.loads(shown) == [CODES]
    assert not {"\x1b", "\x07", "\x9b", "\u202e", "\ud800"} & set(shown)


def test_names_with_brackets_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_records([{"[red]": "[/nothing]"}], as_json=False)
    with progress_bar() as progress:
        progress("[/what] \x1b[31m", 1, 2)
    assert "[/nothing]" in capsys.readouterr().out


def test_no_verb_prints_past_the_one_function() -> None:
    folder = Path(core.commands.__file__).parent
    files = [path for path in folder.glob("*.py") if path.name != "printing.py"]
    assert len(files) > 9
    for path in files:
        assert "typer.echo" not in path.read_text(encoding="utf-8"), path.name


def test_notes_do_not_reach_the_terminal_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    make_experiment(tmp_path, runs=1, evaluations=1, tasks=2)
    add_flag(
        tmp_path, next(iter(load_tasks(tmp_path, SOURCE))), SOURCE, "yes", "ada", "\x1b]0;mine\x07\x1b[2J"
    )
    for form in ([], ["--json"]):
        code, out, _ = said(monkeypatch, capsys, "flags", "list", "--root", str(tmp_path), *form)
        assert code == 0 and "\x1b" not in out and "\x07" not in out


def test_lists_of_flags_and_runs_fit_into_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    make_experiment(tmp_path, runs=1, evaluations=1, tasks=2)
    task = next(iter(load_tasks(tmp_path, SOURCE)))
    add_flag(tmp_path, task, SOURCE, "unsure", "ada.lovelace", "symmetric")
    _, flags, _ = said(monkeypatch, capsys, "flags", "list", "--root", str(tmp_path))
    (line,) = flags.splitlines()[1:]
    assert line.split()[:4] == [task, SOURCE, "unsure", "ada.lovelace"] and line.endswith("symmetric")
    _, runs, _ = said(monkeypatch, capsys, "runs", "list", "--root", str(tmp_path))
    assert [line.split()[:4] for line in runs.splitlines() if "done" in line] == [
        ["my-question", name, "0", "done"] for name in ("more-colours", "plain", "twice-as-long")
    ]


def verbs() -> dict[str, Any]:
    """Every verb by what is typed for it."""
    top: Any = typer.main.get_command(command_line.app)
    found = {}
    for name, one in top.commands.items():
        inside = getattr(one, "commands", None)
        found |= (
            {name: one} if inside is None else {f"{name} {inner}": verb for inner, verb in inside.items()}
        )
    return found


def test_every_reading_verb_has_json() -> None:
    found = verbs()
    assert not CHANGING - set(found)
    reading = {name: verb for name, verb in found.items() if name not in CHANGING}
    assert len(reading) > 15
    without = [name for name, verb in reading.items() if not any("--json" in one.opts for one in verb.params)]
    assert without == []


def test_one_run_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    spec = make_experiment(tmp_path, runs=1, evaluations=1, tasks=2)
    variant = spec.baseline
    arguments = ["runs", "show", spec.name, variant, "0", "--json", "--root", str(tmp_path)]
    code, out, _ = said(monkeypatch, capsys, *arguments)
    (record,) = json.loads(out)
    assert (code, record["variant"], record["state"]) == (0, variant, "done")
    assert record["record"]["engine"]["name"] == "made up" and record["log"] == "" and record["alarms"] == []


def test_a_submission_s_problems_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    make_experiment(tmp_path, runs=1, evaluations=1, tasks=2)
    (tmp_path / "a.json").write_text("{}")
    arguments = [str(tmp_path / "a.json"), "--source", SOURCE, "--json", "--root", str(tmp_path)]
    code, out, _ = said(monkeypatch, capsys, "predictions", "validate", *arguments)
    assert code == 1
    assert {"problem"} == set(json.loads(out)[0])


@pytest.mark.parametrize("name", ["my-question/", "./my-question", "runs/my-question/", "my-question"])
def test_a_name_may_be_what_the_shell_completes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    make_experiment(tmp_path, runs=1, evaluations=1, tasks=2)
    code, out, _ = said(monkeypatch, capsys, "runs", "delete", name, "--root", str(tmp_path))
    assert code == 0 and "runs/.trash/my-question-" in out


@pytest.mark.parametrize("name", ["..", "../data", "a/b", "/", ".trash", "", "./", "x" * 300, "[" * 3000])
@pytest.mark.parametrize("verb", ["delete", "archive", "restore", "list", "stop", "resume"])
def test_what_names_no_experiment_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, verb: str, name: str
) -> None:
    make_experiment(tmp_path, runs=1, evaluations=1, tasks=2)
    code, _, err = said(monkeypatch, capsys, "runs", verb, name, "--root", str(tmp_path))
    assert code == 2
    assert err.count("\n") == 1
    assert (tmp_path / "runs" / "my-question" / "experiment.yaml").exists()


@pytest.mark.parametrize("target", ["..", ".", "/", "../..", "x" * 300])
def test_what_is_no_file_to_write_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, target: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = said(monkeypatch, capsys, "flags", "export", target, "--root", str(tmp_path))
    assert code == 2 and err.count("\n") == 1
    assert list(tmp_path.rglob("*.tmp")) == []


@pytest.mark.parametrize(
    "number",
    [errno.EPERM, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EDQUOT, errno.ELOOP, errno.ENOTEMPTY, errno.EBUSY],
)
def test_an_error_of_the_disk_has_a_remedy(number: int) -> None:
    sentence = disk_sentence(OSError(number, "whatever", "x" * 5000))
    assert sentence is not None and len(sentence) < 400 and sentence.endswith(("4096", "."))


def test_a_sentence_names_commands_as_they_can_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, other = tmp_path / ".venv" / "bin", tmp_path / "bin"
    for folder, name in ((inside, "python"), (inside, "workbench"), (other, "python")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
        (folder / name).chmod(0o755)
    monkeypatch.chdir(tmp_path)

    def typed(program: str, *path: Path) -> str:
        monkeypatch.setattr("sys.argv", [program])
        monkeypatch.setattr("sys.executable", str(inside / "python"))
        monkeypatch.setenv("PATH", ":".join(map(str, path)))
        return as_typed("Run: python -m core data list")

    assert typed("core", inside) == "Run: python -m core data list"
    assert typed("core", other) == "Run: .venv/bin/python -m core data list"
    assert typed(str(inside / "workbench"), inside) == "Run: workbench data list"
    assert typed(str(inside / "workbench"), other) == "Run: .venv/bin/workbench data list"
    monkeypatch.chdir(other)
    assert typed("core") == f"Run: {inside}/python -m core data list"


def test_the_options_are_the_scopes_and_aggregations_that_there_are() -> None:
    assert [one.value for one in Scope] == list(SCOPES)
    assert [one.value for one in Aggregation] == list(AGGREGATIONS)
