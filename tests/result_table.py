"""The table of results of an experiment in a folder, as its verbs and pages make it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.results.loading import load_scores
from core.results.reading import Reading
from core.results.run_values import with_evaluations
from core.results.table_records import records_of


def result_records(
    root: Path, experiment: str, metrics: Sequence[str] = (), scope: str = "recipe"
) -> list[dict[str, Any]]:
    """The records of an experiment. Raises `UserError` where nothing is evaluated yet."""
    return records_of(with_evaluations(load_scores(root, experiment)), Reading(tuple(metrics), scope=scope))
