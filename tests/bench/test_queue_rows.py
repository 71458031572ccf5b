"""The rows of the queue: measured on real processes, with fewer runs than the figure has."""

from pathlib import Path

import pytest

from core.bench import run_queue
from core.bench.bench_context import Workshop
from core.bench.registry import all_rows
from core.experiments.listing import list_runs
from core.machine import processes
from core.runs.state import state_of


def test_a_queue_is_seen_through_and_its_worker_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_queue, "RUNS", 3)
    monkeypatch.setattr(run_queue, "SECONDS_BETWEEN_LOOKS", 0.1)
    memory, processor, seconds = run_queue.measure(Workshop(tmp_path))
    assert {one.name for one in (memory, processor, seconds)} <= {row.name for row in all_rows()}
    assert 20 < memory.value < 500 and 0 < processor.value < 200 and seconds.value > 1
    runs = list_runs(tmp_path / "queued", "queued")
    assert [state_of(run).state for run in runs] == ["done"] * 3
    assert all((run.eval_folder(0) / "scores.parquet").exists() for run in runs)
    assert processes.MODULE == "core"
