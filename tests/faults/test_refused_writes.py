"""A place that refuses what is written: each verb and each button that would write there says so in one
sentence, and goes on reading."""

import contextlib
import io
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from core import __main__ as command_line
from core.bench.pages import served
from core.curation.sources import load_tasks
from core.importing.import_source import import_set
from core.synthetic.experiments import SOURCE
from tests.dashboard.browserless import Page
from tests.faults.project import EXPERIMENT, LAUNCHED, full_project, pages, reading_verbs
from tests.faults.refused_writes import bound_by_rights, fill, no_right_to_write, remount, small_disk
from tests.faults.shares import ALL, WITHOUT_END
from tests.patience import wait_for
from tests.served import answers

pytestmark = [WITHOUT_END] if ALL else []

GRID = [[1, 2]]
TASK = {"train": [{"input": GRID, "output": GRID}] * 2, "test": [{"input": GRID, "output": GRID}]}
READ_ONLY = "The disk is read-only. Choose a writable folder with --root."
NO_RIGHT = "You may not read or write there. Change the rights of the folder or choose another with --root."


def writing_verbs(root: Path, out: Path) -> list[list[str]]:
    """Every verb that writes and computes nothing before it; what it reads lies in `out`."""
    task = next(iter(load_tasks(root, SOURCE)))
    files = {
        "tasks.json": json.dumps({"a": TASK, "b": TASK}),
        "table.csv": "variant,train_seed,eval_seed,accuracy\na,0,0,.5\n",
        "labels.csv": f"task_id,value\n{task},no\n",
        "answers.json": json.dumps({task: [{"attempt_1": GRID}]}),
    }
    for name, text in files.items():
        (out / name).write_text(text)
    tasks, table, labels, answers = (str(out / name) for name in files)
    verbs = [
        ["data", "import", "mine", "--from", tasks],
        ["data", "split", SOURCE, "--train", "2", "--val", "1", "--name", "half"],
        ["flags", "add", task, "no"],
        ["flags", "import", labels],
        ["flags", "export", str(root / "flags.jsonl")],
        ["launch", LAUNCHED],
        ["run", EXPERIMENT],
        ["run", EXPERIMENT, "--of", "plain/0", "--stage", "score"],
        ["run", EXPERIMENT, "--of", "plain/0", "--stage", "infer", "--shard", "1/2"],
        ["runs", "resume", EXPERIMENT],
        ["runs", "clone", EXPERIMENT, "again"],
        ["runs", "archive", EXPERIMENT],
        ["runs", "delete", EXPERIMENT, "--of", "plain/0"],
        ["runs", "delete", EXPERIMENT],
        ["results", "import", table, "--experiment", "numbers"],
        [
            "predictions",
            "import",
            answers,
            "--source",
            SOURCE,
            "--experiment",
            "answers",
            "--variant",
            "theirs",
        ],
        ["predictions", "export", EXPERIMENT, "plain", "--kaggle", str(root / "submission.json")],
        ["rescore", EXPERIMENT],
        ["check", EXPERIMENT, "--repeat"],
        ["worker"],
        ["drive", LAUNCHED],
    ]
    return [[*verb, "--root", str(root)] for verb in verbs]


def ended(arguments: list[str]) -> tuple[int, str]:
    """The exit code of a verb, and what it said of errors."""
    sys.argv = ["core", *arguments]
    errors = io.StringIO()
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(errors),
        pytest.raises(SystemExit) as end,
    ):
        command_line.main()
    return int(end.value.code or 0), errors.getvalue()


@contextlib.contextmanager
def read_only(root: Path) -> Iterator[None]:
    """The disk of a project mounted read-only."""
    remount(root.parent, "ro")
    try:
        yield
    finally:
        remount(root.parent, "rw")


@contextlib.contextmanager
def full(root: Path) -> Iterator[None]:
    """The disk of a project filled to its last byte."""
    filler = root.parent / "filler"
    fill(filler)
    try:
        yield
    finally:
        filler.unlink()


