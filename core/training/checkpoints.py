"""Checkpoints: everything a training needs to go on exactly where it was, in safetensors and JSON.

A checkpoint is a folder `step-<n>`, written whole, with the sha256 of its files. The two latest are
kept; a damaged one is reported and the one before it is used.
"""

import logging
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import UserError
from core.storage.files import read_json, sha256_of, write_json, writing
from core.storage.records import read_as
from core.training.numerics import Numerics
from core.training.optimizers import Optimizers

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

_FILES = ("weights.safetensors", "optimizer.safetensors", "position.json")


@dataclass(frozen=True)
class Position:
    """How far a training is: steps made, the number of the sample that comes next, and the seconds it
    took."""

    steps: int = 0
    next_sample: int = 0
    seconds: float = 0.0


def save_checkpoint(
    folder: Path,
    position: Position,
    trained: dict[str, "torch.nn.Parameter"],
    optimizer: Optimizers,
    numerics: Numerics,
) -> None:
    """Save the trained weights, the optimizer's moments and how they were computed; keep the two latest."""
    from safetensors.torch import save_file

    names = {id(parameter): name for name, parameter in trained.items()}
    moments = {
        f"{names[id(parameter)]}|{key}": value
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
    }
    with writing(folder / f"step-{position.steps:08d}") as temporary:
        temporary.mkdir()
        save_file(
            {name: weights.detach().contiguous() for name, weights in trained.items()}, temporary / _FILES[0]
        )
        save_file(moments, temporary / _FILES[1])
        write_json(temporary / _FILES[2], {**asdict(position), "numerics": numerics.record()})
        write_json(temporary / "sha256.json", {name: sha256_of(temporary / name) for name in _FILES})
    for old in sorted(folder.glob("step-*"))[:-2]:
        shutil.rmtree(old)


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
            states.setdefault(name, {})[part] = value.cpu() if part == "step" else value
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
