"""Steps of the set-up as a person sees them, and programs that run under one live line.

`[2/5] …` opens a step; below it, a terminal shows one line that changes, anything else (a CI log) a new
line now and then. What the programs print goes whole to a log file.
"""

from __future__ import annotations

import os
import selectors
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

_SECONDS_BETWEEN_LINES = 20.0
_TELL_NOTHING = (
    "WARNING:",
    "Looking in ",
    "Requirement already satisfied",
    "Attempting uninstall",
    "Found existing installation",
    "Uninstalling ",
    "Successfully uninstalled",
)


class Progress:
    """Numbered steps with the time they take, written to `stream`."""

    def __init__(self, steps: int, stream: TextIO = sys.stdout) -> None:
        self._steps = steps
        self._stream = stream
        self._number = 0
        self._started = self._step_started = self._spoke = time.monotonic()

    def step(self, title: str) -> None:
        """Open the next step."""
        self._number += 1
        self._step_started = self._spoke = time.monotonic()
        self._write(f"[{self._number}/{self._steps}] {title}\n")

    def live(self, text: str) -> None:
        """What is going on now; at most one line, replaced by the next where the stream is a terminal."""
        seconds = time.monotonic() - self._step_started
        line = f"      {seconds:4.0f} s  {text}"
        if self._stream.isatty():
            self._write("\r" + line[: shutil.get_terminal_size().columns - 1] + "\x1b[K")
        elif time.monotonic() - self._spoke >= _SECONDS_BETWEEN_LINES:
            self._spoke = time.monotonic()
            self._write(line[:110] + "\n")

    def done(self, text: str = "") -> None:
        """Close the step with its time."""
        seconds = time.monotonic() - self._step_started
        start = "\r\x1b[K" if self._stream.isatty() else ""
        self._write(f"{start}      {seconds:4.0f} s  done{text and ': ' + text}\n")

    @property
    def seconds(self) -> float:
        """Seconds since the first moment."""
        return time.monotonic() - self._started

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def run_logged(
    command: Sequence[str],
    log: Path,
    progress: Progress,
    env: Mapping[str, str],
    keep_open: Sequence[int] = (),
) -> tuple[int, str]:
    """Run a program, append what it prints to `log`, show its latest line; return its code and its output.

    `keep_open` are file descriptors that the program inherits: a lock held by one of them stays held
    until the program has ended too, even where this process is killed before it.
    """
    with log.open("a", encoding="utf-8") as file:
        file.write("\n$ " + " ".join(command) + "\n")
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(env),
            pass_fds=tuple(keep_open),
        )
        try:
            output = _follow(process, file, progress)
        except BaseException:
            process.terminate()
            raise
        finally:
            code = process.wait()
    return code, output


def _follow(process: subprocess.Popen[bytes], file: TextIO, progress: Progress) -> str:
    """Copy the program's output to the log, line by line, until it closes it."""
    assert process.stdout is not None
    output = latest = rest = ""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if selector.select(timeout=1.0):
                block = os.read(process.stdout.fileno(), 65536)
                if not block:
                    return output
                text = block.decode("utf-8", errors="replace")
                output += text
                file.write(text)
                file.flush()
                *lines, rest = (rest + text).split("\n")
                latest = next((shown for shown in map(in_short, reversed(lines)) if shown), latest)
            progress.live(latest)


def in_short(line: str) -> str:
    """What a line of pip tells a person who waits; empty where it tells nothing."""
    line = line.strip()
    if line.startswith(_TELL_NOTHING):
        return ""
    start, _, names = line.partition(": ")
    if start == "Installing collected packages" and "," in names:
        return f"Installing {names.count(',') + 1} packages"
    return line.split(" (from ")[0]
