"""A disk that gets full at one of its writes: every file is flushed before it takes its place."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def full_after(writes: int) -> Iterator[None]:
    """Let so many files be written, and none after them; one that was flushed before needs no more room."""
    flush, flushed = os.fsync, set[tuple[int, int]]()

    def write(descriptor: int) -> None:
        status = os.fstat(descriptor)
        flushed.add((status.st_ino, status.st_mtime_ns))
        if len(flushed) > writes:
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", write)
        yield
