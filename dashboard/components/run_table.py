"""The table of runs: grouped by variant, updated in place, in which runs are selected and shown by id.

The browser keeps selection, order, filter and folding while the page polls; what is selected and which run
was clicked last goes to the server.
"""

import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st

from dashboard.components.wording import seconds_in_words

_STATIC = Path(__file__).parent / "static"
_NONE = "–"

_component = st.components.v2.component(
    "run_table",
    js=(_STATIC / "run_table.js").read_text(encoding="utf-8"),
    css=(_STATIC / "run_table.css").read_text(encoding="utf-8"),
)


class Chosen(NamedTuple):
    """The ids of the selected runs, and of the one that was clicked last (None: none)."""

    selected: list[str]
    focus: str | None


def run_id(run: Mapping[str, Any]) -> str:
    """What names a run within its experiment, in addresses too."""
    return f"{run['variant']}/{run['train_seed']}"


def run_table(
    experiment: str,
    runs: Sequence[Mapping[str, Any]],
    groups: Sequence[Mapping[str, Any]],
    colours: Mapping[str, str],
    chosen: Chosen,
    watch: Mapping[str, Any],
    key: str,
) -> Chosen:
    """Show the runs and their variants (records of `core.results.run_rows`); what is chosen now.

    `chosen` counts when an experiment is shown for the first time; later the browser knows better. `watch` is
    what the tab's title and a notification tell: active, done, runs and sentence.
    """
    data = {
        "experiment": experiment,
        "runs": [_row(run, colours.get(run["variant"], "#8C8C8C")) for run in runs],
        "groups": [_group(group, colours.get(group["variant"], "#8C8C8C")) for group in groups],
        "selected": chosen.selected,
        "focus": chosen.focus,
        "watch": dict(watch),
    }
    result = _component(
        key=f"{key}:{experiment}",
        data=data,
        default={"selected": chosen.selected, "focus": chosen.focus},
        on_selected_change=lambda: None,
        on_focus_change=lambda: None,
    )
    known = {run_id(run) for run in runs}
    focus = result.get("focus")
    selected = [name for name in result.get("selected") or [] if name in known]
    return Chosen(selected, focus if focus in known else None)


def _row(run: Mapping[str, Any], colour: str) -> dict[str, Any]:
    running = run["state"] == "running"
    step = f"{run['step'] or 0:,} / {run['total']:,}" if run["total"] else _NONE
    return {
        "id": run_id(run),
        "variant": run["variant"],
        "colour": colour,
        "state": run["state"],
        "share": run["share"],
        "note": run["error"] or "",
        "hangs": run["silent_seconds"] is not None,
        "cells": {
            "state": _state_in_words(run),
            "step": step,
            "score": run["score_text"],
            "loss": _NONE if run["loss"] is None else f"{run['loss']:.3f}",
            "tokens-s": f"{run['tokens_per_second']:,.0f}" if run["tokens_per_second"] else _NONE,
            "took": _seconds(run["seconds"]),
            "left": _seconds(run["seconds_left"]) if running or run["state"] == "queued" else _NONE,
            "started": _clock(run["started"]),
            "owner": run["owner"],
            "tries": f"{run['tries'] or _NONE}",
        },
        "sort": _sort(run),
    }


def _group(group: Mapping[str, Any], colour: str) -> dict[str, Any]:
    return {
        "variant": group["variant"],
        "colour": colour,
        "state": group["state"],
        "share": group["share"],
        "cells": {
            "state": f"{group['done']} of {group['runs']} done",
            "score": group["score_text"],
            "loss": _NONE if group["loss"] is None else f"{group['loss']:.3f}",
            "tokens-s": f"{group['tokens_per_second']:,.0f}" if group["tokens_per_second"] else _NONE,
            "took": _seconds(group["seconds"]),
            "left": _seconds(group["seconds_left"]),
            "started": _clock(group["started"]),
        },
        "sort": _sort({**group, "train_seed": 0}),
    }


def _sort(run: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "variant": run["variant"],
        "state": run["state"],
        "progress": run["share"],
        "step": run.get("step"),
        "score": run["score"],
        "loss": run["loss"],
        "tokens-s": run["tokens_per_second"],
        "took": run["seconds"],
        "left": run["seconds_left"],
        "started": run["started"],
        "owner": run.get("owner"),
        "tries": run.get("tries"),
    }


def _seconds(seconds: float | None) -> str:
    return _NONE if seconds is None else seconds_in_words(seconds)


def _clock(moment: float | None) -> str:
    return _NONE if moment is None else time.strftime("%d %b %H:%M", time.localtime(moment))


def _state_in_words(run: Mapping[str, Any]) -> str:
    if run["state"] == "running":
        doing = {"train": "training", "adapt": "adapting", "infer": "answering", "score": "scoring"}
        elsewhere = f" on {run['host']}" if run["host"] not in (None, socket.gethostname()) else ""
        return doing.get(run["stage"], "running") + elsewhere + ("" if run["total"] else " …")
    if run["state"] == "queued" and run["stage"] not in (None, "train"):
        return f"waits to {run['stage']}"
    return str(run["state"])
