"""Which runs share the cores: the model and its rows are small, and both can be read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from core.experiments import slot_sharing
from core.experiments.slot_sharing import MOST_TOKENS, MOST_WEIGHTS, is_small, runs_at_a_time, slots_taken
from core.launching.launch import prepare
from core.machine.slots import Slot
from core.runs.layout import Run
from core.specs.spec import merged
from core.storage.model_files import weights_in
from tests.pipeline.trivial import trivial_root
from tests.specs.tiny import spec_of
from tests.training.tiny import tiny_spec

GPUS = [Slot(f"GPU {number}", {"CUDA_VISIBLE_DEVICES": str(number)}) for number in range(8)]
SHARES = [Slot("cores 1 of 2", {"OMP_NUM_THREADS": "1"}), Slot("cores 2 of 2", {"OMP_NUM_THREADS": "1"})]


def run_of(root: Path, *, weights: int = 100, **changes: Any) -> Run:
    """A launched run of a model with so many weights, in 16 bits."""
    trivial_root(root)
    folder = root / "data" / "models" / "tiny"
    save_file(
        {"a": np.zeros(weights // 2, np.float16), "b": np.zeros((2, 25), np.float16)},
        folder / "model.safetensors",
    )
    (run,) = prepare(root, spec_of(root, **changes), ["launch"])
    return run


def test_weights_are_counted_whatever_their_type(tmp_path: Path) -> None:
    run_of(tmp_path)
    assert weights_in(tmp_path / "data" / "models" / "tiny") == 100
    assert weights_in(tmp_path) is None


def test_a_small_model_shares_the_cores_and_a_large_one_takes_all(tmp_path: Path) -> None:
    small, large = run_of(tmp_path / "a"), run_of(tmp_path / "b", weights=2 * MOST_WEIGHTS)
    assert is_small(small) and not is_small(large)
    assert slots_taken([small], SHARES) == 1
    assert slots_taken([large], SHARES) == slots_taken([small, large], SHARES) == 2
    assert slots_taken([large], [Slot("GPU 0", {"CUDA_VISIBLE_DEVICES": "0"})] * 4) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": {"training": {"max_seq_len": MOST_TOKENS + 1}}},
        {"recipe": {"training": {"tokens_per_batch": 2049}}},
        {"recipe": {"training": {"devices": 2}}},
        {"evaluation": {"inference": {"max_model_len": MOST_TOKENS + 1}}},
        {"evaluation": {"inference": {"kv_cache_gigabytes": 2}}},
    ],
)
def test_long_rows_and_much_memory_take_all_cores(tmp_path: Path, change: dict[str, Any]) -> None:
    plain = tiny_spec()
    assert not is_small(
        run_of(tmp_path, **{name: merged(plain[name], part) for name, part in change.items()})
    )


def test_runs_of_a_spec_go_on_side_by_side_where_all_are_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_of(tmp_path)
    large = {"training": {"max_seq_len": MOST_TOKENS + 1}}
    spec = spec_of(tmp_path, variants={"plain": None, "large": large}, train_seeds=[0, 1])
    small = spec_of(tmp_path, variants={"plain": None}, train_seeds=[0, 1, 2])
    for slots, both, only_small in ((SHARES, 1, 2), (SHARES[:1], 1, 1), (GPUS, 4, 3)):
        monkeypatch.setattr(slot_sharing, "find_slots", lambda slots=slots: slots)
        assert (runs_at_a_time(tmp_path, spec), runs_at_a_time(tmp_path, small)) == (both, only_small)


def test_what_cannot_be_read_takes_all_cores(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    (tmp_path / "data" / "models" / "tiny" / "model.safetensors").write_bytes(b"x" * 99)
    assert not is_small(run)
    run.record_file.write_text("[]")
    assert not is_small(run)


def test_a_small_model_holds_one_share_and_a_large_one_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot_sharing, "find_slots", lambda: SHARES)
    small, large = run_of(tmp_path), run_of(tmp_path / "b", weights=2 * MOST_WEIGHTS)
    said: list[str] = []
    with slot_sharing.slots_held([small], said.append), slot_sharing.slots_held([small], said.append):
        assert said == []
    with slot_sharing.slots_held([small], said.append, parts=5) as slots:
        assert slots == SHARES
    with (
        slot_sharing.slots_held([small], said.append),
        slot_sharing.slots_held([small], print, parts=2) as slots,
    ):
        assert slots == SHARES[1:]
    with slot_sharing.slots_held([large], said.append, parts=5) as slots:
        assert slots == SHARES[:1], "which is told of no share"
        locks = sorted(path.name for path in (large.root / "runs").glob(".slot-*"))
        assert len(locks) == 2 and said == []
