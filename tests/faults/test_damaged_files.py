"""No damage of any file is a traceback: each verb answers with its result or with one sentence.

A sample runs here, more with `FUZZ`, as docs/faults.md says.
"""

import contextlib
import io
import logging
import random
import re
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from core import __main__ as command_line
from core.bench.pages import served
from core.errors import UserError, panics_as_errors
from core.pipeline.shards import Shard, progress_of_shards
from core.reports.finish_notice import project_settings
from core.runs.layout import Run
from core.storage.seals import seal_path
from tests.dashboard.browserless import Page
from tests.faults.damage import UNSEALED, Damage, damages, put
from tests.faults.project import LAUNCHED, full_project, pages, reading_verbs, slow_verbs
from tests.faults.shares import ALL, EACH, WITHOUT_END, counted, share
from tests.patience import wait_for
from tests.served import answers

pytestmark = [WITHOUT_END] if ALL else []
CASES, VERBS_OF_A_CASE = 40, 4

Case = tuple[Path, str, bytes | None]
Reader = TypeVar("Reader")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return full_project(tmp_path_factory.mktemp("damaged") / "project")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def kinds(root: Path) -> list[Path]:
    """A file of every kind: of the runs and evaluations, which hold the same, one each. Hidden files are
    locks and heartbeats, which nobody reads, except JSON."""
    found: dict[str, Path] = {}
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        if path.name.startswith(".") and path.suffix != ".json":
            continue
        place = path.relative_to(root)
        parts = [re.sub(r"^(train|eval)-\d+$", r"\1", part) for part in place.parts]
        if "train" in parts:
            parts[parts.index("train") - 1] = "variant"
        found.setdefault("/".join(parts), path)
    return list(found.values())


def damages_by_kind(root: Path, seed: int) -> list[list[Case]]:
    """For a file of each kind its damages, in an order drawn by the seed."""
    rng = random.Random(seed)
    found: list[list[Case]] = []
    for path in kinds(root):
        every: list[Damage] = list(damages(path))
        rng.shuffle(every)
        found.append([(path, name, data) for name, data in every])
    return found


def meetings(
    root: Path, readers: Sequence[Reader], seed: int, sample: int, *, every_damage: bool
) -> list[tuple[Case, Reader]]:
    """Which damage meets which reader.

    `FUZZ=each`: every kind of file meets every reader, with another damage each time, and with `every_damage`
    every damage one of them. `all` and shares: every damage meets every reader. Otherwise one damage of each
    kind meets a `sample` of the readers.
    """
    by_kind = damages_by_kind(root, seed)
    if EACH:
        turns = [max(len(readers), len(every) if every_damage else 0) for every in by_kind]
        return share(
            [
                (every[turn % len(every)], readers[(turn + kind) % len(readers)])
                for kind, every in enumerate(by_kind)
                for turn in range(turns[kind])
            ]
        )
    if ALL:
        return share([(case, reader) for every in by_kind for case in every for reader in readers])
    rng = random.Random(seed)
    rng.shuffle(by_kind)
    return [(every[0], reader) for every in by_kind[:CASES] for reader in rng.sample(readers, sample)]


@contextlib.contextmanager
def damaged(case: Case) -> Iterator[str]:
    """The project with one file damaged; what was done, in words."""
    path, name, data = case
    kept = [path, *([seal_path(path)] if name.endswith(UNSEALED) and seal_path(path).exists() else [])]
    whole = {one: one.read_bytes() for one in kept}
    for one in kept:
        one.unlink()
    put(path, (name, data))
    try:
        yield f"{path.name}: {name}"
    finally:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
        for one, content in whole.items():
            one.write_bytes(content)


def problem_of(arguments: list[str]) -> str | None:
    """The traceback, or the sentence that is none, with which a verb ends; None where all is well."""
    sys.argv = ["core", *arguments]
    out, errors = io.StringIO(), io.StringIO()
    try:
        with panics_as_errors(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            command_line.main()
    except SystemExit as end:
        said = errors.getvalue().strip()
        return None if end.code != 2 or said else f"{arguments}: nothing was said"
    except Exception:
        return f"{arguments}: {traceback.format_exc()[-900:]}"
    return None


def test_every_verb_reads_the_whole_project(root: Path, tmp_path: Path) -> None:
    found = [*reading_verbs(root, tmp_path), *(slow_verbs(root) if ALL else [])]
    assert len(found) > 30
    for arguments in found if ALL else random.Random(0).sample(found, 12):
        sys.argv = ["core", *arguments]
        with pytest.raises(SystemExit) as end, contextlib.redirect_stdout(io.StringIO()):
            command_line.main()
        assert not end.value.code, arguments


def test_no_damage_is_a_traceback_where_runs_go_on(root: Path) -> None:
    """Files that no verb and no page reads, but the worker, the driver, or a stage."""
    run = Run(root, LAUNCHED, "plain", 0)
    readers: dict[Path, Callable[[], object]] = {
        root / "data" / "settings.yaml": lambda: project_settings(root),
        Shard(1, 2).report_file(run, "infer"): lambda: progress_of_shards(run, "infer", 2),
    }
    refused = set()
    for path, reader in readers.items():
        for name, data in damages(path):
            with damaged((path, name, data)) as what:
                try:
                    reader()
                except UserError as problem:
                    assert path.name in str(problem), what
                    refused.add(path.name)
    assert refused == {"settings.yaml"}, "a damaged report counts as absent"


def test_no_damage_is_a_traceback_of_a_verb(root: Path, tmp_path: Path) -> None:
    verbs = reading_verbs(root, tmp_path)
    if ALL:
        verbs += slow_verbs(root)
    else:
        verbs = [verb for verb in verbs if not {"lengths", "--html", "suggest"} & set(verb)]
    problems: list[str] = []
    tried = meetings(root, verbs, 1, VERBS_OF_A_CASE, every_damage=True)
    assert len(tried) > 100 or ALL
    for case, verb in counted(tried, problems):
        with damaged(case) as what:
            problem = problem_of(verb)
            problems += [f"{what}: {problem}"] if problem else []
    assert problems == []


@pytest.mark.skipif(not ALL, reason="the pages run with FUZZ")
def test_no_damage_is_a_traceback_of_a_page(root: Path) -> None:
    problems: list[str] = []
    with served(root) as (port, _):
        wait_for(lambda: answers(port))
        tried = meetings(root, pages(root), 2, 0, every_damage=False)
        for case, address in counted(tried, problems):
            with damaged(case) as what:
                problems += [f"{what}, {address}: {one}" for one in exceptions_of(port, address)]
    assert problems == []


def exceptions_of(port: int, address: str) -> list[str]:
    """The exceptions that a page shows, fragments included."""
    page, _, query = address.partition("?")
    opened = Page(f"http://127.0.0.1:{port}", page, query=query)
    try:
        return opened.exceptions
    finally:
        opened.close()
