"""Whole-file writes, appended lines, locks and checksums.

A file is written beside its place and moved with `os.replace`, so a reader never sees half of one and
"the file exists" means "the work is done". Lines that people or runs append go out in one `O_APPEND`
write under a lock; a line torn by a crash is repaired at the next append and skipped with a warning.
"""

import codecs
import errno
import fcntl
import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.plain_files import MOST_BYTES, open_plain, read_bytes, unfolded, unreadable_file
from core.storage.untrusted_json import parse_json

log = logging.getLogger(__name__)

LONGEST_STEM = 40
"""Characters of a file's name in that of its temporary file, so that no name becomes too long by it."""
SECONDS_UNTIL_ABANDONED = 10.0


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` (ending in `.tmp`) that takes its place when the block succeeds.

    On an error the temporary file or folder is removed, with the empty folders that were made for it, and
    whatever stood at `path` stays. What a killed process left of an earlier write is removed by the next one.
    Raises `UserError` for a device or a pipe.
    """
    if path.name in ("", ".."):  # a folder that has no name of its own
        raise IsADirectoryError(errno.EISDIR, "Is a directory", str(path))
    if path.exists() and not (path.is_file() or path.is_dir()):  # a file would take the place of the device
        raise UserError(f"{path} is a device or a pipe, not a file. Name a file to write to.")
    made = [*takewhile(lambda folder: not folder.exists(), path.parents)]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    try:
        yield temporary
        if temporary.is_dir():
            _replace_folder(temporary, path)
        else:
            _flush(temporary)
            temporary.replace(path)
        _remove_abandoned(path)
    finally:
        _remove(temporary)
        with suppress(OSError):  # one holds something
            for folder in made:
                folder.rmdir()


def _beside(path: Path) -> Path:
    """A new name beside `path`, which says which process works on it."""
    return path.with_name(f".{path.name[:LONGEST_STEM]}.{os.getpid()}.{secrets.token_hex(4)}.tmp")


def _remove_abandoned(path: Path) -> None:
    """Remove the temporary files and folders beside `path` whose process is gone. Processes of other machines
    can't be seen from here: what was touched in the last seconds stays."""
    pattern = re.compile(re.escape(f".{path.name[:LONGEST_STEM]}.") + r"(\d{1,9})\.[0-9a-f]{8}\.tmp")
    with suppress(OSError):
        for other in path.parent.iterdir():
            matched = pattern.fullmatch(other.name)
            if matched and not _runs(int(matched[1])) and _is_abandoned(other):
                _remove(other)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _is_abandoned(path: Path) -> bool:
    touched = max(one.lstat().st_mtime for one in (path, *path.rglob("*")))
    return time.time() - touched > SECONDS_UNTIL_ABANDONED


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace_folder(temporary: Path, path: Path) -> None:
    """Folders can't be replaced in one step unless the target is empty: move the old one aside first."""
    for file in temporary.rglob("*"):
        if file.is_file():
            _flush(file)
    if path.exists():
        aside = _beside(path)
        path.rename(aside)
        temporary.rename(path)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        temporary.rename(path)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole."""
    try:
        _write_text(path, text)
    except FileNotFoundError:  # another process had made the folder for a write that failed, and removed it
        _write_text(path, text)


def _write_text(path: Path, text: str) -> None:
    with writing(path) as temporary:
        # A name of a file that is no UTF-8 is text for people here: what can't be written of it becomes `?`.
        temporary.write_text(text, encoding="utf-8", errors="replace")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole, indented for people."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def keep_json(path: Path, value: Any) -> None:
    """Write what can be computed anew, where the disk takes it."""
    with suppress(OSError):
        write_json(path, value)


def read_json(path: Path) -> Any:
    """The value of a JSON file. Raises `UserError` where the file is absent or broken, or has a key twice."""
    return parse_json(read_bytes(path), str(path))


def read_unfolded(path: Path, limit: int = MOST_BYTES) -> bytes:
    """The bytes of a file, unfolded where gzip compressed them. Raises `UserError` where there is none that
    can be read, or they are more than `limit`."""
    data = read_bytes(path)
    try:
        return unfolded(data, limit)
    except UserError as problem:
        raise UserError(f"{path}: {problem} Save it without compression.") from None


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold an exclusive lock on the file `path` (made if absent), which the kernel frees when we die.

    Yields whether the lock is held; without `wait` that may be False.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)


def append_record(path: Path, record: dict[str, Any]) -> None:
    """Append one record as one line, in one write, under a lock on the file itself."""
    append_records(path, [record])


def append_records(path: Path, records: list[dict[str, Any]]) -> None:
    """Append records as lines, all in one write; a torn last line is closed first."""
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            log.warning("%s ended in a torn line, which is skipped from now on.", path)
            text = "\n" + text
        data = text.encode(errors="replace")
        written = os.write(descriptor, data)
        if written != len(data):
            os.ftruncate(descriptor, size)
            raise UserError(f"The disk is full: {path} could not be written. Free some space and try again.")
    finally:
        os.close(descriptor)


def read_records(path: Path) -> list[dict[str, Any]]:
    """The records of a file of JSON lines; none where it is absent. Torn lines are skipped with a warning."""
    records, _ = read_records_from(path, 0)
    return records


def read_records_from(path: Path, offset: int) -> tuple[list[dict[str, Any]], int]:
    """Records from byte `offset` on, and the offset behind the last whole line (for polling)."""
    try:
        with open_plain(path) as file:
            if file.seek(0, os.SEEK_END) - offset > MOST_BYTES:
                raise UserError(f"{path} is larger than {MOST_BYTES // 2**20:,} MB. Restore it or delete it.")
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return [], 0
    except OSError as problem:
        raise unreadable_file(path, problem) from None
    whole = data.rfind(b"\n") + 1
    records = []
    for number, line in enumerate(data[:whole].split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line.removeprefix(codecs.BOM_UTF8))
        except (ValueError, RecursionError):
            log.warning("%s: line %d from byte %d is torn and was skipped.", path, number, offset)
            continue
        if isinstance(record, dict):
            records.append(record)
    return records, offset + whole


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in hex."""
    with open_plain(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(value: Any) -> str:
    """The sha256 (hex) of a value's canonical JSON: equal for equal settings, whatever their order."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def bytes_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def plain_name(file_name: str) -> str:
    """The end of a path that somebody sent, of letters and digits alone and short enough for any disk."""
    end = re.split(r"[/\\]", file_name)[-1][-60:]
    return "".join(letter for letter in end if letter.isalnum() or letter in "._- ").strip(". ")
