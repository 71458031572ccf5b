"""The stages of a run: train, infer, score. One process runs one stage of one run.

A stage is done when its file exists, so a stage that is started again does only what is missing. Two
locks keep order, both freed by the kernel when their holder dies: one on the run (no two processes work
on one run) and one on the machine (stages take turns).
"""

import logging
import shutil
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from core.errors import UserError
from core.experiments.records import add_to_record, check_data
from core.experiments.runs import STAGES, Run, RunState, Stage, experiment_folder, own_state, say_state
from core.experiments.spec import ExperimentSpec, evaluated_tasks, read_spec
from core.storage.files import append_record, locked
from core.storage.models import model_location

log = logging.getLogger(__name__)

SECONDS_BETWEEN_STATES = 0.5


def launched_spec(run: Run) -> ExperimentSpec:
    """The frozen spec that a run was launched with."""
    return read_spec(experiment_folder(run.root, run.experiment) / "experiment.yaml")


def is_done(run: Run, spec: ExperimentSpec, stage: Stage) -> bool:
    """Whether the files of a stage exist, for every evaluation seed."""
    if stage == "train":
        method = spec.recipe_of(run.variant).training.method
        return (run.folder / ("adapter" if method == "lora" else "model")).exists()
    name = "predictions.parquet" if stage == "infer" else "scores.parquet"
    return all((run.eval_folder(seed) / name).exists() for seed in spec.eval_seeds)


def stages_left(run: Run, spec: ExperimentSpec) -> list[Stage]:
    """The stages whose files are missing, in order."""
    return [stage for stage in STAGES if not is_done(run, spec, stage)]


def run_stage(run: Run, stage: Stage) -> bool:
    """Do what is missing of a stage; whether it is done now. Failures are said in `state.json`."""
    with locked(run.folder / ".lock"):
        spec = launched_spec(run)
        if is_done(run, spec, stage):
            return True
        say_state(run, replace(own_state(stage), state="queued"))  # so that it can be stopped in the queue
        with locked(run.root / "runs" / ".machine.lock"):
            say_state(run, own_state(stage))
            try:
                check_data(run, spec, stage)
                _WORK[stage](run, spec, _Reporter(run, stage))
            except Exception as error:
                say_state(run, RunState("failed", stage, error=_sentence(run, error)))
                if not isinstance(error, UserError):
                    traceback.print_exc()
                log.error("%s", _sentence(run, error))
                return False
        left = stages_left(run, spec)
        say_state(run, RunState("queued", left[0]) if left else RunState("done"))
        return True


def _sentence(run: Run, error: Exception) -> str:
    """What went wrong, for a person."""
    if isinstance(error, UserError):
        return str(error)
    # Whoever writes says it in words of its own, and its unfinished file may be gone again by now.
    if "No space left" in str(error) or shutil.disk_usage(run.folder).free < 2**20:
        return "The disk is full. Free some space and launch again; finished stages are kept."
    return f"{type(error).__name__}: {error}. The log holds the details."


class _Reporter:
    """Appends each report to `progress.jsonl` and keeps `state.json` fresh."""

    def __init__(self, run: Run, stage: Stage) -> None:
        self.run, self.stage = run, stage
        self.last = 0.0

    def __call__(self, record: dict[str, Any]) -> None:
        append_record(
            self.run.folder / "progress.jsonl", {"time": round(time.time(), 3), "stage": self.stage, **record}
        )
        now = time.monotonic()
        if now - self.last < SECONDS_BETWEEN_STATES and record["step"] != record["total"]:
            return
        self.last = now
        state = own_state(
            self.stage, step=record["step"], total=record["total"], eta_seconds=record.get("eta_seconds")
        )
        say_state(self.run, state)


def _train(run: Run, spec: ExperimentSpec, report: _Reporter) -> None:
    from core.curation.mixtures import load_mixture
    from core.training.train import Training, train

    recipe = spec.recipe_of(run.variant)
    mixture = load_mixture(run.root, recipe.mixture, run.train_seed)
    base = model_location(run.root, recipe.base_model)
    train(Training(recipe.training, recipe.prompt, mixture, base, run.train_seed), run.folder, report)
    shutil.rmtree(run.folder / "checkpoint", ignore_errors=True)


def _infer(run: Run, spec: ExperimentSpec, report: _Reporter) -> None:
    from core.inference.engines import open_engine
    from core.inference.predict import Evaluation, predict, predictions_path
    from core.prompts.vocabulary import load_tokenizer

    recipe = spec.recipe_of(run.variant)
    settings = spec.evaluation.inference
    tasks = evaluated_tasks(run.root, spec.evaluation)
    adapter = run.folder / "adapter" if recipe.training.method == "lora" else None
    model = model_location(run.root, recipe.base_model) if adapter else str(run.folder / "model")
    tokenizer = load_tokenizer(model)
    engine = open_engine(settings, model, adapter)
    add_to_record(run, engine={"name": engine.name, "version": engine.version})
    for eval_seed in spec.eval_seeds:
        folder = run.eval_folder(eval_seed)
        if predictions_path(folder).exists():
            continue
        evaluation = Evaluation(
            run.experiment, run.variant, run.train_seed, eval_seed, tasks, settings, recipe.prompt
        )
        predict(evaluation, engine, tokenizer, folder, report)


def _score(run: Run, spec: ExperimentSpec, report: _Reporter) -> None:
    from core.scoring.scores import score

    tasks = evaluated_tasks(run.root, spec.evaluation)
    for number, eval_seed in enumerate(spec.eval_seeds, 1):
        folder = run.eval_folder(eval_seed)
        if not (folder / "scores.parquet").exists():
            score(
                folder / "predictions.parquet",
                tasks,
                folder / "scores.parquet",
                experiment=run.experiment,
                variant=run.variant,
                train_seed=run.train_seed,
                eval_seed=eval_seed,
            )
        report({"step": number, "total": len(spec.eval_seeds)})


_WORK: dict[Stage, Callable[[Run, ExperimentSpec, _Reporter], None]] = {
    "train": _train,
    "infer": _infer,
    "score": _score,
}
