"""Slots of a machine: a GPU each, or the whole machine where there is none."""

import os
import subprocess
from dataclasses import dataclass

from core.errors import UserError


@dataclass(frozen=True)
class Slot:
    """A part of the machine that one job has for itself, and how a process is told so."""

    name: str
    environment: dict[str, str]


def find_slots(gpus: str | None = None) -> list[Slot]:
    """One slot for each GPU that may be used, else one slot for all cores.

    `gpus` names GPUs by number, such as "0,2"; without it, CUDA_VISIBLE_DEVICES of this process decides, and
    without that the driver's list. Raises `UserError` where the names are none.
    """
    named = gpus if gpus is not None else os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        found = [str(number) for number in range(len(list_gpus()))]
    else:
        found = [part.strip() for part in named.split(",") if part.strip()]
    if gpus is not None and (not found or any(not part.replace("-", "").isalnum() for part in found)):
        raise UserError(f"'{gpus}' names no GPUs. Give their numbers, such as --gpus 0,1.")
    if len(set(found)) != len(found):
        raise UserError(f"'{named}' names a GPU twice. Name each once.")
    if not found:
        return [Slot("all cores", {})]
    return [Slot(f"GPU {gpu}", {"CUDA_VISIBLE_DEVICES": gpu}) for gpu in found]


def list_gpus() -> list[str]:
    """Name and memory of the GPUs that the driver lists; none where there is no driver."""
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return listed.stdout.strip().splitlines() if listed.returncode == 0 else []
