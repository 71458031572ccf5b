"""Pretended work: a stage reports a few steps and leaves the files that a stage leaves, without content.

Launch, worker, processes, locks and states are the real ones, so it shows what these cost by themselves.
"""

from core.experiments.launched_experiment import LaunchedExperiment
from core.pipeline.work import Work, all_together, one_by_one
from core.runs.layout import Run
from core.runs.reporter import Reporter
from core.storage.files import write_text
from core.storage.schemas import PREDICTIONS, SCORES, write_table


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
