"""Inference of the runs of an experiment: which of them share an engine, and their answers by one.

Adapters on one base model are served by one engine, one after another. A fully trained model, and an adapter
that vLLM refuses and that is therefore merged into its base, is a model of its own and takes an engine of its
own. A merged model lies in its run folder, as `merged/`, until the run is answered. Where nothing is trained,
the base model itself answers.
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from core.arc.tasks import Task
from core.errors import UserError
from core.experiments.launched_experiment import LaunchedExperiment
from core.experiments.provenance import add_to_record
from core.inference.adapters import has_tokens, reason_to_merge, write_merged
from core.inference.predict import Job, answer
from core.inference.prediction_parts import Evaluation
from core.inference.requests import Engine
from core.runs.layout import Run
from core.runs.progress import write_log
from core.runs.reporter import Reporter
from core.runs.run_record import read_record
from core.runs.state import begin
from core.storage.models import model_location

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def engine_groups(runs: Iterable[Run], experiment: LaunchedExperiment) -> list[list[Run]]:
    """Trained runs in groups that one engine each can answer, in the order of their first runs."""
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        key: tuple[str, ...] = (experiment.recipe_of(run).base_model,)
        if needs_own_engine(experiment, run):
            key = (run.variant, str(run.train_seed))
        groups.setdefault(key, []).append(run)
    return list(groups.values())


def needs_own_engine(experiment: LaunchedExperiment, run: Run) -> bool:
    """Whether a trained run has weights that no other run has, or an adapter that can't be read (which its
    own process shall say)."""
    if experiment.recipe_of(run).test_time is not None:
        return True
    try:
        return _adapter(experiment, run) is None or _why_merged(experiment, run) is not None
    except UserError:
        return True


def answer_runs(
    experiment: LaunchedExperiment, runs: Sequence[tuple[Run, Reporter]]
) -> Iterator[tuple[Run, UserError | None]]:
    """Answer what is missing of trained runs that can share an engine, run after run.

    Yields each run when all its predictions are there, or with the problem of its first evaluation that
    can't be done. Raises `UserError` where there is no engine for them.
    """
    from core.inference.engines import open_engine
    from core.prompts.vocabulary import load_tokenizer

    if not runs:
        return
    model, adapters = what_answers(experiment, [run for run, _ in runs])
    tokenizer = load_tokenizer(model)
    for run, _ in runs:
        check_trained_prompts(experiment, run, tokenizer)
    with closing(open_engine(experiment.spec.evaluation.inference, model, list(adapters.values()))) as engine:
        for run, _ in runs:
            add_to_record(run, engine=engine_record(experiment, run, engine))
        left = {run: len(experiment.spec.eval_seeds) for run, _ in runs}
        run_of = {run.folder: run for run in left}
        for job, problem in answer(_jobs(experiment, runs, adapters), engine, tokenizer):
            run = run_of[job.folder.parent]
            if run not in left:
                continue
            left[run] -= 1
            if problem is not None or left[run] == 0:
                del left[run]
                if problem is None:
                    forget_merged(run)
                yield run, problem


def check_trained_prompts(
    experiment: LaunchedExperiment, run: Run, tokenizer: "PreTrainedTokenizerBase"
) -> None:
    """Raise `UserError` where prompts are not those that the run was trained on, as with another library."""
    from core.prompts.template_checks import prompts_fingerprint

    trained = (read_record(run).get("training") or {}).get("prompts")
    if trained is not None and prompts_fingerprint(tokenizer, experiment.recipe_of(run).prompt) != trained:
        raise UserError(
            f"The prompts of {run.name} are not those that it was trained on: tokenizer, chat template or the"
            " library that reads them changed. Restore them, or launch under another name."
        )


def forget_merged(run: Run) -> None:
    """Remove the merged model of a run, if there is one."""
    shutil.rmtree(run.merged, ignore_errors=True)


def _jobs(
    experiment: LaunchedExperiment, runs: Sequence[tuple[Run, Reporter]], adapters: dict[Run, Path]
) -> Iterator[Job]:
    """The evaluations of the runs in turn. A run is marked as running when its turn comes."""
    for run, report in runs:
        begin(run, "infer")
        for eval_seed in experiment.spec.eval_seeds:
            evaluation = evaluation_of(experiment, run, eval_seed, experiment.evaluated)
            yield Job(evaluation, run.eval_folder(eval_seed), report, adapters.get(run))


def evaluation_of(
    experiment: LaunchedExperiment, run: Run, eval_seed: int, tasks: Sequence[Task]
) -> Evaluation:
    """One evaluation of a run on these tasks."""
    settings, prompt = experiment.spec.evaluation.inference, experiment.recipe_of(run).prompt
    return Evaluation(run.experiment, run.variant, run.train_seed, eval_seed, tasks, settings, prompt)


def what_answers(
    experiment: LaunchedExperiment, runs: Sequence[Run], merged: Path | None = None
) -> tuple[str, dict[Run, Path]]:
    """The model that an engine loads for these runs, and the adapters that it serves with it. An adapter that
    can't be served is merged into a copy of its base, in the folder `merged`, else in the first run's."""
    first = runs[0]
    base = model_location(first.root, experiment.recipe_of(first).base_model)
    if experiment.recipe_of(first).training.method == "none":
        return base, {}
    adapter = _adapter(experiment, first)
    if adapter is None:
        return str(first.model), {}
    why = _why_merged(experiment, first)
    if why is None:
        return base, {run: run.adapter for run in runs}
    write_log(first, f"The adapter is merged into a copy of the base model, because {why}.")
    return str(write_merged(base, adapter, merged or first.merged)), {}


def engine_record(experiment: LaunchedExperiment, run: Run, engine: Engine) -> dict[str, str | None]:
    """What the record of a run says of the engine that answered it."""
    return {
        "name": engine.name,
        "version": engine.version,
        "dtype": engine.dtype,
        "merged_because": _why_merged(experiment, run),
    }


def _why_merged(experiment: LaunchedExperiment, run: Run) -> str | None:
    """Why the adapter of a run can't be served beside its base; None where it can, or there is none. One
    with tokens of its own is merged for any engine."""
    adapter = _adapter(experiment, run)
    if adapter is None or (experiment.spec.evaluation.inference.engine != "vllm" and not has_tokens(adapter)):
        return None
    return reason_to_merge(adapter)


def _adapter(experiment: LaunchedExperiment, run: Run) -> Path | None:
    lora = experiment.recipe_of(run).training.method == "lora"
    return run.adapter if lora else None
