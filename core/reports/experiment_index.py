"""All experiments at a glance: what each asks, how far it is, and the sentence that answers it.

The part that changes with every step (`experiment_records`) is read from small files; the answer, which needs
scores, comes apart from it (`answer_of`), so that whoever shows many experiments can keep it per stamp.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.experiments.experiment import list_experiments, read_experiment
from core.experiments.notes import read_notes
from core.monitoring.overview import overview
from core.plain_files import file_stamp
from core.results.conclusion import experiment_answer
from core.results.loading import SHARE, Scores
from core.results.number_format import mean_and_std
from core.results.reading import Reading
from core.results.table_records import records_of
from core.results.verdicts import verdict_rows
from core.runs.layout import IMPORTED, LAUNCHES, SPEC, experiment_folder
from core.storage.files import read_records

ORDERS = ("latest", "name", "state", "best")
STATES = ("running", "waiting", "failed", "stopped", "done", "imported", "broken")


@dataclass(frozen=True)
class Answered:
    """What an experiment found: the sentence, and the best variant with its main metric (fractions)."""

    sentence: str
    metric: str
    variant: str | None
    mean: float | None
    text: str
    unit: str = SHARE


def experiment_records(root: Path) -> list[dict[str, Any]]:
    """One record per experiment, the latest first: experiment, question, state (one of `STATES`), progress
    (its words), share (of runs done, 0 to 1), variants, trainings (per variant), date (YYYY-MM-DD), owner,
    tags, pinned, problem (the sentence of what can't be read, else None)."""
    return [_record(root, name) for name in list_experiments(root)]


def _record(root: Path, name: str) -> dict[str, Any]:
    folder = experiment_folder(root, name)
    path = next(path for path in (folder / SPEC, folder / IMPORTED) if path.exists())
    found: dict[str, Any] = {
        "experiment": name,
        "question": "",
        "state": "broken",
        "progress": "",
        "share": 0.0,
        "variants": 0,
        "trainings": 0,
        "date": time.strftime("%Y-%m-%d", time.localtime(file_stamp(path)[0] / 1e9)),
        "owner": _owner(folder),
        "tags": (),
        "pinned": False,
        "problem": None,
    }
    try:
        notes = read_notes(root, name)
        described = read_experiment(root, name)
        found |= {"tags": notes.tags, "pinned": notes.pinned, "question": described.question}
        found |= {"variants": len(described.variants), "trainings": len(described.train_seeds)}
        found |= {"state": "imported", "share": 1.0} if described.imported else _progress(root, name)
    except UserError as problem:
        found["problem"] = str(problem)
    return found


def _owner(folder: Path) -> str:
    """Who launched it first; empty where nobody wrote that down."""
    try:
        launches = read_records(folder / LAUNCHES)
    except (UserError, OSError):
        return ""
    return str(launches[0].get("by") or "") if launches else ""


def _progress(root: Path, name: str) -> dict[str, Any]:
    seen = overview(root, name)
    states = {run["state"] for run in seen.runs}
    if seen.active:
        state = "running" if "running" in states else "waiting"
    elif "failed" in states:
        state = "failed"
    else:
        state = "done" if seen.runs and states == {"done"} and not seen.missing else "stopped"
    count = len(seen.runs) + seen.missing
    return {"state": state, "progress": seen.sentence, "share": seen.done / count if count else 0.0}


def answer_of(scores: Scores) -> Answered:
    """The sentence that answers an experiment, judged by its main metric; empty before any evaluation."""
    metric = scores.experiment.metrics[0]
    if not scores.evaluations:
        return Answered("", metric, None, None, "")
    sentence = experiment_answer(scores) if len(scores.variants) > 1 else ""
    best = verdict_rows(scores, metric)[0].variant
    cell = next(one for one in records_of(scores, Reading((metric,))) if one["variant"] == best)
    return Answered(sentence, metric, best, cell["mean"], mean_and_std(cell), cell["unit"])


def wanted_records(
    records: Sequence[dict[str, Any]],
    words: str = "",
    states: Sequence[str] = (),
    tags: Sequence[str] = (),
    order: str = "latest",
) -> list[dict[str, Any]]:
    """The records that hold all words (in name, question, answer, tags, owner), are in one of the states and
    carry one of the tags; the pinned first, then in one of `ORDERS`."""
    kept = [
        record
        for record in records
        if (not states or record["state"] in states)
        and (not tags or set(tags) & set(record["tags"]))
        and all(word in _searched(record) for word in words.casefold().split())
    ]
    return sorted(kept, key=lambda record: (not record["pinned"], *_place(record, order)))


def _place(record: dict[str, Any], order: str) -> tuple[Any, ...]:
    """What a record is sorted by in one of `ORDERS`; equal ones stay in the order of their launch."""
    if order == "name":
        return (record["experiment"].casefold(),)
    if order == "state":
        return (STATES.index(record["state"]),)
    if order != "best":
        return ()
    value = record.get("mean")
    if value is None or record.get("unit") != SHARE:  # a loss or a time is on another scale
        return (True, 0.0)
    return (False, -value)


def _searched(record: dict[str, Any]) -> str:
    parts = [record["experiment"], record["question"], record.get("answer", ""), record["owner"]]
    return " ".join([*parts, *record["tags"], record.get("best") or ""]).casefold()
