"""The one error that people see.

Everything that a person can cause and mend (a missing source, a misspelt key, a full disk) is raised
as `UserError`; the command line and the pages print its sentence without a traceback. Anything else
that escapes is a defect of this project.
"""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

FULL_MEMORY = "The memory of this machine is full. End other programs, or ask for less, and try again."
_FULL = "The disk is full. Free some space and give the same command again; nothing is lost."
_RIGHTS = "You may not read or write there. Change the rights of the folder or choose another with --root."
_BROKEN = "The disk does not answer as it should. Check it, or choose a folder on another one."
_NO_LOCKS = "This disk can't lock files. Mount it with locks, or choose a folder on another one."
_MANY_FILES = "Too many files are open. Raise the limit with: ulimit -n 4096"
_REMEDIES = {
    errno.ENOENT: "This does not exist, or not any more. Check the name and try again.",
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: "The file would be too large for this disk. Choose a folder on another one.",
    errno.EROFS: "The disk is read-only. Choose a writable folder with --root.",
    errno.EISDIR: "This is a folder. Name a file.",
    errno.EEXIST: "Something of this name stands there already. Move it away or choose another name.",
    errno.ENOTDIR: "A part of this path is a file where a folder is wanted. Name another place.",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.ENAMETOOLONG: "This name is too long. Choose one of at most 100 characters.",
    errno.ELOOP: "This link leads to itself. Name another place.",
    errno.ENOTEMPTY: "This folder is not empty. Choose another name, or empty it first.",
    errno.EBUSY: "Another program uses this. Try again when it is done.",
    errno.EMFILE: _MANY_FILES,
    errno.ENFILE: _MANY_FILES,
    errno.EXDEV: "The two places lie on different disks. Put both on one, or move the folder by hand.",
    errno.ESTALE: "The disk of another machine does not answer. Try again when it does.",
    errno.ETIMEDOUT: "The disk of another machine does not answer. Try again when it does.",
    errno.EIO: _BROKEN,
    errno.ENODEV: _BROKEN,
    errno.ENOTCONN: _BROKEN,
    errno.ENOLCK: _NO_LOCKS,
    errno.EOPNOTSUPP: _NO_LOCKS,
    errno.ENOMEM: FULL_MEMORY,
    errno.EAGAIN: "This machine runs too many processes. End other programs and try again.",
}

_FULL_IN_WORDS = ("No space left on device", "os error 28", "Errno 28", "Disk quota exceeded")

LONGEST_NAME = 200
_UNFINISHED = re.compile(r"\.([^/]+)\.\d+\.[0-9a-f]{8}\.tmp(?=$|/)")


class UserError(Exception):
    """One sentence that says what is wrong, followed by what to do about it."""


class Stopped(Exception):  # noqa: N818 - no error: what a person wanted
    """A person stopped the work. Whoever can keep what was reached does so and raises it again."""


@contextmanager
def panics_as_errors() -> Iterator[None]:
    """Raise `RuntimeError` where a library written in Rust panics over what it was given.

    Python does not count its `PanicException` among the exceptions, so that no other handler would see it.
    """
    try:
        yield
    except BaseException as problem:
        if type(problem).__name__ != "PanicException":
            raise
        raise RuntimeError(str(problem)) from problem


def disk_sentence(error: OSError) -> str | None:
    """What a person can do about a disk that does not take what is written; None for other errors."""
    remedy = _REMEDIES.get(error.errno or 0)
    # A file that is moved to its place is the second name; the first is one that nobody chose, as is that of
    # the unfinished file beside its place.
    name = _UNFINISHED.sub(r"\1", _UNFINISHED.sub(r"\1", str(error.filename2 or error.filename or "")))
    short = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"
    return None if remedy is None else f"{short}: {remedy}" if short else remedy


def is_full_disk(problem: BaseException | None) -> bool:
    """Whether a full disk lies behind an error, however libraries have wrapped it or put it into words."""
    for _ in range(20):  # errors may lead in a circle
        if problem is None:
            return False
        if getattr(problem, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            return True
        if any(words in str(problem) for words in _FULL_IN_WORDS):
            return True
        problem = problem.__cause__ or problem.__context__
    return False
