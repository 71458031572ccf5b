"""Asking trained models of one engine once more: a sample with the same seed, or how likely each answer is.

What came of a repeated sample is written into `check.json` of each run: eval_seed, asked, equal, exact
(whether all must be equal: in float32, or where inference.deterministic is set), equal_to_base (None for a
model without a base). Rescoring asks about every answer that was given.
"""

import tempfile
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from core.experiments.launched_experiment import LaunchedExperiment
from core.inference.engines import open_engine
from core.inference.predict import Evaluation, Job, answer, predictions_path
from core.inference.requests import Engine
from core.inference.rescore import rescore
from core.pipeline.shared_engine import evaluation_of, forget_merged, what_answers
from core.pipeline.work import Progress
from core.prompts.vocabulary import load_tokenizer
from core.runs.layout import Run
from core.seeds import generator
from core.storage.files import write_json
from core.storage.schemas import PREDICTIONS, read_table

TASKS_OF_A_SAMPLE = 8


def repeat(experiment: LaunchedExperiment, runs: Sequence[Run]) -> None:
    """Answer a sample of the first evaluation of each run again, and write down what came of it."""
    model, adapters = what_answers(experiment, runs)
    with closing(open_engine(experiment.spec.evaluation.inference, model, list(adapters.values()))) as engine:
        chosen = generator(0, "repeat").permutation(len(experiment.evaluated))[:TASKS_OF_A_SAMPLE]
        tasks = [experiment.evaluated[place] for place in sorted(chosen.tolist())]
        seed = experiment.spec.eval_seeds[0]
        for run in runs:
            evaluation = evaluation_of(experiment, run, seed, tasks)
            before = _texts(run.predictions(seed))
            again = _answers(evaluation, engine, model, adapters.get(run))
            base = _answers(evaluation, engine, model, None) if run in adapters else None
            record = {
                "eval_seed": seed,
                "asked": len(again),
                "equal": _equal(again, before),
                "exact": engine.dtype == "float32" or experiment.spec.evaluation.inference.deterministic,
                "equal_to_base": None if base is None else _equal(base, again),
            }
            write_json(run.check_file, record)
            forget_merged(run)


def rescore_answers(
    experiment: LaunchedExperiment, runs: Sequence[Run], views: int, most: int, progress: Progress
) -> None:
    """Rescore the answers of all evaluations of each run, at most `most` of each output, in `views` views."""
    model, adapters = what_answers(experiment, runs)
    with closing(open_engine(experiment.spec.evaluation.inference, model, list(adapters.values()))) as engine:
        tokenizer = load_tokenizer(model)
        for run in runs:
            for seed in experiment.spec.eval_seeds:
                rescore(
                    evaluation_of(experiment, run, seed, experiment.evaluated),
                    engine,
                    tokenizer,
                    run.eval_folder(seed),
                    partial(_report, progress, f"{run.variant} seed {run.train_seed}, evaluation {seed}"),
                    adapter=adapters.get(run),
                    views=views,
                    most=most,
                )
            forget_merged(run)


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
