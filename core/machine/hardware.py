"""This machine's hardware: processors, memory, accelerators; as a record and in a line."""

import os
import platform
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


def hardware() -> dict[str, Any]:
    """Processor, cores that may be used, memory in bytes, and the GPUs that the driver lists."""
    return {
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": cores(),
        "memory_bytes": memory_bytes(),
        "gpus": list_gpus(),
    }


def hardware_line() -> str:
    """Such as "2 cores AMD EPYC, 24 GB, no GPU, Python 3.11.7, load 0.4"; the load is the last minute's."""
    gpus = Counter(gpu.split(",")[0] for gpu in list_gpus())
    parts = [
        f"{cores()} cores {_processor()}",
        f"{round(memory_bytes() / 2**30)} GB",
        " + ".join(f"{count} × {name}" for name, count in gpus.items()) or "no GPU",
        f"Python {platform.python_version()}",
        f"load {os.getloadavg()[0]:.1f}",
    ]
    return ", ".join(parts)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes() -> int:
    """How much memory this process may use: the machine's, or what a container is limited to."""
    total = int(psutil.virtual_memory().total)
    try:
        limit = _CONTAINER_LIMIT.read_text().strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total


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


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
