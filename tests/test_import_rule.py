"""The import rule: a room imports only from rooms above it, and nothing heavy before it is needed.

Every module of `core` and `dashboard` is read (never run) with `ast`: imports inside functions, and
modules that a text names (`"core.pipeline.train_rank"`, to be started), included. No import goes in a circle.
"""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

ROOMS = [
    "errors",
    "number_words",
    "plain_files",
    "yaml_text",
    "settings",
    "seeds",
    "arc",
    "storage",
    "machine",
    "curation",
    "reversibility",
    "importing",
    "mixing",
    "prompts",
    "modeling",
    "parallel",
    "training",
    "inference",
    "scoring",
    "spread",
    "specs",
    "runs",
    "experiments",
    "monitoring",
    "results",
    "checks",
    "exchange",
    "pipeline",
    "preflight",
    "reports",
    "sql",
    "cluster",
    "launching",
    "synthetic",
    "bench",
    "commands",
    "__main__",
]
STRANGERS = ({"training", "inference"},)
HEAVY = {"torch", "transformers", "peft", "vllm", "ray"}
NAMED = re.compile(r"(?<![\w./])(?:core|dashboard)(?:\.[a-z_]+)+")
STARTS_THE_DASHBOARD = {"core.commands.dashboard", "core.bench.pages"}
"""Who may name a module of the dashboard: as a process of its own, which is no import."""
SCREENS_MAY = {"core", "streamlit", "plotly", *sys.stdlib_module_names}


@dataclass(frozen=True)
class Import:
    """One imported name, in full ("core.arc.grids.Grid"), whether importing the module runs it, and whether a
    text names it, as for a process of its own."""

    name: str
    line: int
    at_once: bool
    by_text: bool = False

    @property
    def package(self) -> str:
        return self.name.split(".")[0]

    @property
    def room(self) -> str | None:
        """The room of `core` that it comes from; None for anything else."""
        parts = self.name.split(".")
        return parts[1] if parts[0] == "core" and len(parts) > 1 else None


def imports_of(source: str, module: str, *, is_package: bool = False) -> Iterator[Import]:
    """Every import of a module's source, wherever it stands."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node, at_once in _walk(ast.parse(source), at_once=True):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, at_once)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(f"{start}.{alias.name}", node.lineno, at_once)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value:
            for name in NAMED.findall(node.value):
                yield Import(name, node.lineno, at_once=False, by_text=True)


def _walk(node: ast.AST, *, at_once: bool) -> Iterator[tuple[ast.AST, bool]]:
    """All nodes, each with whether it runs on import, as what stands in functions or for types does not."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring mentions; it imports nothing
    yield node, at_once
    later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for_types = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, at_once=at_once and not later and not for_types)


