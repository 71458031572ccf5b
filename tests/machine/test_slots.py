"""One slot, one heavy process: what the queue starts and what a person asks for take turns."""

import itertools
import os
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from core.errors import UserError
from core.launching.launch import prepare
from core.machine import hardware, slots
from core.machine.slots import Slot, all_slots, find_slots, free_slots, one_slot
from core.runs.layout import Run
from core.runs.state import state_of
from tests.patience import wait_for
from tests.pipeline.driving import spec_in, verb
from tests.pipeline.trivial import end_all, hold, trivial_root, witnessed

GPUS = [Slot("GPU 0", {"CUDA_VISIBLE_DEVICES": "0"}), Slot("GPU 1", {"CUDA_VISIBLE_DEVICES": "1"})]


@pytest.mark.parametrize(("version", "count"), [("2.13.0", 2), ("2.13.0+cu130", 2), ("2.13.0+cpu", 0)])
def test_gpus_are_slots_only_where_the_installed_torch_computes_on_them(
    monkeypatch: pytest.MonkeyPatch, version: str, count: int
) -> None:
    """The CPU engine on a machine with two GPUs would otherwise run two jobs on the same cores."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(slots, "list_gpus", lambda: ["H100, 80 GB", "H100, 80 GB"])
    monkeypatch.setattr(slots.metadata, "version", lambda _: version)
    assert [slot.is_gpu for slot in find_slots()] == [True, True] if count else not find_slots()[0].is_gpu
    assert find_slots("0,1") == GPUS, "what is named is taken"


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine of four cores and 24 GB, without a GPU."""
    monkeypatch.setattr(slots, "list_gpus", list)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv(slots.CPU_SLOTS, raising=False)
    monkeypatch.setattr(slots, "cores", lambda: 4)
    monkeypatch.setattr(slots, "memory_bytes", lambda: 24 * 2**30)
    return monkeypatch


def test_a_machine_without_gpus_has_a_slot_for_each_core(four_cores: pytest.MonkeyPatch) -> None:
    for named, count, threads in (("", 4, "1"), ("2", 2, "2"), ("3", 3, "1"), ("4", 4, "1")):
        four_cores.setenv(slots.CPU_SLOTS, named)
        shared = find_slots()
        assert len({slot.name for slot in shared}) == count
        assert {slot.environment["OMP_NUM_THREADS"] for slot in shared} == {threads}
    four_cores.setenv(slots.CPU_SLOTS, "1")
    assert find_slots() == [Slot("all cores", {})]
    for wrong in ("0", "5", "-1", "two", "9" * 5000):
        four_cores.setenv(slots.CPU_SLOTS, wrong)
        with pytest.raises(UserError, match="Set it to a number from 1 to 4, the cores here"):
            find_slots()


@pytest.mark.parametrize(("count", "gigabytes", "fit"), [(2, 24, 2), (8, 16, 4), (4, 3, 1)])
def test_a_small_model_takes_a_core_and_four_gigabytes(
    four_cores: pytest.MonkeyPatch, count: int, gigabytes: int, fit: int
) -> None:
    four_cores.setattr(slots, "cores", lambda: count)
    four_cores.setattr(slots, "memory_bytes", lambda: gigabytes * 2**30)
    assert len(find_slots()) == fit


def test_a_container_has_the_memory_that_it_is_limited_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(hardware, "_CONTAINER_LIMIT", limit)
    whole = hardware.memory_bytes()
    for written, wanted in (("1073741824\n", 2**30), ("max\n", whole), (f"{2**62}\n", whole)):
        limit.write_text(written)
        assert hardware.memory_bytes() == wanted


def test_after_its_slot_a_process_sees_what_it_saw_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may start the next worker, which has the whole machine."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    both = Slot("GPU 1", {"CUDA_VISIBLE_DEVICES": "1", "OMP_NUM_THREADS": "1"})
    with pytest.raises(KeyError), one_slot(tmp_path, [both], print):
        assert (os.environ["CUDA_VISIBLE_DEVICES"], os.environ["OMP_NUM_THREADS"]) == ("1", "1")
        raise KeyError
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1" and "OMP_NUM_THREADS" not in os.environ


