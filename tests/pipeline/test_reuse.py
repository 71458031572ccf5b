"""The same work is done once: recognised by its fingerprint, taken over, and said where it came from."""

import copy
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.experiments.archive import delete_experiment, freed_by
from core.experiments.listing import run_records
from core.launching.launch import prepare
from core.pipeline.reuse import take_over
from core.runs.fingerprints import eval_fingerprint, train_fingerprint
from core.runs.layout import Run
from core.storage.files import read_json
from core.storage.schemas import PREDICTIONS, write_table
from tests.pipeline.trivial import trivial_root
from tests.specs.tiny import spec_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return trivial_root(tmp_path)


def one_row(run: Run, seed: int) -> pa.Table:
    values: dict[str, Any] = dict.fromkeys(PREDICTIONS.names)
    values |= {"experiment": run.experiment, "variant": run.variant, "train_seed": 0, "eval_seed": seed}
    values |= {"source": "toy", "task_id": "00000000", "test_index": 0, "attempt": 0, "text": "1"}
    return pa.Table.from_pylist([values], schema=PREDICTIONS)


def finished(run: Run) -> None:
    (run.folder / "adapter").mkdir()
    (run.folder / "adapter" / "adapter_model.safetensors").write_bytes(b"weights" * 100)
    for seed in (0, 1):
        write_table(run.eval_folder(seed) / "predictions.parquet", one_row(run, seed), PREDICTIONS)


def test_a_twin_of_another_experiment_is_taken_over(root: Path) -> None:
    (first,) = prepare(root, spec_of(root), ["launch"])
    finished(first)
    other, twin = prepare(
        root, spec_of(root, name="again", variants={"same": None, "plain": {"training": {"steps": 7}}}), ["l"]
    )
    for run in (twin, other):
        take_over(run, "train", (0, 1))
        take_over(run, "infer", (0, 1))
    weights = twin.folder / "adapter" / "adapter_model.safetensors"
    assert weights.samefile(first.folder / "adapter" / "adapter_model.safetensors"), (
        "no byte more on the disk"
    )
    table = pq.read_table(twin.eval_folder(1) / "predictions.parquet")
    assert table.schema.equals(PREDICTIONS)
    (row,) = table.to_pylist()
    assert (row["experiment"], row["variant"], row["eval_seed"]) == ("again", "same", 1)
    assert read_json(twin.folder / "run.json")["reused"] == dict.fromkeys(
        ("train", "eval-0", "eval-1"), "trial plain/0"
    )
    assert "trial plain/0 did the same work" in (twin.folder / "log.txt").read_text()
    assert not (other.folder / "adapter").exists() and "reused" not in read_json(other.folder / "run.json")
    both = freed_by(first.folder / "adapter"), freed_by(root / "runs")
    assert both[0] == 0 and both[1] > 700, "a linked file is freed with its last name"
    delete_experiment(root, "trial")
    assert weights.read_bytes() == b"weights" * 100


def test_fresh_work_is_done_on_request(root: Path) -> None:
    (first,) = prepare(root, spec_of(root), ["launch"])
    finished(first)
    (run,) = prepare(root, spec_of(root, name="again"), ["launch"], fresh_work=True)
    take_over(run, "train", (0, 1))
    assert not (run.folder / "adapter").exists()


def test_a_fingerprint_changes_with_everything_that_makes_the_work(root: Path) -> None:
    (run,) = prepare(root, spec_of(root), ["launch"])
    record = read_json(run.folder / "run.json")
    known = train_fingerprint(record), eval_fingerprint(record, 0)

    def changed(*path: str, value: Any = "other") -> tuple[bool, bool]:
        other = copy.deepcopy(record)
        below = other
        for name in path[:-1]:
            below = below[name]
        assert path[-1] in below
        below[path[-1]] = value
        return train_fingerprint(other) != known[0], eval_fingerprint(other, 0) != known[1]

    for path in (
        ("recipe", "training", "steps"), ("recipe", "prompt"), ("train_seed",), ("base_model",),
        ("code", "sha256"), ("libraries", "torch"), ("trained", "toy"),
    ):  # fmt: skip
        assert changed(*path) == (True, True), path
    for path in (("evaluation", "inference", "attempts"), ("evaluated", "sha256"), ("data", "toy")):
        assert changed(*path) == (False, True), path
    for path in (("variant",), ("experiment",), ("command",), ("recipe", "base_model"), ("created",)):
        assert changed(*path) == (False, False), path
    assert eval_fingerprint(record, 1) != known[1]


def test_an_unreadable_record_is_reported_and_blocks_nothing(root: Path) -> None:
    broken, whole = prepare(
        root, spec_of(root, baseline="plain", variants={"broken": None, "plain": None}), ["launch"]
    )
    finished(broken)
    finished(whole)
    (broken.folder / "run.json").write_text('{"recipe": ')
    (whole.folder.parent / "train-of-somebody").mkdir()
    (whole.folder.parent / "train-of-somebody" / "run.json").write_text("{}")
    (run,) = prepare(root, spec_of(root, name="again"), ["launch"])
    take_over(run, "train", (0, 1))
    assert (run.folder / "adapter").is_dir()
    said = (run.folder / "log.txt").read_text()
    assert "Nothing is taken over from trial broken/0: " in said and "is no valid JSON" in said
    first, second = run_records(root, "trial")
    assert "run.json is no valid JSON" in first["error"] and second["error"] is None
