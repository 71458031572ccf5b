"""No name is a traceback: each argument of each verb gets what nobody expects, the others what they want.

A sample runs here; with `FUZZ` every name in every place, or a share of them, as docs/faults.md says.
"""

import contextlib
import io
import random
import shutil
import sys
import traceback
from pathlib import Path

import pytest

from core import __main__ as command_line
from core.synthetic.experiments import SOURCE
from tests.commands.test_terminal import verbs
from tests.faults.project import EXPERIMENT, OTHER, VARIANT, full_project, task_of
from tests.faults.shares import ALL, WITHOUT_END, counted, share

pytestmark = [WITHOUT_END] if ALL else []
SAMPLE = 150

NAMES = (
    *("", " ", ".", "..", "/", "./", "../..", "../x", "a/b", "a/b/0", "/nowhere/x", "~", "-", "--"),
    *("x" * 300, "x" * 5000, "é" * 200, "[" * 3000, "{" * 3000, "9" * 5000, "1e999", "-1", "0x10", "nan"),
    *("[red]", "[/b]", "[link=x]y[/link]", "\x1b[31m", "\x07", "a\nb", "a\tb", "\u202e", "\ud800", "😀"),
    *(
        "'",
        '"',
        "`",
        ";",
        "--x",
        "$HOME",
        "%s",
        "%n",
        "*",
        "?",
        "[a-z]",
        "null",
        "true",
        "a=b",
        "=",
        ":",
        "a:b",
    ),
    *(
        "reversed:",
        "reversed:reversed:x",
        "demos:",
        ".trash",
        ".hidden",
        "con.yaml",
        "x.tmp",
        "a\\b",
        "mine/",
    ),
)
NEVER = {"worker", "dashboard", "demo", "rescore", "bench make", "bench bench", "data import", "model init"}
"""Verbs that start something, ask a network, or compute for long."""
ONLY_FIRST = {"launch", "drive", "run", "runs resume", "runs retry", "model shrink", "model expand", "check"}
"""Verbs of which only the first argument is tried, as others may start something."""


def wanted(root: Path, out: Path) -> dict[str, str]:
    """A value for each argument that is not tried."""
    return {
        "experiment": EXPERIMENT,
        "variant": VARIANT,
        "train_seed": "0",
        "eval_seed": "0",
        "task": task_of(root),
        "task_id": task_of(root),
        "source": SOURCE,
        "value": "unsure",
        "a": VARIANT,
        "b": OTHER,
        "name": "other",
        "target": str(out / "x"),
        "origin": str(out / "y"),
        "file": str(out / "none.json"),
        "spec": "nothing",
        "base": "tiny",
        "shrunk": "tiny",
        "root": str(root),
    }


def places(root: Path, out: Path) -> list[tuple[str, list[str], str | None]]:
    """Every place for a name: the verb with all other required arguments, and the option; None: the last
    argument."""
    values = wanted(root, out)
    found: list[tuple[str, list[str], str | None]] = []
    for name, verb in verbs().items():
        if name in NEVER or name.startswith("bench"):
            continue
        arguments = [one for one in verb.params if one.param_type_name == "argument"]
        needed = [one for one in verb.params if one.param_type_name == "option" and one.required]
        fixed = [part for one in needed for part in (one.opts[0], values.get(one.name, "x"))]
        for place in range(len(arguments) if name not in ONLY_FIRST else 1):
            own = [values.get(one.name, "x") for one in arguments if one.required or one is arguments[place]]
            line = [*name.split(), *fixed, "--root", str(root), *own]
            line[len(line) - len(own) + place] = "\0"
            found.append((name, line, None))
        if name in ONLY_FIRST or "--yes" in {option for one in verb.params for option in one.opts}:
            continue
        required = [values.get(one.name, "x") for one in arguments if one.required]
        for one in verb.params:
            if one.param_type_name == "option" and not one.is_flag and one.name not in ("root", "help"):
                rest = [part for part in fixed if one not in needed] if one in needed else fixed
                found.append((name, [*name.split(), *rest, "--root", str(root), *required], one.opts[0]))
    return found


def traceback_of(arguments: list[str]) -> str | None:
    sys.argv = ["core", *arguments]
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            command_line.main()
    except SystemExit:
        return None
    except Exception:
        return f"{[one[:60] for one in arguments]}: {traceback.format_exc()[-700:]}"
    return None


def test_no_name_is_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("hostile")
    whole, root, out = folder / "whole", folder / "inside" / "project", folder / "out"
    full_project(whole)
    out.mkdir()
    here = folder / "cwd" / "here"  # a file to write may be called ../x
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    shutil.copytree(whole, root)
    every = [(place, name) for place in places(root, out) for name in NAMES]
    assert len(every) > 2_760
    tried = share(every) if ALL else random.Random(3).sample(every, SAMPLE)
    problems: list[str] = []
    for (_, line, option), name in counted(tried, problems):
        if not (root / "runs" / EXPERIMENT / "experiment.yaml").exists():
            shutil.rmtree(root)
            shutil.copytree(whole, root)
        arguments = [name if part == "\0" else part for part in line]
        problem = traceback_of(arguments if option is None else [*arguments, option, name])
        problems += [problem] if problem else []
    assert problems == []
    assert sorted(path.name for path in folder.iterdir()) == ["cwd", "inside", "out", "whole"]
    assert [path.name for path in (folder / "inside").iterdir()] == ["project"]
