"""Following an experiment in the terminal: a bar per run, or plain lines where there is no terminal."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from core.commands.command_text import as_typed

SECONDS_BETWEEN_LINES = 15.0
SECONDS_TO_START = 20.0


def follow(root: Path, experiment: str) -> bool:
    """Show progress until no run is queued or running; whether all runs are done.

    Ctrl-C ends the showing only.
    """
    console = Console()
    try:
        if console.is_terminal:
            records = _follow_live(root, experiment, console)
        else:
            records = _follow_lines(root, experiment, console)
    except KeyboardInterrupt:
        console.print(as_typed(f"The runs go on. See them with: python -m core runs list {experiment}"))
        return True
    for record in records:
        if record["state"] != "done":
            console.print(
                as_typed(f"{_name(record)} {record['state']}: {record['error'] or ''}"),
                style="red",
                markup=False,
            )
    return all(record["state"] == "done" for record in records)


def _follow_live(root: Path, experiment: str, console: Console) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    with Live(console=console, refresh_per_second=4, transient=False) as live:
        for records in _snapshots(root, experiment):
            live.update(_table(records))
    return records


def _follow_lines(root: Path, experiment: str, console: Console) -> list[dict[str, Any]]:
    last: dict[str, tuple[Any, str, float]] = {}
    records: list[dict[str, Any]] = []
    for records in _snapshots(root, experiment):
        for record in records:
            what = (record["state"], record["stage"])
            before, line, when = last.get(_name(record), (None, "", 0.0))
            now, words = time.monotonic(), _words(record)
            if words != line and (what != before or now - when > SECONDS_BETWEEN_LINES):
                last[_name(record)] = (what, words, now)
                console.print(f"{_name(record):24} {words}", markup=False, highlight=False)
    return records


def _snapshots(root: Path, experiment: str) -> Any:
    """Records of all runs, every half second, until nothing is left to happen."""
    from core.experiments.listing import run_records
    from core.runs.supervisors import is_worked_on

    last_work = time.monotonic()
    while True:
        worked_on = is_worked_on(root, experiment)
        records = run_records(root, experiment)
        yield records
        states = {record["state"] for record in records}
        if worked_on or "running" in states:
            last_work = time.monotonic()
        if not states & {"queued", "running"} or time.monotonic() - last_work > SECONDS_TO_START:
            return
        time.sleep(0.5)


def _table(records: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("run", "state", "", "step", "loss", "tokens/s", "left"):
        table.add_column(name)
    for record in records:
        total = record["total"] or 1
        table.add_row(
            _name(record),
            record["state"] if record["state"] != "running" else f"{record['stage']}…",
            ProgressBar(
                total=total, completed=total if record["state"] == "done" else record["step"] or 0, width=24
            ),
            f"{record['step'] or 0}/{record['total']}" if record["total"] else "",
            "–" if record["loss"] is None else f"{record['loss']:.3f}",
            "–" if record["tokens_per_second"] is None else f"{record['tokens_per_second']:,.0f}",
            "–" if record["eta_seconds"] is None else f"{record['eta_seconds']:.0f} s",
        )
    return table


def _words(record: dict[str, Any]) -> str:
    if record["state"] != "running":
        return str(record["state"]) + (f" ({record['stage']} is next)" if record["state"] == "queued" else "")
    if not record["total"]:
        return f"{record['stage']} begins"
    words = f"{record['stage']} {record['step'] or 0}/{record['total']}"
    if record["loss"] is not None:
        words += f", loss {record['loss']:.3f}"
    if record["eta_seconds"] is not None:
        words += f", {record['eta_seconds']:.0f} s left"
    return words


def _name(record: dict[str, Any]) -> str:
    return f"{record['variant']} seed {record['train_seed']}"
