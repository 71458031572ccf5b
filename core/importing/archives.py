"""The JSON files inside a folder, a zip or a single file, read without trusting them.

Nothing is ever unpacked to disk, so no member can land outside the project. Members that are broken,
too large, links, or named to leave the folder are given with the reason instead of their bytes.
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
    """One JSON file: its path inside the set, and its bytes or why it has none."""

    path: str
    data: bytes = b""
    problem: str | None = None

    @property
    def stem(self) -> str:
        """The name without folders and ending."""
        return PurePosixPath(self.path).stem


def members_of(origin: Path, pattern: str = r".*\.json") -> Iterator[Member]:
    """The members of a folder or zip whose whole path matches `pattern`, in a fixed order; a single file
    is its only member, whatever its name.

    Raises `UserError` where there is nothing to read or more than the bounds of this module.
    """
    if origin.is_dir():
        yield from _bounded(_folder_members(origin, re.compile(pattern)), origin)
    elif not origin.is_file():
        raise UserError(f"{origin} is no file or folder. Check the name.")
    elif zipfile.is_zipfile(origin) or _begins_as_zip(origin):
        yield from _bounded(_zip_members(origin, re.compile(pattern)), origin)
    else:
        yield Member(origin.name, read_bounded(origin))


def _begins_as_zip(path: Path) -> bool:
    """Whether a file that is no whole zip, such as half a download, was meant as one."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def read_bounded(path: Path, limit: int = MAX_FILE_BYTES) -> bytes:
    """The bytes of a file. Raises `UserError` where it is absent or larger than `limit` bytes."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UserError(f"{path} is no file. Check the name.") from None
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


def _folder_members(folder: Path, pattern: re.Pattern[str]) -> Iterator[Member]:
    for parent, subfolders, names in os.walk(folder):  # does not follow links
        subfolders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            place = path.relative_to(folder).as_posix()
            if not pattern.fullmatch(place):
                continue
            if path.is_symlink() or not path.is_file():
                yield Member(place, problem="It is a link or no plain file.")
                continue
            try:
                yield Member(place, read_bounded(path, MAX_MEMBER_BYTES))
            except (UserError, PermissionError) as problem:
                yield Member(place, problem=str(problem))


def _zip_members(archive: Path, pattern: re.Pattern[str]) -> Iterator[Member]:
    if archive.stat().st_size > MAX_ARCHIVE_BYTES:
        raise UserError(f"{archive} has more than the {MAX_ARCHIVE_BYTES:,} bytes allowed. Split it.")
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = sorted(opened.infolist(), key=lambda entry: entry.filename)
            for entry in entries:
                if pattern.fullmatch(entry.filename):
                    yield _read_entry(opened, entry)
    except _ZIP_PROBLEMS as problem:
        raise UserError(f"{archive} is a damaged zip ({problem}). Download it again.") from None


def _read_entry(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Member:
    problem = _suspicion(entry)
    if problem:
        return Member(entry.filename, problem=problem)
    try:
        with opened.open(entry) as file:
            data = file.read(MAX_MEMBER_BYTES + 1)  # the size in the header may lie
    except _ZIP_PROBLEMS as broken:
        return Member(entry.filename, problem=f"It can't be read ({broken}).")
    if len(data) > MAX_MEMBER_BYTES:
        return Member(entry.filename, problem=f"It has more than {MAX_MEMBER_BYTES:,} bytes.")
    return Member(entry.filename, data)


def _suspicion(entry: zipfile.ZipInfo) -> str | None:
    """Why a member is not even opened, or None."""
    name = entry.filename
    if name.startswith("/") or "\\" in name or ":" in name or ".." in PurePosixPath(name).parts:
        return "Its path leaves the folder."
    mode = entry.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "It is a link or no plain file."
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "It is compressed in a way that can't be bounded; only deflate is read."
    if entry.file_size > MAX_MEMBER_BYTES:
        return f"It has more than {MAX_MEMBER_BYTES:,} bytes."
    return None
