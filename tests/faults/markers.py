"""A project in whose files every free text carries something that would be live on a page that trusts it."""

import json
from pathlib import Path
from typing import Any

from core.runs.layout import Run
from core.runs.state import RunState, write_state
from core.specs.edit import as_yaml
from core.yaml_text import parse_yaml
from tests.faults.project import EXPERIMENT, VARIANT, full_project

HOST = "evil.example"
MARKER = (
    f"![a](https://{HOST}/a.png) <img src=https://{HOST}/b.png> [c](https://{HOST}/c)"
    f" <a href='https://{HOST}/d'>d</a> https://{HOST}/e www.{HOST} f@{HOST} :red[g] $h$"
)
NAMES = {
    *("source", "task_id", "family", "name", "experiment", "variant", "baseline", "state", "stage", "flag"),
    *("value", "time", "boot", "host", "sha256", "method", "engine", "base_model", "metrics", "template"),
    *(
        "source_a",
        "source_b",
        "task_a",
        "task_b",
        "encoding",
        "precision",
        "optimizer",
        "schedule",
        "created",
    ),
    *("cell_separator", "loss_on", "batching", "too_long", "colours", "init", "target_modules", "composed"),
    *("tasks", "lists", "sources", "trained", "evaluated", "held_out", "variants", "partition", "dtype"),
}
"""Keys whose texts name something or are one of a few words: with another text the file is not read."""


def marked(value: Any, key: str = "") -> Any:
    """A value whose free texts end with the marker."""
    if isinstance(value, dict):
        return {name: marked(inside, name) for name, inside in value.items()}
    if isinstance(value, list):
        return value if key in NAMES else [marked(inside, key) for inside in value]
    return f"{value} {MARKER}" if isinstance(value, str) and key not in NAMES else value


def marked_project(root: Path) -> Path:
    """The project of all kinds of files with the marker in every free text: of JSON, JSON lines and YAML, in
    logs and notes, and in the error of a failed run; and a spec with a key of that name."""
    full_project(root)
    for path in sorted((root / "data").rglob("*")) + sorted((root / "runs").rglob("*")):
        if not path.is_file() or path.name.startswith(".") or "models" in path.parts:
            continue
        if path.suffix == ".json" and path.name != "state.json":
            path.write_text(json.dumps(marked(json.loads(path.read_text()))))
        elif path.suffix == ".jsonl":
            lines = [json.dumps(marked(json.loads(line))) for line in path.read_text().splitlines()]
            path.write_text("".join(f"{line}\n" for line in lines))
        elif path.suffix == ".yaml":
            path.write_text(as_yaml(marked(parse_yaml(path.read_text(), path.name))))
        elif path.suffix in (".txt", ".md"):
            path.write_text(f"{path.read_text()}{MARKER}\n")
    write_state(Run(root, EXPERIMENT, VARIANT, 0), RunState("failed", "infer", 1, 2, error=MARKER))
    (root / "data" / "experiments" / "odd.yaml").write_text(as_yaml({"name": "odd", MARKER: MARKER}))
    (root / "data" / "sources" / "odd.json").write_text(json.dumps({"source": MARKER, MARKER: 1}))
    notes = root / "runs" / EXPERIMENT / "notes.md"
    notes.write_text(f"{MARKER}\n")
    return root
