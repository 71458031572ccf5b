"""Experiments that come with the project, without their weights; once opened, they are like all others.

Each is a folder of `data/examples`, with what an experiment's folder in `runs/` holds.
"""

import shutil
from pathlib import Path

from core.errors import UserError
from core.runs.layout import LAUNCH_LOCK, SPEC, experiment_folder, runs_folder
from core.storage.files import locked, writing

FOLDER = Path("data", "examples")


def examples(root: Path) -> list[str]:
    """Names of the examples that are not opened, in the order of the alphabet."""
    found = (path.parent.name for path in (root / FOLDER).glob(f"*/{SPEC}"))
    return sorted(name for name in found if not experiment_folder(root, name).exists())


def open_example(root: Path, name: str) -> Path:
    """Copy an example to `runs/`; its folder. Raises `UserError` where none of that name waits."""
    waiting = examples(root)
    if name not in waiting:
        raise UserError(f"No example '{name}' waits to be opened. Waiting: {', '.join(waiting) or 'none'}.")
    target = experiment_folder(root, name)
    with locked(runs_folder(root) / LAUNCH_LOCK):
        if not target.exists():
            with writing(target) as copy:
                shutil.copytree(root / FOLDER / name, copy)
    return target
