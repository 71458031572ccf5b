"""Checkpoints: everything a training needs to go on exactly where it was, in safetensors and JSON.

A checkpoint is a folder `step-<n>`, written whole, with the sha256 of its files, while the training goes on.
The two latest are kept; a damaged one is reported and the one before it is used.
"""

import logging
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil

from core.errors import UserError
from core.storage.files import read_json, sha256_of, write_json, writing
from core.storage.json_records import read_as
from core.training.numerics import Numerics
from core.training.optimizers import Optimizers

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

_COPIES = 3
"""So many times its size must be free for a snapshot to wait in memory: writing makes bytes of it, and the
next one is taken meanwhile."""
_FILES = ("weights.safetensors", "optimizer.safetensors", "position.json")


@dataclass(frozen=True)
class Position:
    """How far a training is: steps made, the number of the sample that comes next, and the seconds it
    took."""

    steps: int = 0
    next_sample: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Snapshot:
    """What a checkpoint holds, apart from the training that goes on: trained weights and moments in main
    memory, the moments by weight and name, where the training is, and how it was computed."""

    position: Position
    weights: "dict[str, torch.Tensor]"
    moments: "dict[str, torch.Tensor]"
    numerics: Numerics

    @classmethod
    def of(
        cls,
        position: Position,
        trained: dict[str, "torch.nn.Parameter"],
        optimizer: Optimizers,
        numerics: Numerics,
    ) -> Self:
        """Copy weights and moments as they are now."""
        import torch

        def copied(values: "torch.Tensor") -> "torch.Tensor":
            return torch.empty_like(values, device="cpu", memory_format=torch.contiguous_format).copy_(values)

        names = {id(parameter): name for name, parameter in trained.items()}
        moments = {
            f"{names[id(parameter)]}|{key}": copied(value)
            for parameter, state in optimizer.state.items()
            for key, value in state.items()
        }
        weights = {name: copied(values.detach()) for name, values in trained.items()}
        return cls(position, weights, moments, numerics)

    @property
    def size(self) -> int:
        """Its bytes."""
        return sum(one.nbytes for one in (*self.weights.values(), *self.moments.values()))

    def write(self, folder: Path) -> None:
        """Leave it as a whole folder; the two latest are kept."""
        from safetensors.torch import save_file

        with writing(folder / f"step-{self.position.steps:08d}") as temporary:
            temporary.mkdir()
            save_file(self.weights, temporary / _FILES[0])
            save_file(self.moments, temporary / _FILES[1])
            write_json(temporary / _FILES[2], {**asdict(self.position), "numerics": self.numerics.record()})
            write_json(temporary / "sha256.json", {name: sha256_of(temporary / name) for name in _FILES})
        for old in sorted(folder.glob("step-*"))[:-2]:
            shutil.rmtree(old)


class CheckpointWriter:
    """Writes snapshots into a folder beside the training, one at a time and in order; at once where memory is
    short. As a context it leaves when all are written.

    What keeps one from being written is raised by what is called next.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._last: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self.wait()
        except Exception:
            if kind is None:
                raise
            log.exception("A checkpoint could not be written.")  # what ended the training counts
        finally:
            self._thread.shutdown()

    def save(self, snapshot: Snapshot) -> None:
        """Write a snapshot once the one before it is written."""
        self.wait()
        self._last = self._thread.submit(snapshot.write, self._folder)
        if _COPIES * snapshot.size > psutil.virtual_memory().available:
            self.wait()

    def wait(self) -> None:
        """Wait until all snapshots are written."""
        last, self._last = self._last, None
        if last is not None:
            last.result()


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint on disk: where the training was, and how it was computed."""

    folder: Path
    position: Position
    numerics: Numerics

    def restore(self, trained: dict[str, "torch.nn.Parameter"], optimizer: Optimizers) -> None:
        """Put weights and moments back in place. Raises `UserError` where they are of other settings."""
        import torch
        from safetensors.torch import load_file

        device = str(next(iter(trained.values())).device)
        weights = load_file(self.folder / _FILES[0], device=device)
        shapes = {name: value.shape for name, value in weights.items()}
        if shapes != {name: parameter.shape for name, parameter in trained.items()}:
            raise UserError(
                f"{self.folder} belongs to other settings. Delete the folder to train from the beginning."
            )
        with torch.no_grad():
            for name, parameter in trained.items():
                parameter.copy_(weights[name])
        states: dict[str, dict[str, Any]] = {}
        for key, value in load_file(self.folder / _FILES[1], device=device).items():
            name, part = key.rsplit("|", 1)
            states.setdefault(name, {})[part] = value
        for name, state in states.items():
            optimizer.state[trained[name]] = state


def latest_checkpoint(folder: Path) -> Checkpoint | None:
    """The latest whole checkpoint; None where there is none. A damaged one is reported."""
    for path in sorted(folder.glob("step-*"), reverse=True):
        found = _opened(path)
        if found is not None:
            return found
        log.warning("Checkpoint %s is damaged; the one before it is used.", path.name)
    return None


def _opened(path: Path) -> Checkpoint | None:
    """A checkpoint whose files are what was written; None where they are not."""
    try:
        sums = read_as(path / "sha256.json", dict[str, str])
        if any(sha256_of(path / name) != sums[name] for name in _FILES):
            return None
        record = read_json(path / _FILES[2])
        numerics = Numerics(**record.pop("numerics"))
        return Checkpoint(path, Position(**record), numerics)
    except (UserError, OSError, KeyError, TypeError, AttributeError):
        return None
