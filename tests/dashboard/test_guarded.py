"""No page changes anything past `permitted`: found in the code, so that a new button can't forget it.

What changes something is not listed by hand: every function of `core` that reaches a write, a delete or a
process (by its own calls or those of core's functions that it calls) counts, except reading ones that keep
a cache. In `dashboard`, such a function may only stand among the arguments of a guard.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GUARDS = {"permitted", "attempt"}
PRIMITIVES = {
    *("write_text", "write_bytes", "unlink", "rename", "rmtree", "move", "kill", "killpg", "send_signal"),
    *("Popen", "write_table", "ftruncate", "rmdir", "symlink_to"),
}
# Reading that keeps what it has worked out, or asks a process that changes nothing.
READS = {
    "core.sql.sandbox.Question": "asks SQL in a bounded process",
    "core.sql.ask.start": "asks SQL in a bounded process",
    "core.sql.ask.ask": "asks SQL in a bounded process",
    "core.prompts.lengths.source_lengths": "keeps counted tokens in data/.cache",
    "core.curation.overlaps.overlaps": "keeps what is shared between sources in data/.cache",
    "core.experiments.provenance.code_version": "asks git",
    "core.storage.queries.exact_name": "links odd names among temporary files",
    "core.machine.hardware.list_gpus": "asks the driver",
    "core.machine.processes.end_with_parent": "lets the server end with the process that started it",
    "core.storage.upload_file.sent_file": "holds a sent file among temporary files while it is read",
}

# The deck hands what it receives to the ledger through `permitted`; test_rights sends it forged flags.
ASKED_BY_THEIR_CALLERS = {"dashboard.components.deck_actions"}


def defined(tree: ast.Module, module: str) -> dict[str, str]:
    """What a name of a module stands for in full: its own functions and classes, and what it imports."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("core"):
            names |= {(alias.asname or alias.name): f"{node.module}.{alias.name}" for alias in node.names}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names[node.name] = f"{module}.{node.name}"
    return names


def used(node: ast.AST, names: dict[str, str], module: str) -> set[str]:
    """Full names that a definition refers to; `module.name` for a name of an imported module, and bare
    primitives."""
    found = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and part.id in names:
            found.add(names[part.id])
        elif isinstance(part, ast.Attribute):
            if isinstance(part.value, ast.Name) and part.value.id in names:
                found.add(f"{names[part.value.id]}.{part.attr}")
            if part.attr in PRIMITIVES or ast.unparse(part) == "subprocess.run":
                found.add("Popen" if part.attr == "run" else part.attr)
    return found


def trees(package: str) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        yield module, ast.parse(path.read_text(encoding="utf-8"))


def changing() -> set[str]:
    """Full names of the functions and classes of core that change something on disk or run a process."""
    reaches = {}
    for module, tree in trees("core"):
        names = defined(tree, module)
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                reaches[f"{module}.{node.name}"] = used(node, names, module)
    assert reaches.keys() >= READS.keys(), "what only reads is not where it was"
    found = {name for name, uses in reaches.items() if uses & PRIMITIVES} - READS.keys()
    while True:
        more = {name for name, uses in reaches.items() if uses & found} - found - READS.keys()
        if not more:
            return found
        found |= more


def unguarded(tree: ast.Module, module: str, forbidden: set[str]) -> list[str]:
    """Where a page refers to what changes something outside of a guard's arguments."""
    names = defined(tree, module)
    arguments = [
        argument
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in GUARDS
        for argument in call.args
    ]
    handed = {argument.id for argument in arguments if isinstance(argument, ast.Name)}
    local = [
        inner
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef)
        for inner in ast.walk(outer)
        if inner is not outer and isinstance(inner, ast.FunctionDef) and inner.name in handed
    ]
    guarded = {id(part) for top in (*arguments, *local) for part in ast.walk(top)}
    found = []
    for part in ast.walk(tree):
        if id(part) in guarded:
            continue
        full = None
        if isinstance(part, ast.Name):
            full = names.get(part.id)
        elif isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id in names:
            full = f"{names[part.value.id]}.{part.attr}"
        if full in forbidden:
            found.append(f"{module}, line {part.lineno}: {full} without permitted(…)")
    return found


def test_what_changes_something_is_found() -> None:
    found = changing()
    expected = {
        *("core.launching.launch.launch", "core.launching.stop_and_resume.stop_runs"),
        *("core.experiments.archive.delete_experiment", "core.curation.flags.add_flags"),
        *("core.sql.saved.save_query", "core.preflight.missing.provide"),
    }
    assert expected <= found
    assert not {"core.monitoring.overview.overview", "core.curation.flags.all_flags"} & found


def test_no_page_changes_anything_unasked() -> None:
    forbidden = changing()
    pages = [(module, tree) for module, tree in trees("dashboard") if module not in ASKED_BY_THEIR_CALLERS]
    assert len(pages) >= 20
    assert [problem for module, tree in pages for problem in unguarded(tree, module, forbidden)] == []


def test_every_guard_calls_permitted() -> None:
    """`attempt` of a page is a guard because it hands everything on to `permitted`."""
    guards = [
        node
        for module, tree in trees("dashboard")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name in GUARDS - {"permitted"}
    ]
    assert guards
    assert all("permitted(action, *arguments, **options)" in ast.unparse(node) for node in guards)


def test_an_unasked_change_is_seen() -> None:
    source = "from core.launching.stop_and_resume import stop_runs as stop\n{}"
    forbidden = {"core.launching.stop_and_resume.stop_runs"}
    calls = {"stop(root, name)": 1, "st.button('x', on_click=stop)": 1, "permitted(stop, root, name)": 0}
    for call, expected in calls.items():
        assert len(unguarded(ast.parse(source.format(call)), "page", forbidden)) == expected
