"""The JSON files inside a folder, a zip or a single file, read without trusting them.

Nothing is ever unpacked to disk, so no member can land outside the project. Members that are broken,
too large, links, hidden, or named to leave the folder are given with the reason instead of their bytes.
What `gzip` compressed is unfolded in memory, as far as a member may go.
"""

import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from core.errors import UserError
from core.plain_files import open_plain, unfolded, unreadable_file

MAX_ARCHIVE_BYTES = 256 * 2**20  # RE-ARC's public archive, the largest known set, has about 40 MB
MAX_MEMBERS = 20_000
MAX_MEMBER_BYTES = 64 * 2**20
MAX_TOTAL_BYTES = 2 * 2**30
MAX_FILE_BYTES = 512 * 2**20  # a single JSON file that a person names

_ZIP_PROBLEMS = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    NotImplementedError,
    RuntimeError,  # a password is needed
    ValueError,
    OverflowError,
)


@dataclass(frozen=True)
class Member:
    """One JSON file: its path inside the set, and its bytes or why it has none. `kind` says whether one with
    a problem is "dropped", or "skipped" because nothing was wanted of it."""

    path: str
    data: bytes = b""
    problem: str | None = None
    kind: str = "dropped"

    @property
    def stem(self) -> str:
        """The name without folders and what says that it is JSON."""
        return _ENDING.sub("", PurePosixPath(self.path).name, count=1)


_ENDING = re.compile(r"(\.(json|jsonl|ndjson))?(\.gz)?$", re.IGNORECASE)
_ANY_JSON = r"(?i:.*\.(json|jsonl|ndjson)(\.gz)?)"
_PLACEHOLDERS = re.compile(r"test[-_ ]challenges", re.IGNORECASE)


def is_placeholder(path: str) -> bool:
    """Whether a file is Kaggle's test set, which before the rerun repeats other tasks without answers."""
    return _PLACEHOLDERS.search(path) is not None


def members_of(origin: Path, pattern: str = _ANY_JSON) -> Iterator[Member]:
    """The members of a folder or zip whose whole path matches `pattern`, in a fixed order with Kaggle's test
    set at its end; a single file is its only member, whatever its name.

    Raises `UserError` where there is nothing to read or more than the bounds of this module.
    """
    if origin.is_dir():
        yield from _bounded(_folder_members(origin, re.compile(pattern)), origin)
    elif not origin.is_file():
        raise UserError(f"{origin} is no file or folder. Check the name.")
    elif zipfile.is_zipfile(origin) or _begins_as_zip(origin):
        yield from _bounded(_zip_members(origin, re.compile(pattern)), origin)
    else:
        yield _unfolded(Member(origin.name, read_bounded(origin)), MAX_FILE_BYTES)


