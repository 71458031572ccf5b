"""`bench --only gpu --tiny`: every part on a CPU, without what a bare machine lacks; parts fail alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.bench import gpu
from core.bench.gpu import PARTS, Part, measure_gpu
from core.storage.files import read_records

ROOT = Path(__file__).resolve().parents[2]
BARE = """
import sys

LACKING = ["vllm", "duckdb", "streamlit", "huey", "ray", "pandas", "scipy", "statsmodels", "sklearn",
           "plotly", "httpx", "authlib", "trl", "datasets", "tensorboard"]
sys.modules.update(dict.fromkeys(LACKING))  # as if they were not installed, to imports and to find_spec
"""
"""What Python runs before anything else: the packages of a workbench that a bare machine does not have."""


@pytest.mark.engine
def test_all_parts_run_on_a_bare_machine(tmp_path: Path) -> None:
    """Only the peer is missed. Losses fall, weights come back, and every result is there at once."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(BARE)
    seconds = 4 * 570  # each part's share is short, and other tests come and go beside it
    command = [sys.executable, "-m", "core", "bench", "--only", "gpu", "--tiny", "--json"]
    child = subprocess.run(
        [*command, "--seconds", str(seconds), "--out", str(tmp_path / "out")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=seconds + 60,
    )
    records = read_records(tmp_path / "out" / "results.jsonl")
    assert json.loads(child.stdout) == records, child.stderr[-2000:]
    failed = {one["part"]: one["failed"] for one in records if "failed" in one}
    assert list(failed) == ["half-billion-peer"] and "trl or datasets" in failed["half-billion-peer"], failed
    assert {one["part"] for one in records} == {part.name for part in PARTS} and child.returncode == 1
    found = {(one["part"], one["name"]): one["value"] for one in records if "name" in one}
    assert found["smoke", "full: loss after 8 steps"] < found["smoke", "full: loss before"]
    assert found["smoke", "largest difference of a loss after a resume"] == 0
    assert found["half-billion", "useful tokens per second"] > 0
    assert 0 <= found["train", "greedy accuracy on held-out families"] <= 1
    assert list((tmp_path / "out" / "trained" / "model").glob("*.safetensors"))


def test_a_part_that_hangs_or_dies_leaves_the_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a process: one sleeps beyond its limit, one dies, one is not known, one ends well."""
    (tmp_path / "code" / "core" / "bench").mkdir(parents=True)
    for folder in ("core", "core/bench"):
        (tmp_path / "code" / folder / "__init__.py").touch()
    (tmp_path / "code" / "core" / "bench" / "gpu_process.py").write_text(
        "import sys, time, os\n"
        "{'hangs': lambda: time.sleep(60), 'dies': lambda: os.abort(), 'ends': lambda: None}[sys.argv[1]]()\n"
    )
    monkeypatch.setattr(gpu, "CODE", tmp_path / "code")
    monkeypatch.setattr(gpu, "LEAST_SECONDS", 1.0)
    parts = (Part("hangs", 2), Part("dies", 20), Part("unknown", 20), Part("ends", 20))
    monkeypatch.setattr(gpu, "PARTS", parts)
    said: list[str] = []
    found = measure_gpu(tmp_path / "out", 60, said.append)
    assert [one["part"] for one in found] == ["hangs", "dies", "unknown"]
    assert found[0]["failed"] == "it took more than 2 s" and "code -6" in found[1]["failed"]
    assert "KeyError" in found[2]["failed"] and len(said) == 4
    assert measure_gpu(tmp_path / "out", 0.5, said.append) == [
        {"part": part.name, "failed": "no time was left"} for part in parts
    ]
