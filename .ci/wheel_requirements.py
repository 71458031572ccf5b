"""What a wheel asks for on this machine, one requirement a line, without what is not wanted.

Run by the Python of .venv, whose pip brings the parser of requirements and knows the markers of that
Python: `python wheel_requirements.py WHEEL [NAME TO LEAVE OUT ...]`. The wheel's own metadata is read,
so there is no copied list that could grow old.
"""

from __future__ import annotations

import sys
import zipfile
from email.parser import HeaderParser

from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.utils import canonicalize_name


def requires_dist(wheel: str) -> list[str]:
    """The `Requires-Dist` lines of a wheel's METADATA. Raises `ValueError` where it has no METADATA."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        if len(names) != 1:
            raise ValueError(f"{wheel} has {len(names)} METADATA files instead of one")
        metadata = HeaderParser().parsestr(archive.read(names[0]).decode("utf-8"))
    return metadata.get_all("Requires-Dist") or []


def needed_here(lines: list[str], leave_out: set[str]) -> list[str]:
    """The requirements whose markers hold here (no extras), without markers, without `leave_out`."""
    kept = []
    for requirement in map(Requirement, lines):
        if canonicalize_name(requirement.name) in leave_out:
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            requirement.marker = None
            kept.append(str(requirement))
    return kept


if __name__ == "__main__":
    print("\n".join(needed_here(requires_dist(sys.argv[1]), set(sys.argv[2:]))))
