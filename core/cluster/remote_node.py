"""What a task of the cluster does on a node that shares no folder with its driver.

It makes a project folder of its own among this machine's temporary files, with what the store holds of the
project and of the run, works through the stages there, and pushes the run into the store every two seconds.
"""

import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.cluster.bundle import unpack
from core.cluster.shared_node import work_through
from core.cluster.snapshot import Pusher, fetch_last, prefix_of
from core.errors import UserError
from core.experiments.launched_experiment import LaunchedExperiment
from core.experiments.provenance import code_version
from core.pipeline.stages import mark_next
from core.runs.done import Stage
from core.runs.layout import STOP, Run, experiment_folder
from core.runs.progress import write_log
from core.storage.files import fingerprint, write_json
from core.storage.stores import Store

SECONDS_BETWEEN_PUSHES = 2.0


@dataclass(frozen=True)
class Errand:
    """Where a task finds what it needs: the store, the list of the project's files in it, the run with its
    place there, the number of the attempt, and the fingerprint of the driver's code."""

    url: str
    listed: str
    experiment: str
    variant: str
    train_seed: int
    place: str
    attempt: int
    code: str


def work_apart(errand: Errand, stages: Sequence[Stage]) -> str | None:
    """What a task does: these stages of a run, in a folder of this node. Returns what `work_on` does.

    Raises `UserError` where this node has other code, or the store does not answer.
    """
    _check_code(errand)
    store = Store(errand.url)
    shelf = _shelf(errand)
    unpack(errand.experiment, errand.listed, store, shelf)
    run = _run_in(_folder_of(errand, shelf), shelf, errand)
    try:
        before = fetch_last(store, errand.place, errand.attempt, run.folder)
        mark_next(LaunchedExperiment.of(run), run)  # not what a process said that is gone
        pusher = Pusher(store, prefix_of(errand.place, errand.attempt), run.folder, before)
        with _Pushing(errand, store, pusher, run):
            return work_through(run, stages)
    finally:
        shutil.rmtree(run.root, ignore_errors=True)


def _check_code(errand: Errand) -> None:
    if code_version()["sha256"] != errand.code:
        raise UserError(
            f"The node {socket.gethostname()} has other code in core/ than the driver, so its numbers would"
            " not be comparable. Bring both to the same version, then: python -m core runs retry"
        )


def _shelf(errand: Errand) -> Path:
    """Where this machine keeps what all attempts of an experiment need."""
    own = Path(tempfile.gettempdir()) / f"arc-workbench-{os.getuid()}"
    shelf = own / fingerprint([errand.url, errand.experiment])[:12]
    own.mkdir(mode=0o700, exist_ok=True)
    shelf.mkdir(exist_ok=True)
    return shelf


def _folder_of(errand: Errand, shelf: Path) -> Path:
    """A folder for this attempt alone; those of earlier attempts, which a lost node left, go."""
    run = fingerprint([errand.place])[:12]
    for old in shelf.glob(f"{run}-*"):
        shutil.rmtree(old, ignore_errors=True)
    return shelf / f"{run}-{errand.attempt}"


def _run_in(root: Path, shelf: Path, errand: Errand) -> Run:
    """The run in a project folder that shares the shelf's data."""
    folder = experiment_folder(root, errand.experiment)
    shutil.copytree(experiment_folder(shelf, errand.experiment), folder)
    (root / "data").symlink_to(shelf / "data")
    return Run(root, errand.experiment, errand.variant, errand.train_seed)


class _Pushing:
    """A thread that pushes a run every two seconds, and asks whether it shall stop; at the end once more."""

    def __init__(self, errand: Errand, store: Store, pusher: Pusher, run: Run) -> None:
        self._store, self._pusher, self._run = store, pusher, run
        self._stop = f"{prefix_of(errand.place, errand.attempt)}/{STOP}"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="pushing", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._pusher.push()

    def _go_on(self) -> None:
        well = True
        while not self._ended.wait(SECONDS_BETWEEN_PUSHES):
            try:
                self._pusher.push()
                if self._store.size(self._stop) is not None:
                    write_json(self._run.stop_file, {})
                well = True
            except UserError as problem:  # the work goes on; the last push says it again if it still does not
                if well:
                    write_log(self._run, str(problem))
                well = False
