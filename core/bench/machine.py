"""The machine on which something was measured, in a line: processors, memory, accelerators, load."""

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import psutil


def machine() -> str:
    """Such as "2 cores AMD EPYC, 24 GB, no GPU, Python 3.11.7, load 0.4"; the load is the last minute's."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = round(psutil.virtual_memory().total / 2**30)
    parts = [
        f"{cores} cores {_processor()}",
        f"{memory} GB",
        _accelerators() or "no GPU",
        f"Python {platform.python_version()}",
        f"load {os.getloadavg()[0]:.1f}",
    ]
    return ", ".join(parts)


def _processor() -> str:
    try:
        names = re.findall(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        names = []
    return names[0].strip() if names else platform.processor() or platform.machine()


def _accelerators() -> str:
    """The names of NVIDIA's accelerators, as their own tool lists them; empty where there are none."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ""
    said = subprocess.run(
        [tool, "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True, check=False
    )
    names = [line.strip() for line in said.stdout.splitlines() if line.strip()] if not said.returncode else []
    return " + ".join(f"{names.count(name)} × {name}" for name in dict.fromkeys(names))
