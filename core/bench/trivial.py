"""The command line with stages that take no time: `python -m core.bench.trivial VERB ARGUMENTS…`.

For measuring what the queue and its processes cost by themselves: launch, worker, processes, locks and states
are the real ones, a stage reports a few steps and leaves the files that a stage leaves, empty.
"""

import runpy
from collections.abc import Sequence

from core.machine import processes
from core.pipeline import stages
from core.runs.layout import Run
from core.runs.reporter import Reporter
from core.specs.spec import ExperimentSpec
from core.storage.files import write_text
from core.storage.schemas import PREDICTIONS, SCORES, write_table

MODULE = "core.bench.trivial"


def _report(run: Run, spec: ExperimentSpec, report: Reporter) -> None:
    steps = spec.recipe_of(run.variant).training.steps
    for step in range(1, steps + 1):
        report({"step": step, "total": steps, "loss": 1 / step})


def _train(run: Run, spec: ExperimentSpec, report: Reporter) -> None:
    _report(run, spec, report)
    write_text(run.adapter / "adapter_config.json", "{}")


def _infer(run: Run, spec: ExperimentSpec, report: Reporter) -> None:
    _report(run, spec, report)
    for seed in spec.eval_seeds:
        write_table(run.predictions(seed), PREDICTIONS.empty_table(), PREDICTIONS)


def _score(run: Run, spec: ExperimentSpec, report: Reporter) -> None:
    _report(run, spec, report)
    for seed in spec.eval_seeds:
        write_table(run.scores(seed), SCORES.empty_table(), SCORES)


def _infer_together(runs: Sequence[Run], spec: ExperimentSpec) -> None:
    for run in runs:
        stages._run_stage(run, spec, "infer")  # noqa: SLF001


if __name__ == "__main__":
    processes.MODULE = MODULE  # what the worker starts is trivial too
    stages._WORK.update({"train": _train, "infer": _infer, "score": _score})  # noqa: SLF001
    stages._infer_together = _infer_together  # noqa: SLF001
    runpy.run_module("core", run_name="__main__")
