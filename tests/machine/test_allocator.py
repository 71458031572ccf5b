"""Freed memory is kept: the system clears its pages once, not once for every operation."""

import subprocess
import sys

import pytest

ROUNDS = """
import resource, sys
import numpy as np
from core.machine.allocator import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
faults = []
for _ in range(20):
    blocks = [np.ones(2**20) for _ in range(8)]
    while blocks:
        blocks.pop()
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(faults[-1] - faults[1])
"""


def page_faults(way: str) -> int:
    """Of eighteen rounds that fill 64 MB and free them."""
    said = subprocess.run(
        [sys.executable, "-c", ROUNDS, way], capture_output=True, text=True, check=True, timeout=60
    )
    return int(said.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is asked to keep memory")
def test_memory_is_cleared_once_where_freed_memory_is_kept() -> None:
    assert page_faults("kept") < 100 < page_faults("handed back")
