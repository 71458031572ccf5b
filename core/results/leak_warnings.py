"""Which trainings had evaluated tasks, or twins of them, in their mixture: what `allow_leaks` let through.

In come the records that launches leave, out come counts and the sentence that stands wherever such a run is
shown.
"""

import re
from pathlib import Path

from core.runs.recorded_leaks import leaked_tasks

_OF_RUNS = re.compile(r"\b(scores|predictions|runs)\b", re.IGNORECASE)


def leaked_by_variant(root: Path, experiment: str) -> dict[str, int | None]:
    """The evaluated tasks that each variant's mixture gives away; None where no record says it."""
    found: dict[str, int | None] = {}
    for record in sorted((root / "runs" / experiment).glob("*/train-*/run.json")):
        variant, count = record.parents[1].name, leaked_tasks(record.parent)
        known = [one for one in (found.get(variant), count) if one is not None]
        found[variant] = max(known, default=None)
    return found


def experiment_leaks(root: Path, experiment: str) -> str:
    """The warning about an experiment, as all its pages and verbs show it; empty where no run leaks."""
    leaking = [(variant, count) for variant, count in leaked_by_variant(root, experiment).items() if count]
    if not leaking:
        return ""
    (first, number), *rest = leaking
    others = "".join(f", '{variant}' with {count:,}" for variant, count in rest)
    tasks = "evaluated task or twin" if number == 1 else "evaluated tasks or twins"
    return (
        f"Leak: '{first}' was trained with {number:,} {tasks} in its mixture{others}."
        " Such scores are not comparable."
    )


def query_leaks(root: Path, query: str) -> list[str]:
    """The warnings about the experiments that a query over runs names in quotes, or else about all."""
    if not _OF_RUNS.search(query):
        return []
    known = sorted(path.parent.name for path in (root / "runs").glob("*/experiment.yaml"))
    named = [name for name in known if f"'{name}'" in query] or known
    found = ((name, experiment_leaks(root, name)) for name in named)
    return [f"{name}: {sentence}" for name, sentence in found if sentence]
