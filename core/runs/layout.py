"""Every name and path below `runs/`, once: experiments, their runs, and the evaluations of a run.

Whoever reads or writes below `runs/` asks here where a file lies. The tables that rooms further up write
(predictions, scores, candidates) have their names from `core.storage.evaluation_files`.
"""

import errno
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from core.errors import UserError
from core.settings import LARGEST_SEED
from core.storage.evaluation_files import CANDIDATES_FILE, PREDICTIONS_FILE, SCORES_FILE

RUNS = "runs"
ARCHIVE, TRASH = ".archive", ".trash"
LAUNCH_LOCK = ".launch.lock"
WORKER, WORKER_HEARTBEAT, WORKER_LOG = ".worker.json", ".worker.heartbeat", ".worker.log"
WORKER_LOCK, WORKER_START_LOCK = ".worker.lock", ".worker-start.lock"
WORKER_CALL = ".worker-call"

SPEC = "experiment.yaml"
TASKS = "tasks.json"
LAUNCHES, LOOKS = "launches.jsonl", "looks.jsonl"
NOTES = "notes.md"
IMPORTED, IMPORTED_FILE = "imported.json", "imported.parquet"
CLUSTER = "cluster.json"
DRIVER, DRIVER_HEARTBEAT, DRIVER_LOG = ".driver.json", ".driver.heartbeat", "driver.log"
DRIVER_LOCK, DRIVER_START_LOCK = ".driver.lock", ".driver-start.lock"

RECORD = "run.json"
STATE = "state.json"
STOP = "stop.json"
PROGRESS = "progress.jsonl"
LOG = "log.txt"
CHECK = "check.json"
HEARTBEAT, RUN_LOCK = ".heartbeat", ".lock"
ADAPTER, MODEL, CHECKPOINT, MERGED = "adapter", "model", "checkpoint", "merged"
SHARDS = "shards"
ADAPT, ADAPTED = "adapt", "adapted.json"

_TRAIN, _EVAL = "train-", "eval-"


def runs_folder(root: Path) -> Path:
    """The folder that holds everything below `runs/`."""
    return root / RUNS


def experiment_folder(root: Path, experiment: str) -> Path:
    """The folder of an experiment, whether it exists or not."""
    return runs_folder(root) / experiment


def spec_path(root: Path, experiment: str) -> Path:
    """The frozen spec of a launched experiment."""
    return experiment_folder(root, experiment) / SPEC


@dataclass(frozen=True)
class Run:
    """One training of a variant, and its folder."""

    root: Path
    experiment: str
    variant: str
    train_seed: int

    @property
    def name(self) -> str:
        """What names it within its experiment, such as "plain/0"."""
        return f"{self.variant}/{self.train_seed}"

    @cached_property
    def folder(self) -> Path:
        """Where everything about it lies."""
        return experiment_folder(self.root, self.experiment) / self.variant / f"{_TRAIN}{self.train_seed}"

    @property
    def record_file(self) -> Path:
        """`run.json`: what it was made of. A run exists when this file does."""
        return self.folder / RECORD

    @property
    def state_file(self) -> Path:
        """`state.json`: what its process last wrote of it."""
        return self.folder / STATE

    @property
    def stop_file(self) -> Path:
        """Exists while a person wants the run to stand still."""
        return self.folder / STOP

    @property
    def progress_file(self) -> Path:
        """`progress.jsonl`: a line per report."""
        return self.folder / PROGRESS

    @property
    def log_file(self) -> Path:
        """`log.txt`: the output of its processes."""
        return self.folder / LOG

    @property
    def check_file(self) -> Path:
        """`check.json`: what came of a repeated evaluation."""
        return self.folder / CHECK

    @property
    def heartbeat(self) -> Path:
        """What the process that works on it keeps fresh."""
        return self.folder / HEARTBEAT

    @property
    def lock_file(self) -> Path:
        """What the process that works on it locks."""
        return self.folder / RUN_LOCK

    @property
    def adapter(self) -> Path:
        """The trained adapter of a `lora` training."""
        return self.folder / ADAPTER

    @property
    def model(self) -> Path:
        """The trained model of a `full` training."""
        return self.folder / MODEL

    @property
    def checkpoint(self) -> Path:
        """What a training that was cut off goes on from."""
        return self.folder / CHECKPOINT

    @property
    def merged(self) -> Path:
        """A merged model, while it is needed."""
        return self.folder / MERGED

    @property
    def adapt(self) -> Path:
        """The adapters of test-time training, a folder for each group of tasks."""
        return self.folder / ADAPT

    @property
    def adapted_file(self) -> Path:
        """`adapted.json`: how the test-time training of each group went, written when all are done."""
        return self.folder / ADAPTED

    def eval_folder(self, eval_seed: int) -> Path:
        """The folder of one evaluation."""
        return self.folder / f"{_EVAL}{eval_seed}"

    def predictions(self, eval_seed: int) -> Path:
        """The predictions of one evaluation."""
        return self.eval_folder(eval_seed) / PREDICTIONS_FILE

    def scores(self, eval_seed: int) -> Path:
        """The scores of one evaluation."""
        return self.eval_folder(eval_seed) / SCORES_FILE

    def candidates(self, eval_seed: int) -> Path:
        """The rescored candidates of one evaluation."""
        return self.eval_folder(eval_seed) / CANDIDATES_FILE


