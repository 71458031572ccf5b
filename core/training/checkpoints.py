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
from core.training.optimizers import Optimizers

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

_FILES = ("weights.safetensors", "optimizer.safetensors", "position.json")


@dataclass(frozen=True)
class Position:
    """How far a training is: steps made, and the number of the sample that comes next."""

    steps: int = 0
    next_sample: int = 0


def save_checkpoint(
    folder: Path,
    position: Position,
    trained: dict[str, "torch.nn.Parameter"],
    optimizer: Optimizers,
) -> None:
    """Save the trained weights and the optimizer's moments at a position; keep the two latest."""
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
        write_json(temporary / _FILES[2], asdict(position))
        write_json(temporary / "sha256.json", {name: sha256_of(temporary / name) for name in _FILES})
    for old in sorted(folder.glob("step-*"))[:-2]:
        shutil.rmtree(old)


def load_checkpoint(
    folder: Path, trained: dict[str, "torch.nn.Parameter"], optimizer: Optimizers
) -> Position:
    """Restore the latest whole checkpoint in place; its position, or the beginning where there is none."""
    import torch
    from safetensors.torch import load_file

    for path in sorted(folder.glob("step-*"), reverse=True):
        if not _is_whole(path):
            log.warning("Checkpoint %s is damaged; the one before it is used.", path.name)
            continue
        device = str(next(iter(trained.values())).device)
        weights = load_file(path / _FILES[0], device=device)
        shapes = {name: value.shape for name, value in weights.items()}
        if shapes != {name: parameter.shape for name, parameter in trained.items()}:
            raise UserError(
                f"{path} belongs to other settings. Delete the folder to train from the beginning."
            )
        with torch.no_grad():
            for name, parameter in trained.items():
                parameter.copy_(weights[name])
        states: dict[str, dict[str, Any]] = {}
        for key, value in load_file(path / _FILES[1], device=device).items():
            name, part = key.rsplit("|", 1)
            states.setdefault(name, {})[part] = value.cpu() if part == "step" else value
        for name, state in states.items():
            optimizer.state[trained[name]] = state
        return Position(**read_json(path / _FILES[2]))
    return Position()


def _is_whole(path: Path) -> bool:
    try:
        sums = read_json(path / "sha256.json")
        return all(sha256_of(path / name) == sums[name] for name in _FILES)
    except (UserError, OSError, KeyError, TypeError):
        return False
