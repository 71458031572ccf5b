"""Asking trained models of one engine once more: a sample with the same seed, or how likely each answer is.

What came of a repeated sample is written into `check.json` of each run: eval_seed, asked, equal, exact
(whether all must be equal: in float32, or where inference.deterministic is set), equal_to_base (None for a
model without a base). Rescoring asks about every answer that was given.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from core.arc.tasks import Task
from core.experiments.launched_experiment import LaunchedExperiment
from core.inference.engines import open_engine
from core.inference.predict import Job, answer
from core.inference.prediction_parts import Evaluation, predictions_path
from core.inference.requests import Engine
from core.inference.rescore import rescore
from core.pipeline.answer_groups import asked_again, engines_of
from core.pipeline.shared_engine import evaluation_of, forget_merged, what_answers
from core.pipeline.work import Progress
from core.prompts.vocabulary import load_tokenizer
from core.runs.layout import Run
from core.seeds import generator
from core.storage.files import write_json
from core.storage.schemas import PREDICTIONS, read_table

TASKS_OF_A_SAMPLE = 8


Asked = tuple[Run, Sequence[Task], Path | None]
"""A run, some of its tasks, and the adapter that answers them; None where the engine's model does."""


def repeat(experiment: LaunchedExperiment, runs: Sequence[Run]) -> None:
    """Answer a sample of the first evaluation of each run again, and write down what came of it."""
    chosen = generator(0, "repeat").permutation(len(experiment.evaluated))[:TASKS_OF_A_SAMPLE]
    tasks = [experiment.evaluated[place] for place in sorted(chosen.tolist())]
    seed = experiment.spec.eval_seeds[0]
    found = {run: {"asked": 0, "equal": 0, "equal_to_base": 0, "with_adapter": 0} for run in runs}
    exact = experiment.spec.evaluation.inference.deterministic
    for engine, model, repeated in _engines(experiment, runs, tasks):
        exact = exact or engine.dtype == "float32"
        for run, own, adapter in repeated:
            evaluation, counts = evaluation_of(experiment, run, seed, own), found[run]
            again = _answers(evaluation, engine, model, adapter)
            counts["asked"] += len(again)
            counts["equal"] += _equal(again, _texts(run.predictions(seed)))
            if adapter is not None:
                counts["with_adapter"] += 1
                counts["equal_to_base"] += _equal(_answers(evaluation, engine, model, None), again)
    for run, counts in found.items():
        record = {
            "eval_seed": seed,
            "asked": counts["asked"],
            "equal": counts["equal"],
            "exact": exact,
            "equal_to_base": counts["equal_to_base"] if counts["with_adapter"] else None,
        }
        write_json(run.check_file, record)
        forget_merged(run)


def rescore_answers(
    experiment: LaunchedExperiment, runs: Sequence[Run], views: int, most: int, progress: Progress
) -> None:
    """Rescore the answers of all evaluations of each run, at most `most` of each output, in `views` views."""
    for engine, model, repeated in _engines(experiment, runs, experiment.evaluated):
        tokenizer = load_tokenizer(model)
        for run, own, adapter in repeated:
            for seed in experiment.spec.eval_seeds:
                rescore(
                    evaluation_of(experiment, run, seed, own),
                    engine,
                    tokenizer,
                    run.eval_folder(seed),
                    partial(_report, progress, f"{run.variant} seed {run.train_seed}, evaluation {seed}"),
                    adapter=adapter,
                    views=views,
                    most=most,
                )
    for run in runs:
        forget_merged(run)


def _engines(
    experiment: LaunchedExperiment, runs: Sequence[Run], tasks: Sequence[Task]
) -> Iterator[tuple[Engine, str, list[Asked]]]:
    """The engines that answer these tasks of the runs, one after another, with their models and whom each
    answers for. Raises `UserError` where one can't be had."""
    adapted = [run for run in runs if experiment.recipe_of(run).test_time is not None]
    for run in adapted:
        with asked_again(experiment, run, tasks) as answering:
            for engine, model, members in engines_of(experiment, answering):
                yield engine, model, [(run, one.tasks, one.adapter) for one in members]
    plain = [run for run in runs if run not in adapted]
    if plain:
        model, adapters = what_answers(experiment, plain)
        settings = experiment.spec.evaluation.inference
        with closing(open_engine(settings, model, list(adapters.values()))) as engine:
            yield engine, model, [(run, tasks, adapters.get(run)) for run in plain]


def _report(progress: Progress, name: str, record: dict[str, Any]) -> None:
    progress(name, record["step"], record["total"])


def _answers(
    evaluation: Evaluation, engine: Engine, model: str, adapter: Path | None
) -> dict[Any, str | None]:
    """The texts that come of the evaluation now, by attempt."""
    with tempfile.TemporaryDirectory() as folder:
        job = Job(evaluation, Path(folder), lambda _: None, adapter)
        for _, problem in answer([job], engine, load_tokenizer(model)):
            if problem is not None:
                raise problem
        return _texts(predictions_path(Path(folder)))


def _texts(predictions: Path) -> dict[Any, str | None]:
    columns = ("source", "task_id", "test_index", "attempt", "text")
    table = read_table(predictions, PREDICTIONS, columns)
    *keys, texts = (column.to_pylist() for column in table.columns)
    return dict(zip(zip(*keys, strict=True), texts, strict=True))


def _equal(some: dict[Any, str | None], others: dict[Any, str | None]) -> int:
    return sum(text == others.get(key) for key, text in some.items())