def _begins_as_zip(path: Path) -> bool:
    """Whether a file that is no whole zip, such as half a download, was meant as one."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def read_bounded(path: Path, limit: int = MAX_FILE_BYTES) -> bytes:
    """The bytes of a file. Raises `UserError` where it is absent or larger than `limit` bytes."""
    try:
        with open_plain(path) as file:
            data = file.read(limit + 1)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UserError(f"{path} is no file. Check the name.") from None
    except OSError as problem:
        raise unreadable_file(path, problem) from None
    if len(data) > limit:
        raise UserError(f"{path} has more than the {limit:,} bytes allowed. Split it.")
    return data


def _bounded(members: Iterator[Member], origin: Path) -> Iterator[Member]:
    """The same members, stopping a set that unfolds into too many files or bytes."""
    total = 0
    for count, member in enumerate(members, 1):
        total += len(member.data)
        if count > MAX_MEMBERS or total > MAX_TOTAL_BYTES:
            raise UserError(
                f"{origin} unfolds into more than {MAX_MEMBERS:,} files or {MAX_TOTAL_BYTES:,} bytes."
                " Import a smaller part of it."
            )
        yield member


def _unfolded(member: Member, limit: int) -> Member:
    try:
        return Member(member.path, unfolded(member.data, limit), member.problem)
    except UserError as problem:
        return Member(member.path, problem=str(problem))


def _hidden(place: str) -> str | None:
    """The part of a path that is hidden or was left by a tool (`.ipynb_checkpoints`); None if none."""
    parts = PurePosixPath(place).parts
    for count, part in enumerate(parts, 1):
        if (part.startswith(".") and part not in (".", "..")) or part in ("__MACOSX", "__pycache__"):
            return "/".join(parts[:count])
    return None


def _skipped(place: str) -> Member:
    return Member(place, problem="It is hidden, so it holds no tasks.", kind="skipped")


def _folder_members(folder: Path, pattern: re.Pattern[str]) -> Iterator[Member]:
    found: list[tuple[str, Path]] = []
    closed: list[OSError] = []
    for parent, subfolders, names in os.walk(folder, onerror=closed.append):  # does not follow links
        subfolders.sort()
        for name in [*subfolders, *sorted(names)]:
            path = Path(parent, name)
            place = path.relative_to(folder).as_posix()
            if _hidden(place):
                if name in subfolders or pattern.fullmatch(place):
                    yield _skipped(place)
            elif name not in subfolders and pattern.fullmatch(place):
                found.append((place, path))
        subfolders[:] = [name for name in subfolders if not _hidden(name)]
    for place, path in sorted(found, key=lambda one: is_placeholder(one[0])):
        if path.is_symlink() or not path.is_file():
            yield Member(place, problem="It is a link or no plain file.")
            continue
        try:
            yield _unfolded(Member(place, read_bounded(path, MAX_MEMBER_BYTES)), MAX_MEMBER_BYTES)
        except UserError as problem:
            yield Member(place, problem=str(problem))
    for refused in closed:
        place = Path(refused.filename).relative_to(folder).as_posix()
        yield Member(place, problem=f"The folder can't be read ({refused.strerror}).")


def _zip_members(archive: Path, pattern: re.Pattern[str]) -> Iterator[Member]:
    if archive.stat().st_size > MAX_ARCHIVE_BYTES:
        raise UserError(f"{archive} has more than the {MAX_ARCHIVE_BYTES:,} bytes allowed. Split it.")
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = [(_place(entry), entry) for entry in opened.infolist()]
            hidden = {part for place, _ in entries if pattern.fullmatch(place) and (part := _hidden(place))}
            yield from map(_skipped, sorted(hidden))
            for place, entry in sorted(entries, key=lambda one: (is_placeholder(one[0]), one[0])):
                if pattern.fullmatch(place) and not _hidden(place):
                    yield _unfolded(_read_entry(opened, entry, place), MAX_MEMBER_BYTES)
    except _ZIP_PROBLEMS as problem:
        raise UserError(f"{archive} is a damaged zip ({problem}). Download it again.") from None


def _place(entry: zipfile.ZipInfo) -> str:
    """The path of a member; zips made on Windows may part its names by backslashes."""
    return entry.filename.replace("\\", "/")


def _read_entry(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, place: str) -> Member:
    problem = _suspicion(entry, place)
    if problem:
        return Member(place, problem=problem)
    try:
        with opened.open(entry) as file:
            data = file.read(MAX_MEMBER_BYTES + 1)  # the size in the header may lie
    except _ZIP_PROBLEMS as broken:
        return Member(place, problem=f"It can't be read ({broken}).")
    if len(data) > MAX_MEMBER_BYTES:
        return Member(place, problem=f"It has more than {MAX_MEMBER_BYTES:,} bytes.")
    return Member(place, data)


def _suspicion(entry: zipfile.ZipInfo, place: str) -> str | None:
    """Why a member is not even opened, or None."""
    if place.startswith("/") or ":" in place or ".." in PurePosixPath(place).parts:
        return "Its path leaves the folder."
    mode = entry.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "It is a link or no plain file."
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "It is compressed in a way that can't be bounded; only deflate is read."
    if entry.file_size > MAX_MEMBER_BYTES:
        return f"It has more than {MAX_MEMBER_BYTES:,} bytes."
    return None
