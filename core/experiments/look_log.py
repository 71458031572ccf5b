"""`looks.jsonl`: at which numbers of runs the table of an experiment was looked at and then extended.

A line is written when an experiment that has results already is launched with more runs. In comes the folder
of an experiment, out come the counts; what they do to a verdict is computed in `core.spread.interim_looks`.
"""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.runs.layout import evaluation_files
from core.storage.evaluation_files import SCORES_FILE
from core.storage.files import append_record, read_records

LOOKS = "looks.jsonl"


def evaluated_runs(folder: Path) -> dict[str, int]:
    """How many runs of each variant have a result."""
    runs = {path.parents[1] for path in evaluation_files(folder, SCORES_FILE)}
    return dict(sorted(Counter(run.parent.name for run in runs).items()))


def note_look(folder: Path, added: Sequence[str]) -> bool:
    """Write down that runs of these variants are added to a table that somebody may have looked at.

    Nothing is written where none of these variants has a result so far; whether something was.
    """
    known = evaluated_runs(folder)
    if not any(known.get(variant) for variant in added):
        return False
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    append_record(folder / LOOKS, {"time": stamp, "runs": known, "added": dict(Counter(added))})
    return True


def looks_of(folder: Path) -> list[dict[str, int]]:
    """The runs per variant at each earlier look, in order; lines that can't be read are left out."""
    found: list[Any] = [record.get("runs") for record in read_records(folder / LOOKS)]
    return [
        {str(variant): int(count) for variant, count in one.items() if isinstance(count, int)}
        for one in found
        if isinstance(one, dict)
    ]
