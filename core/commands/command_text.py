"""Commands in sentences as the reader can type them: `python -m core` may be the one of another Python."""

import functools
import os
import shlex
import shutil
import sys
from itertools import pairwise
from pathlib import Path

WRITTEN = "python -m core"
SCRIPT = "workbench"


def as_typed(text: str) -> str:
    """A text whose commands run as they stand: by the interpreter that runs now, or by `workbench` where that
    was typed."""
    return text.replace(WRITTEN, _typed(sys.argv[0], sys.executable, os.environ.get("PATH", "")))


def given_command() -> list[str]:
    """The command that runs now, as records keep it: without `--root` and the folders of this machine."""
    program, *words = sys.argv
    name = Path(program).name
    kept = [
        word
        for before, word in pairwise([program, *words])
        if before != "--root" and not word.startswith("--root")
    ]
    short = [Path(word).name if Path(word).is_absolute() else word for word in kept]
    return [*(WRITTEN.split() if name == "__main__.py" else [name]), *short]


@functools.cache
def _typed(program: str, interpreter: str, path: str) -> str:
    if Path(program).name == SCRIPT:
        return SCRIPT if _is_found(SCRIPT, program, path) else _short(program)
    return WRITTEN if _is_found("python", interpreter, path) else f"{_short(interpreter)} -m core"


def _is_found(name: str, wanted: str, path: str) -> bool:
    """Whether the shell finds this program, or one of its folder, under a name."""
    found = shutil.which(name, path=path)
    return found is not None and Path(found).absolute().parent == Path(wanted).absolute().parent


def _short(program: str) -> str:
    """A program as the shell takes it, from the present folder where it lies below that."""
    whole = Path(program).absolute()
    here = Path.cwd()
    return shlex.quote(str(whole.relative_to(here) if whole.is_relative_to(here) else whole))
