"""Everything that is to be known of a GPU, in minutes: does it compute rightly, how fast, and what can it
learn.

Each part is a process of its own with a limit, so that one that hangs or dies leaves the others alone.
Results are appended to `results.jsonl` as they come: part, name, value, unit, device; `failed` says why a
part has none. It needs torch, transformers and peft, and what `requirements-gpu-bench.txt` lists; no engine
and no dashboard.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.storage.files import append_record, read_records

CODE = Path(__file__).parents[2]
RESULTS = "results.jsonl"
USUAL_SECONDS = 570.0
LEAST_SECONDS = 5.0


@dataclass(frozen=True)
class Part:
    """One process: its name, and the most seconds it may take; None for what is left at its turn."""

    name: str
    seconds: float | None


PARTS = (
    Part("smoke", 90),
    Part("half-billion-made", 40),
    Part("half-billion", 40),
    Part("half-billion-compiled", 70),
    Part("half-billion-shrunk", 30),
    Part("half-billion-peer", 40),
    Part("ten-million", 20),
    Part("ten-million-compiled", 45),
    Part("train", None),
)


def measure_gpu(
    folder: Path, seconds: float, notify: Callable[[str], None], *, tiny: bool = False
) -> list[dict[str, Any]]:
    """Run all parts within so many seconds; the results of this call. With `tiny`, models and steps are small
    enough for two cores of a CPU."""
    folder.mkdir(parents=True, exist_ok=True)
    before = len(read_records(folder / RESULTS))
    end = time.monotonic() + seconds
    for part in PARTS:
        left = end - time.monotonic()
        limit = left if part.seconds is None else min(part.seconds * max(1.0, seconds / USUAL_SECONDS), left)
        if limit < LEAST_SECONDS:
            append_record(folder / RESULTS, {"part": part.name, "failed": "no time was left"})
            continue
        notify(f"{part.name}, at most {limit:.0f} s")
        failed = _run(part.name, folder, limit, tiny=tiny)
        if failed is not None:
            append_record(folder / RESULTS, {"part": part.name, "failed": failed})
    return read_records(folder / RESULTS)[before:]


def _run(name: str, folder: Path, limit: float, *, tiny: bool) -> str | None:
    """Run one part; why it failed, or None."""
    # A part that keeps time ends by itself before it would be ended.
    command = [
        sys.executable,
        "-m",
        "core.bench.gpu_process",
        name,
        str(folder.resolve()),
        f"{0.8 * limit:.1f}",
    ]
    log = folder / f"{name}.log"
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            [*command, *(["--tiny"] if tiny else [])],
            cwd=CODE,
            env={**os.environ, "CUBLAS_WORKSPACE_CONFIG": ":4096:8"},  # read before the first product
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            return f"it took more than {limit:.0f} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and the processes that draw for it
            process.wait()
    if code == 0:
        return None
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"it ended with code {code} ({lines[-1] if lines else 'without a word'})"