def breaches(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """What of the rule a module breaks, one sentence each; none where it keeps it."""
    found = []
    parts = module.split(".")
    room = parts[1] if len(parts) > 1 else None
    if parts[0] == "core" and room is not None and room not in ROOMS:
        found.append(f"{module} stands in no room; give '{room}' its place in the order")
    for used in imports_of(source, module, is_package=is_package):
        if used.package == "dashboard" and module in STARTS_THE_DASHBOARD:
            continue
        problem = _breach(used, parts[0], room)
        if problem:
            found.append(f"{module}, line {used.line}: {used.name} {problem}")
    return found


def _breach(used: Import, part: str, room: str | None) -> str | None:
    if used.package in HEAVY and used.at_once:
        return "is heavy; import it inside the function that needs it"
    if part == "core" and used.package in ("dashboard", "streamlit"):
        return "belongs to the pages; core must work without them"
    if room == "screens" and part == "dashboard":
        if used.package in SCREENS_MAY or used.name.startswith(("dashboard.components", "dashboard.root")):
            return None
        return "is no business of a page: compute in core, draw in components"
    if part != "core" or used.room is None:
        return None
    if room is None or used.room not in ROOMS:
        return "is imported by the package itself" if room is None else "is in no room"
    if any({room, used.room} == pair for pair in STRANGERS):
        return "must stay a stranger: the two meet through files"
    if room in ROOMS and ROOMS.index(used.room) > ROOMS.index(room):
        return f"is in a room below '{room}'"
    return None


def _modules() -> list[tuple[str, Path]]:
    paths = sorted(path for part in ("core", "dashboard") for path in (ROOT / part).rglob("*.py"))
    named = [(path, list(path.relative_to(ROOT).with_suffix("").parts)) for path in paths]
    return [(".".join(parts[:-1] if parts[-1] == "__init__" else parts), path) for path, parts in named]


def test_every_module_keeps_the_rule() -> None:
    modules = _modules()
    found = []
    for module, path in modules:
        found += breaches(path.read_text(encoding="utf-8"), module, is_package=path.name == "__init__.py")
    assert found == []
    assert len([module for module, _ in modules if module.startswith("core")]) >= 28
    assert len([module for module, _ in modules if module.startswith("dashboard")]) >= 3


def test_no_import_goes_in_a_circle() -> None:
    modules = dict(_modules())
    needs = {}
    for module, path in modules.items():
        found = imports_of(path.read_text(encoding="utf-8"), module, is_package=path.name == "__init__.py")
        named = {name for one in found if not one.by_text for name in (one.name, one.name.rpartition(".")[0])}
        needs[module] = {name for name in named & modules.keys() if not f"{module}.".startswith(f"{name}.")}
    assert sum(map(len, needs.values())) >= 500
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as circle:
        pytest.fail(" → ".join(circle.args[1]))


def test_every_room_exists() -> None:
    there = {module.split(".")[1] for module, _ in _modules() if module.count(".") == 1}
    assert set(ROOMS) <= there


@pytest.mark.parametrize(
    "module, source, part_of_the_sentence",
    [
        ("core.arc.grids", "from core.storage import files", "core.storage.files is in a room below 'arc'"),
        (
            "core.arc.grids",
            "def f():\n    import core.results.run_values",
            "line 2: core.results.run_values is in",
        ),
        ("core.arc.grids", "from ..storage.files import x", "core.storage.files.x is in a room below 'arc'"),
        ("core.arc.grids", "from core import launching", "core.launching is in a room below"),
        ("core.inference.predict", "from core.training.models import load", "must stay a stranger"),
        ("core.training.train", "def f():\n    from core.inference import predict", "must stay a stranger"),
        ("core.results.run_values", "import streamlit as st", "belongs to the pages"),
        (
            "core.results.run_values",
            "def f():\n    from dashboard.components import charts",
            "belongs to the pages",
        ),
        ("core.arc.grids", 'MODULE = "core.bench.pages"', "core.bench.pages is in a room below 'arc'"),
        ("core.runs.state", 'run("-m", "dashboard.serve")', "belongs to the pages"),
        ("core.training.train", "import torch.nn", "torch.nn is heavy"),
        (
            "core.training.train",
            "try:\n    from peft import X\nexcept ImportError:\n    X = 0",
            "peft.X is heavy",
        ),
        ("core.training.train", "class A:\n    import vllm", "vllm is heavy"),
        ("dashboard.components.charts", "import ray", "ray is heavy"),
        ("dashboard.screens.runs", "import pandas", "is no business of a page"),
        ("dashboard.screens.runs", "from dashboard.screens.results import x", "is no business of a page"),
        ("core.utils", "", "stands in no room"),
        ("core", "from core.arc import grids", "is imported by the package itself"),
        ("core.arc.grids", "from core.helpers import x", "is in no room"),
    ],
)
def test_a_breach_is_seen(module: str, source: str, part_of_the_sentence: str) -> None:
    (sentence,) = breaches(source, module, is_package=module == "core")
    assert part_of_the_sentence in sentence


@pytest.mark.parametrize(
    "module, source",
    [
        ("core.training.train", "def f():\n    import torch"),
        ("core.training.train", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch"),
        (
            "core.training.train",
            "from core.prompts.encoders import x\nfrom .settings import y",
        ),
        ("core.arc", "from .grids import Grid"),
        ("core.__main__", "from core.commands import data"),
        ("dashboard.screens.runs", "import json\nimport streamlit\nfrom core.results import run_values"),
        ("dashboard.screens.runs", "from dashboard.components.charts import dots\nimport plotly.express"),
        ("dashboard.components.charts", "import pandas"),
    ],
)
def test_what_is_allowed_is_no_breach(module: str, source: str) -> None:
    assert breaches(source, module, is_package=module == "core.arc") == []
