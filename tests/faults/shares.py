"""How much of the large tables runs, by `FUZZ`.

Empty: a sample; `each`: every file with every reader, every damage and every name in every place once; `all`:
every damage with every reader. `each:3/40` and `all:3/40` are shares of them.
"""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

import pytest

T = TypeVar("T")
WANTED, _, SHARE = os.environ.get("FUZZ", "").partition(":")
ALL, EACH = bool(WANTED), WANTED == "each"
assert WANTED in ("", "each", "all"), "FUZZ is each, all, or a share such as each:3/40"
WITHOUT_END = pytest.mark.timeout(0)
"""For tests that may take hours where more than a sample is wanted."""
SECONDS_BETWEEN_REPORTS = 60.0


def share(every: Sequence[T]) -> list[T]:
    """The part of a table that `FUZZ` asks for: every fortieth row from the third on for `3/40`."""
    number, of = map(int, (SHARE or "1/1").split("/"))
    assert 1 <= number <= of, "FUZZ is each, all, or a share such as each:3/40"
    return list(every[number - 1 :: of])


def counted(every: Sequence[T], problems: Sequence[str]) -> Iterator[T]:
    """The rows of a table; where more than a sample runs, with a line each minute on how far it is."""
    last = time.monotonic()
    for number, row in enumerate(every, 1):
        yield row
        if ALL and (number == len(every) or time.monotonic() - last > SECONDS_BETWEEN_REPORTS):
            last = time.monotonic()
            print(
                f"{number:,} of {len(every):,}, {len(problems)} problems", *problems[-1:], file=sys.__stderr__
            )
