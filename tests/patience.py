"""How long is soon: bounds in seconds hold for a machine at rest, and stretch with its load."""

import os
import time
from collections.abc import Callable
from typing import Any

LONGEST = 120.0


def patience() -> float:
    """How much longer than at rest things may take now: twice where every core has one process at work."""
    return 1 + os.getloadavg()[0] / (os.cpu_count() or 1)


def wait_for(condition: Callable[[], Any], seconds: float = LONGEST) -> float:
    """Seconds until the condition held; fails after `seconds` of a machine at rest."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds * patience(), "it never happened"
        time.sleep(0.05)
    return time.monotonic() - began
