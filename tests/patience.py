"""How long is soon: bounds in seconds hold for a machine at rest, and stretch with load and slowness."""

import os
import time
from collections.abc import Callable
from typing import Any

LONGEST = 120.0
_SPELL = 0.055
"""Processor seconds of `_spell` on the machine at rest that the bounds were set on."""


def patience() -> float:
    """How much longer than at rest things may take now: twice where every core has one process at work."""
    return 1 + os.getloadavg()[0] / (os.cpu_count() or 1)


def slowness() -> float:
    """How much more processor time work takes now than where the bounds were set: at least 1.

    A slower processor, and one whose caches others fill, need more; the best of three spells tells.
    """
    return max(1.0, min(_spell() for _ in range(3)) / _SPELL)


def _spell() -> float:
    began = time.process_time()
    table: dict[int, int] = {}
    for number in range(400_000):
        table[number % 1009] = table.get(number % 1009, 0) + number
    return time.process_time() - began


def wait_for(condition: Callable[[], Any], seconds: float = LONGEST) -> float:
    """Seconds until the condition held; fails after `seconds` of a machine at rest."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds * patience(), "it never happened"
        time.sleep(0.05)
    return time.monotonic() - began