def test_small_models_work_side_by_side_with_threads_of_their_own(
    tmp_path: Path, trivial: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two trainings at once on the cores of this machine; the worker that a job starts has them all again."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv(slots.CPU_SLOTS, "2")
    if slots.cores() < 2:
        pytest.skip("one core")
    root = trivial_root(tmp_path)
    save_file({"weights": np.zeros(9, np.float32)}, root / "data" / "models" / "tiny" / "model.safetensors")
    held = hold(root, "train")
    runs = prepare(root, spec_in(root, steps=4, seeds=(0, 1, 2)), ["launch"])
    worker = by_hand(root, "worker")
    wait_for(lambda: sum(bool(witnessed(run, "begin", "train")) for run in runs) == 2)
    worker.terminate()
    assert "cores 1 of 2, cores 2 of 2" in "".join(worker.communicate())
    held.unlink()
    wait_for(lambda: all(state_of(run).state == "done" for run in runs))
    end_all(root)
    begun = [one for run in runs for one in witnessed(run, "begin", "train")]
    assert {one["threads"] for one in begun} == {str(slots.cores() // 2)} and len(begun) == 3
    log = (root / "runs" / ".worker.log").read_text()
    assert "cores 1 of 2, cores 2 of 2" in log, "a job started the next worker"


def test_each_takes_a_free_slot_or_waits_with_a_notice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    said: list[str] = []
    got: list[Slot] = []

    def third() -> None:
        with one_slot(tmp_path, GPUS, said.append) as slot:
            got.append(slot)

    with one_slot(tmp_path, GPUS, said.append) as first:
        with one_slot(tmp_path, GPUS, said.append) as second:
            assert [first, second] == GPUS and said == []
            thread = threading.Thread(target=third)
            thread.start()
            wait_for(lambda: said == ["Waits for GPU 0 or GPU 1: other work of this project goes on there."])
            assert got == []
        thread.join(10)
        assert got == [second], "the one that became free"
        with all_slots(tmp_path, [Slot("all cores", {})], said.append):
            assert len(said) == 1, "another slot"
    with all_slots(tmp_path, GPUS, said.append), all_slots(tmp_path / "other", GPUS, said.append):
        assert len(said) == 1


def test_on_a_machine_without_gpus_heavy_work_takes_turns(
    tmp_path: Path, trivial: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rescoring, a repetition, a stage by hand and the queue at the same moment."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    root = trivial_root(tmp_path)
    (asked,) = prepare(root, spec_in(root, name="asked", steps=2), ["launch"])
    for stage in ("train", "infer"):
        by_hand(root, "run", "asked", "--of", "plain/0", "--stage", stage).communicate(timeout=60)
    runs = prepare(root, spec_in(root, steps=4, seeds=(0, 1, 2)), ["launch"], fresh_work=True)
    busy = [
        by_hand(root, "worker"),
        by_hand(root, "rescore", "asked"),
        by_hand(root, "check", "asked", "--repeat"),
        by_hand(root, "run", "trial", "--of", "plain/2", "--stage", "train"),
    ]
    said = [process.communicate(timeout=120)[1] for process in busy[1:]]
    wait_for(lambda: all(state_of(run).state == "done" for run in runs))
    end_all(root)
    busy[0].communicate()
    spans = sorted(span for run in [asked, *runs] for span in spans_of(run))
    assert [span[2] for span in spans].count("train") == 4 and len(spans) == 10
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(spans)), spans
    assert any("Waits for" in one and ": other work of this project goes on there." in one for one in said)


def by_hand(root: Path, *arguments: str) -> "subprocess.Popen[str]":
    return verb(root, *arguments, seconds="0.1")


def spans_of(run: Run) -> list[tuple[float, float, str]]:
    """Begin, end and kind of all heavy work on a run."""
    return [
        (begin["time"], end["time"], kind)
        for kind in ("train", "infer", "rescore", "repeat")
        for begin, end in zip(witnessed(run, "begin", kind), witnessed(run, "end", kind), strict=True)
    ]


def test_of_the_other_slots_those_are_held_that_are_free(tmp_path: Path) -> None:
    with one_slot(tmp_path, GPUS[:1], print), free_slots(tmp_path, GPUS, 2) as others:
        assert others == GPUS[1:]
        with free_slots(tmp_path, GPUS, 2) as none:
            assert none == []
    with free_slots(tmp_path, GPUS, 0) as none, free_slots(tmp_path, GPUS, 1) as first:
        assert (none, first) == ([], GPUS[:1])
    with free_slots(tmp_path, GPUS, 9) as both:
        assert both == GPUS
