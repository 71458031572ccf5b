"""The command line with stages that take moments: `python -m tests.pipeline.trivial VERB ARGUMENTS…`.

Everything but the work itself is real: launch, queue, worker, processes, locks, states. A stage reports
`training.steps` steps, goes on from its checkpoint, and leaves the files that a stage leaves. It notes in
`witness.jsonl` when it begins and ends, and `TWICE` where another process works on the same run meanwhile.
Workers look more often than real ones, so that nobody waits for them.
"""

import ctypes
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from core.__main__ import main
from core.errors import Stopped
from core.experiments.launched_experiment import LaunchedExperiment
from core.launching import worker
from core.machine import processes
from core.pipeline.work import Work, all_together, one_by_one
from core.pipeline.work_registry import VARIABLE, register_work
from core.runs import reporter
from core.runs.done import Stage
from core.runs.layout import Run
from core.runs.reporter import Reporter
from core.storage.files import append_record, read_records, write_text, writing
from tests.training.tiny import tiny_root

MODULE = "tests.pipeline.trivial"
SECONDS = "TRIVIAL_SECONDS_PER_STEP"
HOLDS_AT = 2
PACES: tuple[tuple[Any, str, float], ...] = (
    (worker, "SECONDS_BETWEEN_ROUNDS", 0.5),
    (worker, "SECONDS_BETWEEN_LOOKS", 0.05),
    (reporter, "SECONDS_BETWEEN_STATES", 0.0),
)
"""How often this project looks, so that nobody waits."""


def trivial_root(root: Path) -> Path:
    """A project with a source `toy` and a model `tiny` that nobody may load."""
    tiny_root(root, model=False)
    model = root / "data" / "models" / "tiny"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"")
    return root


def witnessed(run: Run, what: str, stage: str) -> list[dict[str, Any]]:
    """What stage processes noted of a run."""
    found = read_records(run.folder / "witness.jsonl")
    return [record for record in found if (record["what"], record["stage"]) == (what, stage)]


def of_project(root: Path) -> list[psutil.Process]:
    """The processes of this module that work on a project."""
    found = psutil.process_iter(["cmdline"])
    return [process for process in found if {MODULE, str(root)} <= set(process.info["cmdline"] or [])]


def end_all(root: Path) -> None:
    """End what still works on a project, when a test is over."""
    for process in of_project(root):
        process.kill()
    psutil.wait_procs(of_project(root), timeout=10)


def _trivial(stage: Stage, results: Any) -> Any:
    def work(experiment: LaunchedExperiment, run: Run, report: Reporter) -> None:
        guard = run.folder / "at-work"
        try:
            descriptor = os.open(guard, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            os.write(descriptor, str(os.getpid()).encode())
            os.close(descriptor)
        except FileExistsError:
            other = Path(f"/proc/{guard.read_text()}/cmdline")
            if other.exists() and b"trivial" in other.read_bytes():
                _note(run, "TWICE", stage)
            guard.write_text(str(os.getpid()))
        _note(run, "begin", stage)
        checkpoint = run.checkpoint / "step"
        total = experiment.recipe_of(run).training.steps
        first = int(checkpoint.read_text()) if stage == "train" and checkpoint.exists() else 0
        for step in range(first + 1, total + 1):
            time.sleep(float(os.environ.get(SECONDS, "0.02")))
            if step == HOLDS_AT + 1:
                _wait(run, stage)
            try:
                report(
                    {
                        "step": step,
                        "total": total,
                        "loss": 1 / step,
                        "tokens_per_second": 100.0,
                        "eta_seconds": 0.0,
                    }
                )
            except Stopped:
                write_text(checkpoint, str(step))
                raise
        for name in results(experiment.spec):
            with writing(run.folder / name) as temporary:
                if stage == "train":  # a folder, whole or not at all
                    temporary.mkdir()
                text = json.dumps({"pid": os.getpid()})
                (temporary / "adapter_model.safetensors" if stage == "train" else temporary).write_text(text)
        _note(run, "end", stage)
        guard.unlink(missing_ok=True)

    return one_by_one(work)


def hold(root: Path, stage: str, how: str = "hold") -> Path:
    """Let every run stand still in this stage, after its second step, until the file is gone. It beats and
    hears a stop meanwhile; how "hang", it does neither, as a process that hangs."""
    path = root / f"{how}-{stage}"
    path.touch()
    return path


def _wait(run: Run, stage: str) -> None:
    if (run.root / f"hang-{stage}").exists():
        (run.root / f"hang-{stage}").unlink()
        ctypes.PyDLL(None).sleep(600)  # without letting go of the interpreter, so that no thread runs
    while (run.root / f"hold-{stage}").exists() and run.folder.exists() and not run.stop_file.exists():
        time.sleep(0.02)


def _note(run: Run, what: str, stage: str) -> None:
    record = {"what": what, "stage": stage, "pid": os.getpid(), "time": time.time()}
    gpu = os.environ.get("CUDA_VISIBLE_DEVICES")
    threads = os.environ.get("OMP_NUM_THREADS")
    append_record(run.folder / "witness.jsonl", {**record, "gpu": gpu, "threads": threads})


def _evaluations(name: str) -> Any:
    return lambda spec: [f"eval-{seed}/{name}.parquet" for seed in spec.eval_seeds]


def _once_more(what: str) -> Any:
    def work(_: LaunchedExperiment, runs: Sequence[Run], *_more: Any) -> None:
        for run in runs:
            _note(run, "begin", what)
            time.sleep(20 * float(os.environ.get(SECONDS, "0.02")))
            _note(run, "end", what)

    return work


TRIVIAL_WORK = register_work(
    Work(
        "trivial",
        {
            "train": _trivial("train", lambda _: ["adapter"]),
            "infer": _trivial("infer", _evaluations("predictions")),
            "score": _trivial("score", _evaluations("scores")),
        },
        together={"infer": all_together},
        repeat=_once_more("repeat"),
        rescore=_once_more("rescore"),
    )
)


def make_trivial() -> None:
    """Let this process, and those that it starts, launch trivial work, and look often."""
    processes.MODULE = MODULE
    os.environ[VARIABLE] = TRIVIAL_WORK.name
    for module, name, seconds in PACES:
        setattr(module, name, seconds)


if __name__ == "__main__":
    make_trivial()
    main()
