"""Kinds of work by name. The record of a run (`work` in `run.json`) names its kind.

`real` trains, answers and scores. `pretended` reports a few steps and leaves the files that a stage leaves,
without content: launch, worker, processes, locks and states are the real ones, so it shows what these cost by
themselves. Another kind is registered by whoever needs it, before its runs are launched.
"""

import os

from core.errors import UserError
from core.experiments.launched_experiment import LaunchedExperiment
from core.pipeline.real_work import REAL_WORK
from core.pipeline.work import Work, all_together, one_by_one
from core.runs.layout import Run
from core.runs.record import read_record
from core.runs.reporter import Reporter
from core.storage.files import write_text
from core.storage.schemas import PREDICTIONS, SCORES, write_table

VARIABLE = "ARC_WORKBENCH_WORK"
"""The environment variable that names the kind of work of what is launched; `real` without it."""


def _report(experiment: LaunchedExperiment, run: Run, report: Reporter) -> None:
    steps = experiment.recipe_of(run).training.steps
    for step in range(1, steps + 1):
        report({"step": step, "total": steps, "loss": 1 / step})


def _train(experiment: LaunchedExperiment, run: Run, report: Reporter) -> None:
    _report(experiment, run, report)
    weights = run.adapter if experiment.recipe_of(run).training.method == "lora" else run.model
    write_text(weights / "pretended.json", "{}")


def _adapt(experiment: LaunchedExperiment, run: Run, report: Reporter) -> None:
    _report(experiment, run, report)
    write_text(run.adapted_file, "[]")


def _infer(experiment: LaunchedExperiment, run: Run, report: Reporter) -> None:
    _report(experiment, run, report)
    for seed in experiment.spec.eval_seeds:
        write_table(run.predictions(seed), PREDICTIONS.empty_table(), PREDICTIONS)


def _score(experiment: LaunchedExperiment, run: Run, report: Reporter) -> None:
    _report(experiment, run, report)
    for seed in experiment.spec.eval_seeds:
        write_table(run.scores(seed), SCORES.empty_table(), SCORES)


PRETENDED_WORK = Work(
    "pretended",
    {
        "train": one_by_one(_train),
        "adapt": one_by_one(_adapt),
        "infer": one_by_one(_infer),
        "score": one_by_one(_score),
    },
    together={"infer": all_together},
)

_KINDS = {work.name: work for work in (REAL_WORK, PRETENDED_WORK)}


def register_work(work: Work) -> Work:
    """Let runs name this kind of work."""
    _KINDS[work.name] = work
    return work


def work_named(name: str) -> Work:
    """The kind of work of that name. Raises `UserError` where this process knows none."""
    if name not in _KINDS:
        raise UserError(f"There is no kind of work '{name}'. Known: {', '.join(sorted(_KINDS))}.")
    return _KINDS[name]


def work_of(run: Run) -> Work:
    """The kind of work that a run was launched with. Raises `UserError` where its record can't be read."""
    return work_named(read_record(run).get("work") or REAL_WORK.name)


def wanted_work() -> str:
    """The kind of work that this process launches: what `VARIABLE` names, else real. Raises `UserError` for
    an unknown name."""
    return work_named(os.environ.get(VARIABLE, REAL_WORK.name)).name
