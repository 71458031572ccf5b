"""Files opened for reading only where they are files: a pipe would let one wait, and a device may never end;
and the text that they hold."""

import gzip
import io
import os
import stat
import zlib
from io import BufferedReader
from pathlib import Path

from core.errors import UserError

Stamp = tuple[int, int]
FullStamp = tuple[int, int, int]

MOST_BYTES = 2**30
"""Of a file that is taken in whole: the JSON that may be read at most has half of it."""


def open_plain(path: Path) -> BufferedReader:
    """A file opened for reading its bytes.

    Raises `UserError` where a pipe, a socket or a device stands there, and `OSError` as `open` does.
    """
    check_plain(path)
    return path.open("rb")


def check_plain(path: Path) -> None:
    """Raise `UserError` where a pipe, a socket or a device stands there; `OSError` where nothing does."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise UserError(f"{path} is a pipe or a device. Put a file in its place.")


def read_bytes(path: Path) -> bytes:
    """The bytes of a file that is to be taken in whole, as `open_plain` opens it. Raises `UserError` where
    there is none that can be read, or it has more than `MOST_BYTES`, which no file of the product's own comes
    near."""
    try:
        with open_plain(path) as file:
            if os.fstat(file.fileno()).st_size > MOST_BYTES:
                raise UserError(f"{path} is larger than {MOST_BYTES // 2**20:,} MB. Restore it or delete it.")
            return file.read()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist. Check the name.") from None
    except OSError as problem:
        raise unreadable_file(path, problem) from None


def unfolded(data: bytes, limit: int) -> bytes:
    """The bytes, unfolded where gzip compressed them. Raises `UserError` where they are broken or more than
    `limit`."""
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            whole = file.read(limit + 1)
    except (OSError, EOFError, zlib.error) as broken:
        raise UserError(f"It can't be unfolded ({broken}).") from None
    if len(whole) > limit:
        raise UserError(f"It unfolds into more than {limit:,} bytes.")
    return whole


def unreadable_file(path: Path, problem: OSError) -> UserError:
    """The error to raise for a file that the disk does not give."""
    remedy = "Change its rights." if isinstance(problem, PermissionError) else "Restore it or delete it."
    return UserError(f"{path} can't be read ({problem.strerror}). {remedy}")


def file_stamp(path: Path) -> Stamp:
    """Modification time (ns) and size: what changes when a file does. Zeros where it is gone or can't be
    reached, as what a list has found may be by now."""
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)


def full_stamp(path: Path) -> FullStamp:
    """The same with the file's inode, which changes where another file takes its place. Raises `OSError`
    where it is gone or can't be reached."""
    status = path.stat()
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def decoded(data: bytes, where: str) -> str:
    """A text file's text, in UTF-8 with or without a byte order mark, or UTF-16 with one.

    Raises `UserError` naming `where` for anything else, such as UTF-32 or no text: that has no zeros.
    """
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as problem:
        raise UserError(f"{where} is no text in UTF-8 ({problem.reason}). Save it as UTF-8.") from None
    if "\0" in text:
        raise UserError(f"{where} is no text in UTF-8 (it holds zeros). Save it as UTF-8.")
    return text


def read_text(path: Path) -> str:
    """The text of a file, as `decoded` reads it, its lines ended by `\\n`.

    Raises `UserError` where there is none or it is no such text.
    """
    return decoded(read_bytes(path), str(path)).replace("\r\n", "\n")
