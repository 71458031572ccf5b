"""Groups of one run in several slots of this machine: what one process makes, whatever ends in the middle."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from core.machine.processes import CODE, command_of
from core.machine.slots import CPU_SLOTS, Slot
from core.pipeline import local_shards
from core.pipeline.local_shards import in_parts
from core.pipeline.real_work import REAL_WORK
from core.pipeline.stages import run_stage
from core.runs.adapted import adapted_groups
from core.runs.layout import SHARDS, Run
from core.runs.progress import progress_of
from core.runs.state import state_of
from tests.patience import patience, wait_for
from tests.pipeline.test_adapt import prepared
from tests.pipeline.test_adapt import root as project_of_four_tasks

root = project_of_four_tasks
SLOTS = [Slot(f"cores {number} of 2", {"OMP_NUM_THREADS": "1"}) for number in (1, 2)]


def started(run: Run, stage: str) -> "subprocess.Popen[bytes]":
    """The process that does a stage in two parts, as the queue starts it."""
    verb = ["run", run.experiment, "--of", run.name, "--stage", stage, "--parts", "2"]
    environment = {**os.environ, CPU_SLOTS: "2"}
    return subprocess.Popen(command_of(verb, run.root), cwd=CODE, env=environment, start_new_session=True)


def parts_at_work(run: Run) -> list[psutil.Process]:
    found = psutil.process_iter(["cmdline"])
    return [one for one in found if {str(run.root), "--shard"} <= set(one.info["cmdline"] or [])]


@pytest.mark.engine
def test_killed_parts_leave_nothing_at_work_and_end_as_one_process_does(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run = prepared(root, groups=1, steps=40)
    whole = replace(run, root=tmp_path_factory.mktemp("whole"))
    shutil.copytree(root, whole.root, dirs_exist_ok=True)
    assert run_stage(whole, "adapt")

    process = started(run, "adapt")
    wait_for(lambda: len(parts_at_work(run)) == 2 and adapted_groups(run.folder))
    assert state_of(run).state == "running"
    process.kill()
    process.wait()
    wait_for(lambda: not parts_at_work(run), 10)
    assert not run.adapted_file.exists() and state_of(run).state == "failed"
    assert started(run, "adapt").wait() == 0, state_of(run).error
    assert state_of(run).stage == "infer"
    assert [one.weights for one in adapted_groups(run.folder)] == [
        one.weights for one in adapted_groups(whole.folder)
    ]
    told = progress_of(run, "adapt")
    assert told and told[-1]["step"] == told[-1]["total"] == 4
    assert not (run.folder / SHARDS).exists()


def worked_by(monkeypatch: pytest.MonkeyPatch, *codes: str) -> None:
    """Let the parts be processes of this Python code, one after the other."""
    commands = iter([sys.executable, "-c", f"import os, time; {code}"] for code in codes)
    monkeypatch.setattr(local_shards, "command_of", lambda *_: next(commands))


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (f"os.kill(os.getpid(), {int(signal.SIGKILL)})", "one ended with SIGKILL, and the others were ended"),
        ("exit(3)", "one ended with exit code 3, and the others were ended"),
    ],
)
def test_a_part_that_ends_badly_ends_the_others_at_once(
    root: Path, monkeypatch: pytest.MonkeyPatch, code: str, error: str
) -> None:
    run = prepared(root, groups=1)
    worked_by(monkeypatch, "time.sleep(300)", code)
    began = time.monotonic()
    assert not run_stage(run, "adapt", in_parts(REAL_WORK, SLOTS))
    assert error in (state_of(run).error or "") and state_of(run).state == "failed"
    assert time.monotonic() - began < 20 * patience()
    assert not [one for one in psutil.Process().children() if "time.sleep(300)" in " ".join(one.cmdline())]


def test_the_sentence_of_a_part_is_that_of_the_run(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = prepared(root, groups=1)
    file = run.folder / SHARDS / "adapt-2-of-2.json"
    said = '{"step": 0, "total": 2, "error": "Why. Do this."}'
    folder = f"os.makedirs({str(file.parent)!r}, exist_ok=True)"
    written = f"{folder}; open({str(file)!r}, 'w').write({said!r}); exit(1)"
    worked_by(monkeypatch, "time.sleep(300)", written)
    assert not run_stage(run, "adapt", in_parts(REAL_WORK, SLOTS))
    assert state_of(run).error == "Why. Do this."


def test_a_stopped_run_waits_for_its_parts_to_keep_what_they_have(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = prepared(root, groups=1)
    kept = root / "kept"
    slow = f"time.sleep(2); open({str(kept)!r}, 'w').write('kept'); exit(1)"
    worked_by(monkeypatch, f"open({str(run.stop_file)!r}, 'w').close(); time.sleep(300)", slow)
    assert not run_stage(run, "adapt", in_parts(REAL_WORK, SLOTS))
    assert state_of(run).state == "cancelled" and kept.exists()


def test_one_group_or_one_slot_is_done_in_this_process(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worked_by(monkeypatch)
    run = prepared(root, groups="all")
    assert run_stage(run, "adapt", in_parts(REAL_WORK, SLOTS))
    assert in_parts(REAL_WORK, SLOTS[:1]) is REAL_WORK
