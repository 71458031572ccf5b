"""The table of runs: a row for each, updated in place, in which runs are selected by id.

The browser keeps the selection while the page polls; a change of it reruns the fragment around the table.
"""

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from core.runs.progress import share_done
from dashboard.components.wording import seconds_in_words

_STATIC = Path(__file__).parent / "static"
_NONE = "–"

_component = st.components.v2.component(
    "run_table",
    js=(_STATIC / "run_table.js").read_text(encoding="utf-8"),
    css=(_STATIC / "run_table.css").read_text(encoding="utf-8"),
)


def run_id(run: Mapping[str, Any]) -> str:
    """What names a run within its experiment, in addresses too."""
    return f"{run['variant']}/{run['train_seed']}"


def run_table(
    experiment: str,
    runs: Sequence[Mapping[str, Any]],
    colours: Mapping[str, str],
    selected: Sequence[str],
    key: str,
) -> list[str]:
    """Show the runs (records of `core.runs.overview`); the ids that are selected now.

    `selected` counts when an experiment is shown for the first time; later the browser knows better.
    """
    data = {
        "experiment": experiment,
        "runs": [_row(run, colours.get(run["variant"], "#8C8C8C")) for run in runs],
        "selected": list(selected),
    }
    result = _component(
        key=f"{key}:{experiment}",
        data=data,
        default={"selected": list(selected)},
        on_selected_change=lambda: None,
    )
    known = {run_id(run) for run in runs}
    return [name for name in result.get("selected") or [] if name in known]


def _row(run: Mapping[str, Any], colour: str) -> dict[str, Any]:
    running = run["state"] == "running"
    return {
        "id": run_id(run),
        "variant": run["variant"],
        "seed": str(run["train_seed"]),
        "colour": colour,
        "state": run["state"],
        "said": _state_in_words(run),
        "share": share_done(run),
        "step": f"{run['step'] or 0:,} / {run['total']:,}" if run["total"] else _NONE,
        "loss": _NONE if run["loss"] is None else f"{run['loss']:.3f}",
        "speed": f"{run['tokens_per_second']:,.0f}" if running and run["tokens_per_second"] else _NONE,
        "left": seconds_in_words(run["eta_seconds"]) if run["eta_seconds"] is not None else _NONE,
        "note": run["error"] or "",
        "hangs": run["silent_seconds"] is not None,
    }


def _state_in_words(run: Mapping[str, Any]) -> str:
    if run["state"] == "running":
        doing = {"train": "training", "infer": "answering", "score": "scoring"}
        elsewhere = f" on {run['host']}" if run["host"] not in (None, socket.gethostname()) else ""
        return doing.get(run["stage"], "running") + elsewhere + ("" if run["total"] else " …")
    if run["state"] == "queued" and run["stage"] not in (None, "train"):
        return f"waits to {run['stage']}"
    return str(run["state"])
