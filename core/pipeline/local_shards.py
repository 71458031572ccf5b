"""A stage in parts on this machine: a process for each part, each in a slot of its own.

The parts belong to this process's group and end with it. They write into the run's log; its state is ours.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from core.errors import Stopped, UserError
from core.experiments.launched_experiment import LaunchedExperiment
from core.machine.pace import Pace
from core.machine.processes import CODE, command_of
from core.machine.slots import Slot
from core.pipeline.executor import end_of
from core.pipeline.job_order import most_parts
from core.pipeline.real_work import REAL_WORK
from core.pipeline.shards import Shard, progress_of_shards, shards
from core.pipeline.work import StageWork, Work, one_by_one
from core.runs.done import STAGES_IN_PARTS, Stage
from core.runs.layout import SHARDS, Run
from core.runs.reporter import Reporter

SECONDS_BETWEEN_LOOKS = 0.5


def in_parts(work: Work, slots: Sequence[Slot]) -> Work:
    """The same work, where a run's groups are adapted and answered in all of these slots at a time."""
    if len(slots) < 2 or work is not REAL_WORK:
        return work
    parted = {stage: _parted(stage, work.stages[stage], slots) for stage in STAGES_IN_PARTS}
    return replace(work, stages={**work.stages, **parted})


def _parted(stage: Stage, whole: StageWork, slots: Sequence[Slot]) -> StageWork:
    def each(experiment: LaunchedExperiment, run: Run, report: Reporter) -> None:
        used = slots[: most_parts(run, stage)]
        if len(used) > 1:
            _side_by_side(run, stage, report, used)
        else:
            for _, problem in whole(experiment, [(run, report)]):
                if problem is not None:
                    raise problem

    return one_by_one(each)


def _side_by_side(run: Run, stage: Stage, report: Reporter, slots: Sequence[Slot]) -> None:
    """Start a process for each part and wait for all of them; where one ends badly the others are ended.
    Raises `UserError` with the sentence of one that failed, and `Stopped` where a person stopped the run."""
    parts = shards(len(slots))
    shutil.rmtree(run.folder / SHARDS, ignore_errors=True)  # what an earlier try said of itself
    processes = [_start(run, stage, part, slot) for part, slot in zip(parts, slots, strict=True)]
    codes: list[int | None] = [None]
    pace, reached = Pace(), None
    try:
        while not any(codes) and None in codes:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            codes = [process.poll() for process in processes]
            said = progress_of_shards(run, stage, len(parts))
            step, total = said["step"], said["total"]
            if total is not None and step != reached:
                reached, left = step, pace.seconds_left(step, total)
                speed = said["tokens_per_second"]
                with suppress(Stopped):  # the parts see it too, and keep what they have reached
                    report({"step": step, "total": total, "tokens_per_second": speed, "eta_seconds": left})
    finally:
        for process in processes:
            process.kill()
            process.wait()
    if any(codes) and run.stop_file.exists():
        raise Stopped
    if any(codes):
        ends = " and ".join(filter(None, map(end_of, codes)))
        raise UserError(
            said["error"]
            or f"Of the {len(parts)} processes that share the stage {stage} one ended with {ends}, and the"
            " others were ended. The log says why; launch again."
        )
    shutil.rmtree(run.folder / SHARDS)


def _start(run: Run, stage: Stage, part: Shard, slot: Slot) -> "subprocess.Popen[bytes]":
    verb = ["run", run.experiment, "--of", run.name, "--stage", stage, "--shard", str(part), "--with-parent"]
    return subprocess.Popen(
        command_of(verb, run.root), cwd=CODE, env={**os.environ, **slot.environment}, stdin=subprocess.DEVNULL
    )
