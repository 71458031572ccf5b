"""What a machine with a GPU must have before gigabytes are downloaded: driver, card, C library, compiler.

Triton, which vLLM computes with, compiles C against Python's headers at its first use; without a compiler or
the headers the set-up would pass and the first inference fail. Standard library only.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from failures import AGAIN, SetupError
from machine import Python

OLDEST_DRIVER = 580
OLDEST_CARD = (7, 5)
FIRST_WITH_BFLOAT16 = (8, 0)
OLDEST_GLIBC = (2, 31)
_QUERY = ["--query-gpu=name,driver_version,compute_cap", "--format=csv,noheader"]


@dataclass(frozen=True)
class Card:
    """A GPU as the driver lists it: name, driver, compute capability."""

    name: str
    driver: str
    capability: tuple[int, int]


def check_gpu_machine(environ: Mapping[str, str], python: Python) -> list[Card]:
    """The machine's GPUs, none on a head node whose GPUs are elsewhere. Raises `SetupError` where the C
    library, the driver, a card, the compiler or Python's headers will not do."""
    _check_glibc()
    cards = list_cards()
    for card in cards:
        _check_card(card)
    if cards:
        _check_compiler(environ, python)
    else:
        print("No GPU is seen here: the GPU engine is installed for others of a cluster.", flush=True)
    return cards


def list_cards() -> list[Card]:
    """What nvidia-smi lists; empty where there is none, or no driver."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        answer = subprocess.run([tool, *_QUERY], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = answer.stdout.strip().splitlines() if answer.returncode == 0 else []
    found = []
    for line in lines:
        name, driver, capability = (part.strip() for part in line.rsplit(",", 2))
        major, _, minor = capability.partition(".")
        if major.isdigit() and minor.isdigit():
            found.append(Card(name, driver, (int(major), int(minor))))
    return found


def _check_glibc() -> None:
    kind, version = platform.libc_ver()
    parts = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if kind == "glibc" and parts < OLDEST_GLIBC:
        raise SetupError(
            f"This system's C library is glibc {version}, and vLLM for GPUs needs 2.31. Use a newer system"
            " (Debian 11, Ubuntu 20.04 or later), or the CPU engine (ENGINE=cpu)."
        )


def _check_card(card: Card) -> None:
    driver = card.driver.split(".")[0]
    if driver.isdigit() and int(driver) < OLDEST_DRIVER:
        raise SetupError(
            f"The NVIDIA driver is {card.driver}, and this torch needs {OLDEST_DRIVER} or newer. Update it"
            f" (Debian/Ubuntu: sudo apt-get install nvidia-driver-{OLDEST_DRIVER}), or use the CPU engine"
            " (ENGINE=cpu)."
        )
    written = ".".join(map(str, card.capability))
    if card.capability < OLDEST_CARD:
        raise SetupError(
            f"{card.name} has compute capability {written}, and vLLM needs 7.5 or higher. Use another card,"
            " or the CPU engine (ENGINE=cpu)."
        )
    if card.capability < FIRST_WITH_BFLOAT16:
        print(
            f"{card.name} (compute capability {written}) has no bfloat16: trainings compute in float32, which"
            " is several times slower, and vLLM in float16.",
            flush=True,
        )


def _check_compiler(environ: Mapping[str, str], python: Python) -> None:
    compiler = environ.get("CC")
    if not any(shutil.which(name) for name in ([compiler] if compiler else ["gcc", "clang", "cc"])):
        raise SetupError(
            "There is no C compiler, with which vLLM makes its kernels when it starts. Install one"
            f" (Debian/Ubuntu: sudo apt-get install gcc; Fedora: sudo dnf install gcc), {AGAIN}"
        )
    code = "import sysconfig; print(sysconfig.get_paths()['include'])"
    answer = subprocess.run([python.path, "-c", code], capture_output=True, text=True, timeout=30)
    if not (Path(answer.stdout.strip() or os.devnull) / "Python.h").is_file():
        raise SetupError(
            f"{python.path} lacks its headers (Python.h), which vLLM's kernels are compiled against. Install"
            f" them (Debian/Ubuntu: sudo apt-get install {python.name}-dev; Fedora: sudo dnf install"
            f" {python.name}-devel), {AGAIN}"
        )