REFUSING: dict[str, tuple[Callable[[Path], AbstractContextManager[None]], str]] = {
    "a read-only disk": (read_only, READ_ONLY),
    "no right to write": (no_right_to_write, NO_RIGHT),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with a file of each kind on a disk of its own."""
    place = tmp_path_factory.mktemp("refused") / "disk"
    with small_disk(place):
        yield full_project(place / "project")


@pytest.mark.parametrize("how", REFUSING)
def test_what_can_not_be_written_is_one_sentence_and_the_rest_is_read(
    root: Path, tmp_path: Path, how: str
) -> None:
    refuse, sentence = REFUSING[how]
    verbs = writing_verbs(root, tmp_path)
    reading = reading_verbs(root, tmp_path)
    reading = [verb for verb in reading if ALL or {"list", "stats", "show", "validate"} & set(verb[:2])]
    assert len(verbs) > 20 and len(reading) > 10
    with refuse(root):
        for arguments in verbs:
            code, said = ended(arguments)
            assert (code, said.rstrip().endswith(sentence)) == (2, True), (arguments, said)
            assert ".tmp" not in said, arguments
        for arguments in reading:
            assert "validate" in arguments or ended(arguments)[0] == 0, arguments


def test_what_can_not_be_read_of_a_folder_is_reported(tmp_path: Path) -> None:
    folder = tmp_path / "tasks"
    (folder / "closed").mkdir(parents=True)
    (folder / "good.json").write_text(json.dumps(TASK))
    (folder / "hidden.json").write_text(json.dumps(TASK))
    for path in (folder / "closed", folder / "hidden.json"):
        path.chmod(0)
    with bound_by_rights():
        (info,) = import_set(tmp_path / "project", "mine", str(folder))
    (folder / "closed").chmod(0o700)
    assert info.tasks == 1
    reasons = {one.task_id: one.reason for one in info.dropped}
    assert set(reasons) == {"closed", "hidden.json"}
    assert all("can't be read (Permission denied)" in reason for reason in reasons.values())


BUTTONS = (
    ("launch?spec=trial", None, "Begin"),
    (f"runs?experiment={EXPERIMENT}", "Clone", "Clone"),
    (f"runs?experiment={EXPERIMENT}", "Put away", "Archive"),
    (f"runs?experiment={LAUNCHED}", None, "Retry 1 run"),
    (f"runs?experiment={LAUNCHED}", None, "Stop"),
)
"""On which page, in which popover, which button is pressed."""


def every_button(port: int, root: Path) -> Iterator[tuple[str, str | None, str]]:
    """All buttons of all pages, those of popovers as well; of buttons with one name on a page the first."""
    for address in pages(root):
        page = opened(port, address)
        for popover in (None, *(one.label for one in page.popovers)):
            if popover is not None:
                page.send(page.opened(popover))
            for label in dict.fromkeys(button.label for button in page.buttons):
                yield address, popover, label
        page.close()


def opened(port: int, address: str) -> Page:
    name, _, query = address.partition("?")
    return Page(f"http://127.0.0.1:{port}", name, query=query)


def press(port: int, address: str, popover: str | None, label: str) -> tuple[str, list[str]]:
    """Press a button on a page of its own; what the page says then, and the exceptions that it shows."""
    page = opened(port, address)
    try:
        states = [] if popover is None else [page.opened(popover)]
        page.send(*states)
        page.press(label, *states)
        # A browser runs the fragment of a button alone, which this client does not.
        return page.texts(), [one for one in page.exceptions if not one.startswith('scope="frag')]
    finally:
        page.close()


@pytest.mark.parametrize("how", ["read-only", *(["full"] if ALL else [])])
def test_a_button_that_would_write_says_why_it_does_not(root: Path, tmp_path: Path, how: str) -> None:
    whole = shutil.copytree(root, tmp_path / "whole")
    with served(root) as (port, _), (read_only if how == "read-only" else full)(root):
        wait_for(lambda: answers(port))
        problems: list[str] = []
        for address, popover, label in every_button(port, root) if ALL else BUTTONS:
            shown, exceptions = press(port, address, popover, label)
            problems += [f"{address}, {popover}, {label}: {one}" for one in exceptions]
            if how == "full":
                as_it_was(root, whole, root.parent / "filler")
            assert ALL or label == "Stop" or "The disk is read-only" in shown, (label, shown[-2000:])
        assert problems == []


def as_it_was(root: Path, whole: Path, filler: Path) -> None:
    """Undo what a button could do without room, such as a move into the trash."""
    if places_of(root) != places_of(whole):
        filler.unlink(missing_ok=True)
        shutil.rmtree(root)
        shutil.copytree(whole, root)
        fill(filler)


def places_of(root: Path) -> set[Path]:
    """The files and folders of a project that are not hidden."""
    found = (path.relative_to(root) for path in root.rglob("*"))
    return {path for path in found if not any(part.startswith(".") for part in path.parts)}
