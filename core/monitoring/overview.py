"""An experiment at a glance: its runs in a fixed order, how many are done, and whether anything goes on."""

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.experiments.experiment import list_experiments
from core.experiments.listing import run_records
from core.plain_files import file_stamp
from core.runs.layout import RECORD, experiment_folder, run_folders, spec_path
from core.runs.supervisors import SECONDS_TO_BEGIN, is_worked_on
from core.specs.spec import ExperimentSpec, read_spec


@dataclass(frozen=True)
class Overview:
    """Records of the runs (see `run_records`) in the order of variants and seeds, and what they amount to.

    `active`: something works on it. `stalled`: runs wait, but nothing works on them any more. `missing`:
    runs of the spec that have no folder, because somebody deleted it.
    """

    spec: ExperimentSpec
    runs: list[dict[str, Any]]
    done: int
    active: bool
    stalled: bool
    missing: int

    @property
    def sentence(self) -> str:
        """The states of all runs in words, such as "2 of 4 runs done, 1 running, 1 queued"."""
        counts = Counter(run["state"] for run in self.runs)
        words = [f"{self.done} of {len(self.runs)} runs done"]
        others = ("running", "queued", "failed", "cancelled")
        words += [f"{counts[state]} {state}" for state in others if counts[state]]
        words += [f"{self.missing} missing"] if self.missing else []
        return ", ".join(words)


def launched_experiments(root: Path) -> list[str]:
    """Experiments that have runs, the latest launched first; imported results have none. One with a closed
    folder is among them, and `overview` says what is wrong."""
    return [name for name in list_experiments(root) if _has_runs(root, name)]


def _has_runs(root: Path, experiment: str) -> bool:
    try:
        return any((run / RECORD).exists() for run in run_folders(experiment_folder(root, experiment)))
    except UserError:
        return True


def overview(root: Path, experiment: str) -> Overview:
    """What happens in an experiment now. Raises `UserError` where its frozen spec can't be read."""
    spec = read_spec(spec_path(root, experiment))
    places = {variant: place for place, variant in enumerate(spec.variants)}
    worked_on = is_worked_on(root, experiment)
    runs = sorted(
        run_records(root, experiment),
        key=lambda run: (places.get(run["variant"], len(places)), run["train_seed"]),
    )
    states = Counter(run["state"] for run in runs)
    fresh = time.time() - file_stamp(spec_path(root, experiment))[0] / 1e9 < SECONDS_TO_BEGIN
    waiting = states["queued"] > 0
    active = states["running"] > 0 or (waiting and (worked_on or fresh))
    there = {(run["variant"], run["train_seed"]) for run in runs}
    wanted = set(spec.pairs)
    return Overview(spec, runs, states["done"], active, waiting and not active, len(wanted - there))
