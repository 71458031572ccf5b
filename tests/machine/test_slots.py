"""One slot, one heavy process: what the queue starts and what a person asks for take turns."""

import itertools
import subprocess
import threading
from pathlib import Path

import pytest

from core.errors import UserError
from core.launching.launch import prepare
from core.machine import slots
from core.machine.slots import Slot, all_slots, find_slots, one_slot
from core.runs.layout import Run
from core.runs.state import state_of
from tests.patience import wait_for
from tests.pipeline.driving import spec_in, verb
from tests.pipeline.trivial import end_all, trivial_root, witnessed

GPUS = [Slot("GPU 0", {"CUDA_VISIBLE_DEVICES": "0"}), Slot("GPU 1", {"CUDA_VISIBLE_DEVICES": "1"})]


@pytest.mark.parametrize(("version", "count"), [("2.13.0", 2), ("2.13.0+cu130", 2), ("2.13.0+cpu", 0)])
def test_gpus_are_slots_only_where_the_installed_torch_computes_on_them(
    monkeypatch: pytest.MonkeyPatch, version: str, count: int
) -> None:
    """The CPU engine on a machine with two GPUs would otherwise run two jobs on the same cores."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(slots, "list_gpus", lambda: ["H100, 80 GB", "H100, 80 GB"])
    monkeypatch.setattr(slots.metadata, "version", lambda _: version)
    assert find_slots() == (GPUS if count else [Slot("all cores", {})])
    assert find_slots("0,1") == GPUS, "what is named is taken"


def test_small_models_share_the_cores_of_a_machine_without_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "list_gpus", list)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(slots, "cores", lambda: 4)
    for count, threads in ((2, "2"), (3, "1"), (4, "1")):
        monkeypatch.setenv(slots.CPU_SLOTS, str(count))
        shared = find_slots()
        assert len({slot.name for slot in shared}) == count
        assert {slot.environment["OMP_NUM_THREADS"] for slot in shared} == {threads}
        with monkeypatch.context() as job:  # which sees its own slot alone, so that it waits for no other
            job.setenv(slots.CPU_SLOT, shared[-1].environment[slots.CPU_SLOT])
            assert find_slots() == shared[-1:]
    for wrong in ("0", "5", "-1", "two", "", "9" * 5000):
        monkeypatch.setenv(slots.CPU_SLOTS, wrong)
        with pytest.raises(UserError, match="Set it to a number from 1 to 4, the cores here"):
            find_slots()


@pytest.mark.parametrize(("count", "gigabytes", "fit"), [(2, 24, 2), (8, 16, 4), (4, 3, 1)])
def test_a_small_model_takes_a_core_and_four_gigabytes(
    monkeypatch: pytest.MonkeyPatch, count: int, gigabytes: int, fit: int
) -> None:
    monkeypatch.setattr(slots, "hardware", lambda: {"cores": count, "memory_bytes": gigabytes * 2**30})
    assert slots.room_for_small_models() == fit


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
    assert any("Waits for all cores: other work of this project goes on there." in one for one in said)


def by_hand(root: Path, *arguments: str) -> "subprocess.Popen[str]":
    return verb(root, *arguments, seconds="0.1")


def spans_of(run: Run) -> list[tuple[float, float, str]]:
    """Begin, end and kind of all heavy work on a run."""
    return [
        (begin["time"], end["time"], kind)
        for kind in ("train", "infer", "rescore", "repeat")
        for begin, end in zip(witnessed(run, "begin", kind), witnessed(run, "end", kind), strict=True)
    ]
