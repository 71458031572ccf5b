"""The log of a run for people: whole, searched, progress bars redrawn, lines of libraries folded away."""

import re
from dataclasses import dataclass

from core.plain_files import open_plain
from core.runs.layout import Run

MOST_BYTES = 4 * 2**20
MOST_LINES = 5_000
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_WARNING = re.compile(
    r"\.py:\d+: \w*Warning: |^\s*warnings\.warn\(|^\[?W\d{4} |\bWARNING\b.*\[[\w.]+:\d+\]"
    r"|^Triton is installed, but"
)
_BAR = re.compile(r"\d% ?(Completed)? ?\|.*\[[\d:]+<.*\]\s*$")
"""The progress bar of a library (tqdm), as it ended."""


@dataclass(frozen=True)
class Log:
    """The lines to show, how many lines of libraries are folded away, how many lines there are in all, and
    whether the beginning was left out for its size."""

    lines: tuple[str, ...]
    folded: int
    total: int
    cut: bool

    @property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines)


def read_log(run: Run, search: str = "", *, libraries: bool = False) -> Log:
    """The log of a run: lines that hold `search` (in any case), without warnings and progress
    bars of libraries unless `libraries`.

    Of a log beyond `MOST_BYTES` the end is read; of very many lines the last `MOST_LINES` are kept.
    """
    try:
        with open_plain(run.log_file) as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - MOST_BYTES))
            data = file.read()
    except FileNotFoundError:
        return Log((), 0, 0, False)
    text = _COLOURS.sub("", data.decode(errors="replace"))
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]  # bars redraw their line
    if lines and not lines[-1]:
        lines.pop()
    quiet = [_is_of_library(lines, place) for place in range(len(lines))]
    kept = [line for line, folded in zip(lines, quiet, strict=True) if libraries or not folded]
    wanted = search.casefold()
    found = [line for line in kept if wanted in line.casefold()] if wanted else kept
    cut = size > MOST_BYTES or len(found) > MOST_LINES
    return Log(tuple(found[-MOST_LINES:]), 0 if libraries else sum(quiet), len(lines), cut)


def _is_of_library(lines: list[str], place: int) -> bool:
    """Whether a line is a library's warning or bar, or the code that Python prints below a warning."""
    if _WARNING.search(lines[place]) or _BAR.search(lines[place]):
        return True
    above = lines[place - 1] if place else ""
    return lines[place].startswith("  ") and bool(re.search(r"\.py:\d+: \w*Warning: ", above))