def is_open(folder: Path) -> bool:
    """Whether there is such a folder. Raises `UserError` where it hides from this person what lies in it:
    whoever counts its files would take them for absent."""
    if not folder.is_dir():
        return False
    if not os.access(folder, os.R_OK | os.X_OK, effective_ids=True):
        raise _closed(folder)
    return True


def _closed(folder: Path) -> UserError:
    return UserError(f"{folder} is closed to you. Change its rights.")


def _numbered(folder: Path, prefix: str) -> list[Path]:
    """What lies in a folder and is named as the prefix and a seed; nothing where there is no folder. Raises
    `UserError` like `is_open`."""
    try:
        return [folder / entry.name for entry in os.scandir(folder) if _is_number(entry.name, prefix)]
    except PermissionError:
        raise _closed(folder) from None
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as problem:
        if problem.errno == errno.ELOOP:
            return []
        raise


def _run_places(experiment: Path) -> list[Path]:
    """What is named as a run below an experiment's folder, whatever stands there."""
    variants = experiment.iterdir() if is_open(experiment) else ()
    return sorted(path for variant in variants for path in _numbered(variant, _TRAIN))


def run_folders(experiment: Path) -> list[Path]:
    """The folders of the runs below an experiment's folder, launched or imported, by name. Raises `UserError`
    like `is_open`."""
    return [path for path in _run_places(experiment) if is_open(path)]


def run_place(run: Path) -> tuple[str, int] | None:
    """Variant and training seed that a run's folder stands for; None where it is no run's folder."""
    if not _is_number(run.name, _TRAIN):
        return None
    return run.parent.name, int(run.name.removeprefix(_TRAIN))


def eval_folders(run: Path) -> list[tuple[int, Path]]:
    """The evaluations below a run's folder: evaluation seed and folder, in the order of the seeds."""
    found = [path for path in eval_places(run) if path.is_dir()]
    return sorted((int(path.name.removeprefix(_EVAL)), path) for path in found)


def eval_places(run: Path) -> list[Path]:
    """What is named as an evaluation below a run's folder, whatever stands there. Raises `UserError` like
    `is_open`."""
    return _numbered(run, _EVAL)


def record_files(experiment: Path) -> list[Path]:
    """The records of the runs below an experiment's folder, by name."""
    return [path for run in run_folders(experiment) if (path := run / RECORD).exists()]


def record_of_variant(experiment: Path, variant: str) -> Path | None:
    """The record of a variant's first run below an experiment's folder; None where it has none."""
    found = [path / RECORD for path in _numbered(experiment / variant, _TRAIN)]
    return min((path for path in found if path.exists()), default=None)


def evaluation_files(experiment: Path, *names: str) -> list[Path]:
    """The files of these names in all evaluations below an experiment's folder, sorted by path. Raises
    `UserError` like `is_open`."""
    found = []
    for folder in (place for run in _run_places(experiment) for place in eval_places(run)):
        try:
            found += [path for name in names if (path := folder / name).exists()]
        except PermissionError:
            raise _closed(folder) from None
    return sorted(found)


def evaluation_place(file: Path) -> tuple[str, int, int]:
    """Variant, training seed and evaluation seed of a file in an evaluation's folder."""
    run = run_place(file.parents[1])
    if run is None or not _is_number(file.parent.name, _EVAL):
        raise ValueError(f"{file} lies in no evaluation")
    return (*run, int(file.parent.name.removeprefix(_EVAL)))


def _is_number(name: str, prefix: str) -> bool:
    """Whether a name is the prefix and a seed as `Run` writes it: `train-4`, not `train-04`."""
    digits = name.removeprefix(prefix)
    is_whole = name.startswith(prefix) and digits.isascii() and digits.isdecimal()
    return is_whole and str(int(digits)) == digits and int(digits) <= LARGEST_SEED
