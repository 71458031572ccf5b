"""How much of the large tables runs: a sample, all of them (`FUZZ=all`), or a share (`FUZZ=3/40`)."""

import os
from collections.abc import Sequence
from typing import TypeVar

import pytest

T = TypeVar("T")
WANTED = os.environ.get("FUZZ", "")
ALL = bool(WANTED)
WITHOUT_END = pytest.mark.timeout(0)
"""For tests that may take hours where more than a sample is wanted."""


def share(every: Sequence[T]) -> list[T]:
    """The part of a table that `FUZZ` asks for: every fortieth row from the third on for `3/40`."""
    if "/" not in WANTED:
        return list(every)
    number, of = map(int, WANTED.split("/"))
    assert 1 <= number <= of, "FUZZ is all, or a share such as 3/40"
    return list(every[number - 1 :: of])
