"""The one error that people see.

Everything that a person can cause and mend (a missing source, a misspelt key, a full disk) is raised
as `UserError`; the command line and the pages print its sentence without a traceback. Anything else
that escapes is a defect of this project.
"""

import errno

_REMEDIES = {
    errno.ENOSPC: "The disk is full. Free some space and give the same command again; nothing is lost.",
    errno.EROFS: "The disk is read-only. Choose a writable folder with --root.",
    errno.EISDIR: "This is a folder. Name a file.",
    errno.EACCES: "You may not write there. Change the rights of the folder or choose another with --root.",
}


class UserError(Exception):
    """One sentence that says what is wrong, followed by what to do about it."""


class Stopped(Exception):  # noqa: N818 - no error: what a person wanted
    """A person asked the work to stop. Whoever can keep what was reached does so and raises it again."""


def disk_sentence(error: OSError) -> str | None:
    """What a person can do about a disk that does not take what is written; None for other errors."""
    remedy = _REMEDIES.get(error.errno or 0)
    # A file that is moved to its place is the second name; the first is one that nobody chose.
    return None if remedy is None else f"{error.filename2 or error.filename or ''}: {remedy}"
