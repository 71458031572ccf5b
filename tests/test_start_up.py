"""The command line starts at once: help loads nothing heavy, and every verb says what it is for."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from core.__main__ import app
from dashboard.server import DECK, NEEDED
from tests.patience import slowness

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {"torch", "transformers", "peft", "vllm", "ray", "streamlit", "pandas", "scipy", "duckdb"}
HEAVY |= {"statsmodels", "sklearn", "plotly"}
SECONDS = 0.5

STARTS = {"import core": ["-c", "import core"], "help": ["-m", "core", "--help"]}


def _start(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Start the project's Python in its root, with a plain environment."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV_"))}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60
    )


def _packages_loaded(*arguments: str) -> set[str]:
    """The top packages that a start imports, from the interpreter's own list (`-X importtime`)."""
    lines = _start("-X", "importtime", *arguments).stderr.splitlines()
    names = {line.rsplit("|", 1)[1].strip() for line in lines if line.startswith("import time:")}
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("start", STARTS)
def test_a_start_loads_nothing_heavy(start: str) -> None:
    loaded = _packages_loaded(*STARTS[start])
    assert "core" in loaded
    assert loaded & HEAVY == set()


def test_what_is_loaded_is_seen() -> None:
    assert "sqlite3" in _packages_loaded("-c", "import sqlite3.dbapi2")


def test_the_dashboard_answers_before_the_pages_libraries_are_loaded() -> None:
    loaded = _packages_loaded("-c", "import dashboard.server")
    assert {"streamlit", "dashboard"} <= loaded
    assert loaded & (HEAVY - {"streamlit", "plotly"} | {"numpy", "pyarrow", "core"}) == set()


def test_the_pages_load_no_library_of_which_they_need_a_corner() -> None:
    """What is left out takes as long to import as all the rest."""
    code = "\n".join(["import sys", *(f"import {name}" for name in (*DECK, *NEEDED)), "print(*sys.modules)"])
    loaded = set(_start("-c", code).stdout.split())
    assert {"scipy.special", "duckdb", "plotly.graph_objects", *DECK, *NEEDED} <= loaded
    unneeded = {"pandas", "scipy.stats", "scipy.optimize", "statsmodels", "sklearn", "torch", "transformers"}
    assert loaded & unneeded == set()


@pytest.mark.parametrize("start", STARTS)
def test_a_start_takes_less_than_half_a_second(start: str) -> None:
    """Seconds of processor time, the least of some starts: caches that other work has emptied lengthen it, so
    each is held against how slow the processor is just then."""
    seconds: list[float] = []
    while len(seconds) < 10 and min(seconds, default=SECONDS) >= SECONDS:
        slow, began = slowness(), _processor_seconds()
        assert _start(*STARTS[start]).returncode == 0
        seconds.append((_processor_seconds() - began) / max(slow, slowness()))
    assert 0 < min(seconds) < SECONDS


def _processor_seconds() -> float:
    """What the processes started from here have used so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _verbs(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command and group below `command`, with its full name."""
    for name, child in getattr(command, "commands", {}).items():
        yield " ".join((*path, name)), child
        yield from _verbs(child, (*path, name))


def test_every_verb_has_help() -> None:
    verbs = dict(_verbs(typer.main.get_command(app)))
    assert len(verbs) >= 6
    assert [name for name, command in verbs.items() if not (command.help or "").strip()] == []


def test_every_option_has_help() -> None:
    verbs = dict(_verbs(typer.main.get_command(app)))
    parameters = [(name, part) for name, verb in verbs.items() for part in verb.params if part.name != "help"]
    assert len(parameters) >= 6
    assert [f"{name} {part.name}" for name, part in parameters if not getattr(part, "help", None)] == []
