"""What the processes of a run reported while they worked: `progress.jsonl` and `log.txt`."""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.plain_files import open_plain
from core.runs.done import EVERY_STAGE, Stage
from core.runs.layout import Run
from core.storage.files import append_record
from core.storage.json_records import Record, Text, Whole, fitting_or_none, read_fitting_from

BYTES_OF_LAST_RECORD = 4096


class Report(Record):
    """The schema of a line of `progress.jsonl`."""

    time: float | None = None
    stage: Text | None = None
    step: Whole | None = None
    total: Whole | None = None
    eval_seed: Whole | None = None
    tokens: Whole | None = None
    loss: float | None = None
    learning_rate: float | None = None
    tokens_per_second: float | None = None
    memory_bytes: float | None = None
    eta_seconds: float | None = None
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    seen_loss: float | None = None
    seen_accuracy: float | None = None


def progress_records(path: Path) -> list[dict[str, Any]]:
    """The reports of a `progress.jsonl`; none where it is absent. Damaged lines are skipped."""
    return read_fitting_from(path, Report)[0]


def append_progress(run: Run, stage: Stage, record: Mapping[str, Any]) -> None:
    """Append a report of a stage, with the time."""
    append_record(run.progress_file, {"time": round(time.time(), 3), "stage": stage, **record})


def progress_of(run: Run, stage: Stage | None = None) -> list[dict[str, Any]]:
    """Progress records in the order of their steps. A step that a resumed stage repeated counts once, as
    it was last reported."""
    latest: dict[tuple[Any, ...], dict[str, Any]] = {}
    for record in progress_records(run.progress_file):
        if stage is None or record.get("stage") == stage:
            latest[(record.get("stage"), record.get("eval_seed"), record.get("step"))] = record
    return list(latest.values())


def latest_progress(run: Run) -> dict[str, Any]:
    """The last progress record of a run, read from the end of its file; empty where there is none."""
    for line in reversed(_end_of(run.progress_file, BYTES_OF_LAST_RECORD).splitlines()):
        try:
            record = fitting_or_none(json.loads(line), Report)
        except (ValueError, RecursionError):
            continue
        if record is not None:
            return record
    return {}


def share_done(record: Mapping[str, Any]) -> float:
    """How much of a run's present stage is done, 0 to 1, by its record in a list; 1 for a finished run."""
    if record["state"] == "done":
        return 1.0
    if record["stage"] not in EVERY_STAGE or not record["total"]:
        return 0.0
    return float(min(1.0, (record["step"] or 0) / record["total"]))


def write_log(run: Run, text: str) -> None:
    """Append a line to a run's `log.txt`, as its processes' own output is."""
    with run.log_file.open("a", encoding="utf-8") as file:
        file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")


def log_tail(run: Run, size: int = 4000) -> str:
    """The last characters of a run's log; empty where there is none."""
    return _end_of(run.log_file, size)


def _end_of(path: Path, size: int) -> str:
    """The end of a text file: at most `size` bytes, from its first whole line on."""
    try:
        with open_plain(path) as file:
            length = file.seek(0, os.SEEK_END)
            file.seek(max(0, length - size))
            data = file.read()
    except (OSError, UserError):
        return ""
    if length > size:
        data = data[data.find(b"\n") + 1 :]
    return data[: data.rfind(b"\n") + 1].decode(errors="replace")
