"""Work that was done before, recognised by its fingerprint and taken over instead of repeated.

A training is the same work where recipe, seed, data, base model, code and libraries are the same; an
evaluation where its training is, and what is asked, how and with which seed. Trained weights are taken over
as hard links, predictions as a copy under the new names. `run.json` says under `reused` where they come from.
"""

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from core.errors import UserError
from core.experiments.experiment import list_experiments
from core.experiments.listing import list_open_runs
from core.experiments.provenance import add_to_record
from core.runs.done import Stage
from core.runs.fingerprints import eval_fingerprint, train_fingerprint
from core.runs.layout import ADAPTER, MODEL, Run
from core.runs.progress import write_log
from core.runs.run_record import read_record
from core.storage.files import writing
from core.storage.schemas import PREDICTIONS, read_table, write_table

WEIGHTS = (ADAPTER, MODEL)
Other = tuple[Run, dict[str, Any]]


def take_over(run: Run, stage: Stage, eval_seeds: tuple[int, ...]) -> None:
    """Fill in what is missing of a stage from runs that did the same work, unless the run was launched to be
    fresh. What no other run has is left to be done."""
    record = read_record(run)
    if stage not in ("train", "infer") or record.get("fresh"):
        return
    wanted = _known(train_fingerprint, record)
    alike = [one for one in _others(run) if wanted and _known(train_fingerprint, one[1]) == wanted]
    if stage == "train":
        _take_weights(run, alike)
        return
    for seed in eval_seeds:
        if not run.predictions(seed).exists():
            _take_predictions(run, record, seed, alike)


def _take_weights(run: Run, alike: list[Other]) -> None:
    for other, _ in alike:
        for name in WEIGHTS:
            if (other.folder / name).is_dir():
                with writing(run.folder / name) as temporary:
                    shutil.copytree(other.folder / name, temporary, copy_function=_link)
                _note(run, "train", other, {"engine": None})
                return


def _take_predictions(run: Run, record: dict[str, Any], seed: int, alike: list[Other]) -> None:
    wanted = _known(eval_fingerprint, record, seed)
    for other, found in alike:
        path = other.predictions(seed)
        if wanted and path.exists() and _known(eval_fingerprint, found, seed) == wanted:
            table = read_table(path, PREDICTIONS)
            for column, value in (("experiment", run.experiment), ("variant", run.variant)):
                place = table.schema.get_field_index(column)
                table = table.set_column(place, column, pa.array([value] * table.num_rows, pa.string()))
            write_table(run.eval_folder(seed) / path.name, table, PREDICTIONS)
            _note(run, f"eval-{seed}", other, {"engine": found.get("engine")})
            return


def _known(function: Any, *arguments: Any) -> str | None:
    """A fingerprint; None for a record of another make, which is never the same work."""
    try:
        return str(function(*arguments))
    except (KeyError, TypeError):
        return None


def _others(run: Run) -> Iterator[Other]:
    """All other runs of the project with their records, of the latest experiment first. What can't be read is
    said in the run's log. (Of 1,000 runs: 0.1 s on a local disk, once a stage.)"""
    for experiment in list_experiments(run.root):
        for other in list_open_runs(run.root, experiment):
            if other == run:
                continue
            try:
                yield other, read_record(other)
            except UserError as problem:
                write_log(run, f"Nothing is taken over from {other.experiment} {other.name}: {problem}")


def _link(source: str, target: str) -> None:
    """A hard link, or a copy where the file system has none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _note(run: Run, what: str, other: Run, more: dict[str, Any]) -> None:
    """Say in the record and in the log what was taken over from where."""
    origin = f"{other.experiment} {other.name}"
    reused = {**read_record(run).get("reused", {}), what: origin}
    add_to_record(run, reused=reused, **{name: value for name, value in more.items() if value is not None})
    write_log(run, f"{what}: {origin} did the same work, whose result is taken over.")
