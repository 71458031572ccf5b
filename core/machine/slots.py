"""Slots of a machine: a GPU each; where there is none a share of the cores each, and large jobs take all.

Whoever does heavy work (a training, an inference, a rescoring) holds a slot meanwhile, whether the queue or a
person began it, so that two of them never share one. The kernel frees it when its holder dies.
"""

import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import metadata
from itertools import islice
from pathlib import Path

from core.errors import UserError
from core.machine.hardware import cores, list_gpus, memory_bytes
from core.machine.processes import Notify
from core.storage.files import locked

SECONDS_BETWEEN_LOOKS = 0.5
CPU_SLOTS = "WORKBENCH_CPU_SLOTS"
"""The environment variable that bounds how many jobs of small models share the cores of a machine without a
GPU; empty: as many as fit. 1 gives every job all cores."""
_BYTES_OF_SMALL = 4 * 2**30
"""What a job of a small model may take: engine, keys and values, activations."""


@dataclass(frozen=True)
class Slot:
    """A part of the machine that one job has for itself, and how a process is told so."""

    name: str
    environment: dict[str, str]

    @property
    def is_gpu(self) -> bool:
        """Whether it is a GPU; else it is a share of the cores, or all of them."""
        return "CUDA_VISIBLE_DEVICES" in self.environment


def find_slots(gpus: str | None = None) -> list[Slot]:
    """One slot for each GPU that may be used, else one for each job of a small model that finds a core and
    4 GB; a job of any other model takes all of these.

    `gpus` names GPUs by number, such as "0,2"; without it, CUDA_VISIBLE_DEVICES of this process decides, and
    without that the driver's list, if the installed torch computes on GPUs at all. Raises `UserError` where
    the names, or `CPU_SLOTS`, are none.
    """
    named = gpus if gpus is not None else os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        found = [str(number) for number in range(len(list_gpus()))] if _uses_gpus() else []
    else:
        found = [part.strip() for part in named.split(",") if part.strip()]
    if gpus is not None and (not found or any(not part.replace("-", "").isalnum() for part in found)):
        raise UserError(f"'{gpus}' names no GPUs. Give their numbers, such as --gpus 0,1.")
    if len(set(found)) != len(found):
        raise UserError(f"'{named}' names a GPU twice. Name each once.")
    if not found:
        return _cpu_slots()
    return [Slot(f"GPU {gpu}", {"CUDA_VISIBLE_DEVICES": gpu}) for gpu in found]


def _cpu_slots() -> list[Slot]:
    named, most = os.environ.get(CPU_SLOTS, ""), cores()
    if named and (not named.isascii() or not named.isdigit() or not 1 <= int(named[:9]) <= most):
        raise UserError(
            f"{CPU_SLOTS} is '{named[:20]}'. Set it to a number from 1 to {most}, the cores here."
        )
    count = int(named) if named else max(1, min(most, memory_bytes() // _BYTES_OF_SMALL))
    if count == 1:
        return [Slot("all cores", {})]
    threads = {"OMP_NUM_THREADS": str(most // count)}
    return [Slot(f"cores {number} of {count}", threads) for number in range(1, count + 1)]


def _uses_gpus() -> bool:
    """Whether the installed torch is no build for CPUs alone: its jobs would share the cores unawares."""
    try:
        return not metadata.version("torch").endswith("+cpu")
    except metadata.PackageNotFoundError:
        return False


@contextmanager
def one_slot(locks: Path, slots: Sequence[Slot], notify: Notify) -> Iterator[Slot]:
    """Have one of these slots alone, the first that nobody holds; where all are held it waits, and says so.
    The folder `locks` holds a lock for each slot.
    Meanwhile this process and those that it starts see no other GPU, and no other cores; afterwards they
    see what they saw before."""
    with _one_of(locks, slots, notify) as slot:
        before = {name: os.environ.get(name) for name in slot.environment}
        os.environ.update(slot.environment)
        try:
            yield slot
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


@contextmanager
def free_slots(locks: Path, slots: Sequence[Slot], most: int) -> Iterator[list[Slot]]:
    """Have up to so many of these slots alone, of those that nobody holds just now."""
    with ExitStack() as held:
        free = (slot for slot in slots if held.enter_context(locked(_lock(locks, slot), wait=False)))
        yield list(islice(free, most))


@contextmanager
def all_slots(locks: Path, slots: Sequence[Slot], notify: Notify) -> Iterator[None]:
    """Have all of these slots alone; where one is held it waits, and says so."""
    with ExitStack() as held:
        for slot in sorted(slots, key=lambda slot: slot.name):  # in one order: nobody waits in a circle
            held.enter_context(_one_of(locks, [slot], notify))
        yield


@contextmanager
def _one_of(locks: Path, slots: Sequence[Slot], notify: Notify) -> Iterator[Slot]:
    waits = False
    while True:
        for slot in slots:
            with locked(_lock(locks, slot), wait=False) as free:
                if free:
                    yield slot
                    return
        if not waits:
            names = " or ".join(slot.name for slot in slots)
            notify(f"Waits for {names}: other work of this project goes on there.")
            waits = True
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _lock(locks: Path, slot: Slot) -> Path:
    """What the holder of a slot locks; machines may share the folder."""
    return locks / f".slot-{socket.gethostname()}-{slot.name.replace(' ', '-')}.lock"
