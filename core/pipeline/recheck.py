"""Trained models are asked once more: is inference deterministic, and how likely is each answer?

A sample of an evaluation is asked again with its seed. The base model is asked the same, so that an adapter
that changes nothing is found. What came of it stands in `check.json` of each run: eval_seed, asked, equal,
exact (whether all must be equal: in float32, or where inference.deterministic is set), equal_to_base (None
for a model without a base). Rescoring asks about every answer that was given.
"""

import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.inference.engines import open_engine
from core.inference.predict import Evaluation, Job, answer, predictions_path
from core.inference.requests import Engine
from core.inference.rescore import rescore
from core.machine.slots import Say, find_slots, one_slot
from core.pipeline.shared_engine import engine_groups, forget_merged, what_answers
from core.pipeline.stages import launched_spec
from core.prompts.vocabulary import load_tokenizer
from core.runs.done import is_done
from core.runs.layout import Run, runs_folder
from core.runs.listing import list_runs
from core.seeds import generator
from core.specs.spec import ExperimentSpec, evaluated_tasks
from core.storage.files import write_json
from core.storage.schemas import PREDICTIONS, read_table

TASKS_ASKED_AGAIN = 8


def repeat_evaluations(root: Path, experiment: str, say: Say = lambda _: None) -> int:
    """Repeat a sample of the first evaluation of every answered run and note what came of it; how many runs.

    Where other work goes on it waits, and says so. Raises `UserError` where no run is answered yet or a
    model can't be served.
    """
    spec, answered = _answered(root, experiment)
    with one_slot(runs_folder(root), find_slots(), say):
        for group in engine_groups(answered, spec):
            _repeat(group, spec)
    return len(answered)


def _answered(root: Path, experiment: str) -> tuple[ExperimentSpec, list[Run]]:
    """The runs whose predictions are all there, with their spec."""
    runs = list_runs(root, experiment)
    spec = launched_spec(runs[0]) if runs else None
    answered = [run for run in runs if spec and is_done(run, spec, "infer")]
    if spec is None or not answered:
        raise UserError(
            f"No run of '{experiment}' is answered yet, so nothing can be repeated."
            f" See how far they are: python -m core runs list {experiment}"
        )
    return spec, answered


def rescore_experiment(
    root: Path,
    experiment: str,
    views: int,
    most: int,
    progress: Callable[[str, int, int | None], None],
    say: Say = lambda _: None,
) -> int:
    """Rescore the answers of every answered run; how many evaluations have their candidates now.

    Where other work goes on it waits, and says so. Raises `UserError` where no run is answered yet or a
    model can't be served.
    """
    spec, answered = _answered(root, experiment)
    with one_slot(runs_folder(root), find_slots(), say):
        for group in engine_groups(answered, spec):
            left = [run for run in group if not all(_is_rescored(run, seed) for seed in spec.eval_seeds)]
            if left:
                _rescore(left, spec, views, most, progress)
    return len(answered) * len(spec.eval_seeds)


def _is_rescored(run: Run, eval_seed: int) -> bool:
    return run.candidates(eval_seed).exists()


def _rescore(
    runs: list[Run],
    spec: ExperimentSpec,
    views: int,
    most: int,
    progress: Callable[[str, int, int | None], None],
) -> None:
    model, adapters = what_answers(runs, spec)
    with closing(open_engine(spec.evaluation.inference, model, list(adapters.values()))) as engine:
        tokenizer = load_tokenizer(model)
        tasks = evaluated_tasks(runs[0].root, spec.evaluation)
        for run in runs:
            for eval_seed in spec.eval_seeds:
                name = f"{run.variant} seed {run.train_seed}, evaluation {eval_seed}"
                evaluation = Evaluation(
                    *(run.experiment, run.variant, run.train_seed, eval_seed),
                    tasks=tasks,
                    settings=spec.evaluation.inference,
                    prompt=spec.recipe_of(run.variant).prompt,
                )
                rescore(
                    evaluation,
                    engine,
                    tokenizer,
                    run.eval_folder(eval_seed),
                    lambda record, name=name: progress(name, record["step"], record["total"]),  # type: ignore[misc]
                    adapter=adapters.get(run),
                    views=views,
                    most=most,
                )
            forget_merged(run)


def _repeat(runs: list[Run], spec: ExperimentSpec) -> None:
    model, adapters = what_answers(runs, spec)
    with closing(open_engine(spec.evaluation.inference, model, list(adapters.values()))) as engine:
        tasks = evaluated_tasks(runs[0].root, spec.evaluation)
        chosen = generator(0, "repeat").permutation(len(tasks))[:TASKS_ASKED_AGAIN]
        for run in runs:
            evaluation = Evaluation(
                *(run.experiment, run.variant, run.train_seed, spec.eval_seeds[0]),
                tasks=[tasks[place] for place in sorted(chosen.tolist())],
                settings=spec.evaluation.inference,
                prompt=spec.recipe_of(run.variant).prompt,
            )
            before = _texts(run.predictions(spec.eval_seeds[0]))
            again = _asked(evaluation, engine, model, adapters.get(run))
            base = _asked(evaluation, engine, model, None) if run in adapters else None
            record = {
                "eval_seed": spec.eval_seeds[0],
                "asked": len(again),
                "equal": _equal(again, before),
                "exact": engine.dtype == "float32" or spec.evaluation.inference.deterministic,
                "equal_to_base": None if base is None else _equal(base, again),
            }
            write_json(run.check_file, record)
            forget_merged(run)


def _asked(evaluation: Evaluation, engine: Engine, model: str, adapter: Path | None) -> dict[Any, str | None]:
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
