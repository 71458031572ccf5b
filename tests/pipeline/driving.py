"""What fault tests do to a project of trivial stages: launch, look, wait, kill."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import yaml

from core.launching.launch import launch
from core.runs.done import STAGES, stages_left
from core.runs.layout import Run
from core.runs.state import read_state, state_of
from core.runs.supervisors import worker_of
from core.specs.spec import ExperimentSpec, read_spec
from tests.patience import wait_for
from tests.pipeline.trivial import HOLDS_AT, MODULE, SECONDS, hold, witnessed
from tests.training.tiny import tiny_spec

REPOSITORY = Path(__file__).resolve().parents[2]
QUICK = "0.01"


def spec_in(
    root: Path, *, steps: int = 5, seeds: tuple[int, ...] = (0,), name: str = "trial"
) -> ExperimentSpec:
    """A spec of one variant in data/experiments."""
    plain = tiny_spec(name=name, train_seeds=list(seeds))
    plain["recipe"]["training"]["steps"] = steps
    path = root / "data" / "experiments" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(plain))
    return read_spec(path)


def verb(root: Path, *arguments: str, seconds: str = QUICK) -> "subprocess.Popen[str]":
    """A verb as a person types it, but with trivial stages."""
    return subprocess.Popen(
        [sys.executable, "-m", MODULE, *arguments, "--root", str(root)],
        cwd=REPOSITORY,
        env={**os.environ, SECONDS: seconds},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )


@contextmanager
def sleeper() -> "Iterator[subprocess.Popen[bytes]]":
    """A process that leads its own group and does nothing; it ends with the block, also where that fails."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def at_work(run: Run, stage: str) -> bool:
    """Whether a run has come to the step of a stage at which it can be held."""
    said = read_state(run)
    reached = said is not None and (said.step or 0) >= HOLDS_AT
    return reached and (said.state, said.stage) == ("running", stage)  # type: ignore[union-attr]


def launched_and_held(
    root: Path, stage: str, seeds: tuple[int, ...] = (0,)
) -> tuple[list[Run], ExperimentSpec, Path]:
    """The runs of a launched spec, of which the first has come to a stage and stands still there until the
    file is gone."""
    spec, held = spec_in(root, seeds=seeds), hold(root, stage)
    runs = launch(root, spec, ["launch"])
    wait_for(lambda: at_work(runs[0], stage))
    return runs, spec, held


def all_done(runs: list[Run]) -> bool:
    return all(state_of(run).state == "done" for run in runs)


def check_whole(runs: list[Run], spec: ExperimentSpec) -> None:
    """Everything is finished, nothing was done by two processes at once, and no stage was finished twice."""
    for run in runs:
        assert stages_left(run, spec) == []
        assert [witnessed(run, "TWICE", stage) for stage in STAGES] == [[], [], []]
        assert [len(witnessed(run, "end", stage)) for stage in STAGES] == [1, 1, 1]


def end_whole(runs: list[Run], spec: ExperimentSpec) -> None:
    """See the runs through to their end, and check it."""
    wait_for(lambda: all_done(runs))
    check_whole(runs, spec)


def pid_of(run: Run) -> int:
    """The process that says that it works on a run."""
    said = read_state(run)
    assert said is not None and said.pid is not None
    return said.pid


def kill(pid: int) -> None:
    """Kill a process and its group, and see it gone, which takes a while on a busy machine."""
    os.killpg(pid, signal.SIGKILL)
    wait_for(lambda: is_gone(pid))


def is_gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def kill_worker(root: Path) -> None:
    living = worker_of(root)
    assert living is not None
    kill(living.pid)
