"""Inference after test-time training: every task is answered by what its group was trained to.

Adapters of one run are served by one engine; so are models of one shape, whose weights it loads in turn. A
group that had nothing to learn from is answered by the run's model. What groups answered lies apart until all
have.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from core.arc.tasks import Task
from core.experiments.launched_experiment import LaunchedExperiment
from core.experiments.provenance import add_to_record
from core.inference.predict import Job, answer
from core.inference.prediction_parts import predictions_path
from core.inference.requests import Engine
from core.machine.pace import Pace
from core.pipeline.adapt import base_of, forget_weights, settings_of, weights_of
from core.pipeline.shared_engine import evaluation_of
from core.runs.layout import Run
from core.runs.reporter import Reporter
from core.storage.schemas import PREDICTIONS, read_tables, write_table

GROUPS = "groups"


@dataclass(frozen=True)
class Answerer:
    """Some tasks of a run, the model that an engine loads to answer them, and the adapter on it, if any."""

    group: str
    tasks: tuple[Task, ...]
    model: str
    adapter: Path | None


def answerers(experiment: LaunchedExperiment, run: Run, tasks: Sequence[Task]) -> list[Answerer]:
    """Who answers these tasks; those of one model follow each other. Raises `UserError` like `weights_of`."""
    full = settings_of(experiment, run).method == "full"
    base = base_of(experiment, run)
    found = []
    for group, weights in weights_of(experiment, run, tasks):
        model = str(weights) if full and weights is not None else base
        found.append(Answerer(group.name, group.tasks, model, None if full else weights))
    return sorted(found, key=lambda one: one.model)


def engines_of(
    experiment: LaunchedExperiment, answering: Sequence[Answerer]
) -> Iterator[tuple[Engine, str, list[Answerer]]]:
    """Each model in turn, an engine that answers by it, and those that it answers for. One engine loads model
    after model while their shapes are equal; it is closed before another is opened."""
    from core.inference.engines import open_engine

    settings = experiment.spec.evaluation.inference
    with ExitStack() as opened:
        engine: Engine | None = None
        for model, group in groupby(answering, key=lambda one: one.model):
            members = list(group)
            adapters = [one.adapter for one in members if one.adapter is not None]
            if engine is None or adapters or not engine.load(model):
                opened.close()
                engine = opened.enter_context(closing(open_engine(settings, model, adapters)))
            yield engine, model, members


def answer_adapted(experiment: LaunchedExperiment, run: Run, report: Reporter) -> None:
    """Answer what is missing of a run; then what its groups were trained to goes, unless it is kept."""
    answer_tasks(experiment, run, experiment.evaluated, run.eval_folder, report)
    forget_weights(experiment, run)


def answer_tasks(
    experiment: LaunchedExperiment,
    run: Run,
    tasks: Sequence[Task],
    folder_of: Callable[[int], Path],
    report: Callable[[dict[str, Any]], None],
    *,
    first: bool = True,
) -> None:
    """Answer these tasks in every evaluation that has no predictions in its folder. The first of several
    parts writes into the run's record by which engine."""
    from core.prompts.vocabulary import load_tokenizer

    seeds = [
        seed
        for seed in experiment.spec.eval_seeds
        if not (run.predictions(seed).exists() or predictions_path(folder_of(seed)).exists())
    ]
    if not seeds:
        return
    attempts = sum(len(task.test) for task in tasks) * experiment.spec.evaluation.inference.attempts
    progress = _Together(report, attempts * len(seeds))
    answering = answerers(experiment, run, tasks)
    for engine, model, members in engines_of(experiment, answering):
        if first:
            named = {"name": engine.name, "version": engine.version, "dtype": engine.dtype}
            add_to_record(run, engine={**named, "merged_because": None})
        jobs = (
            Job(
                evaluation_of(experiment, run, seed, one.tasks),
                folder_of(seed) / GROUPS / one.group,
                progress.of((seed, one.group)),
                one.adapter,
            )
            for seed in seeds
            for one in members
        )
        for _, problem in answer(jobs, engine, load_tokenizer(model)):
            if problem is not None:
                raise problem
    for seed in seeds:
        _put_together(folder_of(seed), [one.group for one in answering])


def _put_together(folder: Path, groups: Sequence[str]) -> None:
    """The predictions of all groups as one file; the parts go."""
    parts = [predictions_path(folder / GROUPS / group) for group in groups]
    table = read_tables(parts, PREDICTIONS)
    keys = [(name, "ascending") for name in ("source", "task_id", "test_index", "attempt")]
    write_table(predictions_path(folder), table.sort_by(keys), PREDICTIONS)
    shutil.rmtree(folder / GROUPS, ignore_errors=True)


@contextmanager
def asked_again(experiment: LaunchedExperiment, run: Run, tasks: Sequence[Task]) -> Iterator[list[Answerer]]:
    """Who answers these tasks of a run that is answered already; what was made anew for it goes again."""
    try:
        yield answerers(experiment, run, tasks)
    finally:
        forget_weights(experiment, run)


class _Together:
    """The progress of many small evaluations as that of one."""

    def __init__(self, report: Callable[[dict[str, Any]], None], total: int) -> None:
        self.report, self.total = report, total
        self.steps: dict[Any, int] = {}
        self.tokens: dict[Any, int] = {}
        self.pace = Pace()

    def of(self, key: tuple[int, str]) -> Callable[[dict[str, Any]], None]:
        """What one of them reports to."""

        def report(record: dict[str, Any]) -> None:
            self.steps[key], self.tokens[key] = record["step"], record["tokens"]
            done = sum(self.steps.values())
            tokens = sum(count for (seed, _), count in self.tokens.items() if seed == key[0])
            left = self.pace.seconds_left(done, self.total)
            whole = {"step": done, "total": self.total, "tokens": tokens, "eta_seconds": left}
            self.report({**record, **whole})

        return report
