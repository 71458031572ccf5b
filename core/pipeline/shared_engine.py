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
from core.inference.adapters import has_tokens, reason_to_merge, write_merged
from core.inference.predict import Evaluation, Job, answer
from core.inference.requests import Engine
from core.runs.frozen_tasks import frozen_of
from core.runs.layout import Run
from core.runs.progress import write_log
from core.runs.provenance import add_to_record
from core.runs.record import read_record
from core.runs.reporter import Reporter
from core.runs.state import begin
from core.specs.spec import ExperimentSpec
from core.storage.models import model_location

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def engine_groups(runs: Iterable[Run], spec: ExperimentSpec) -> list[list[Run]]:
    """Trained runs in groups that one engine each can answer, in the order of their first runs."""
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        key: tuple[str, ...] = (spec.recipe_of(run.variant).base_model,)
        if needs_own_engine(run, spec):
            key = (run.variant, str(run.train_seed))
        groups.setdefault(key, []).append(run)
    return list(groups.values())


def needs_own_engine(run: Run, spec: ExperimentSpec) -> bool:
    """Whether a trained run has weights that no other run has, or an adapter that can't be read (which its
    own process shall say)."""
    try:
        return _adapter(run, spec) is None or _why_merged(run, spec) is not None
    except UserError:
        return True


def answer_runs(
    runs: Sequence[tuple[Run, Reporter]], spec: ExperimentSpec
) -> Iterator[tuple[Run, UserError | None]]:
    """Answer what is missing of trained runs that can share an engine, run after run.

    Yields each run when all its predictions are there, or with the problem of its first evaluation that
    can't be done. Raises `UserError` where there is no engine for them.
    """
    from core.inference.engines import open_engine
    from core.prompts.vocabulary import load_tokenizer

    if not runs:
        return
    model, adapters = what_answers([run for run, _ in runs], spec)
    tokenizer = load_tokenizer(model)
    for run, _ in runs:
        check_trained_prompts(run, spec, tokenizer)
    with closing(open_engine(spec.evaluation.inference, model, list(adapters.values()))) as engine:
        for run, _ in runs:
            add_to_record(run, engine=engine_record(run, spec, engine))
        left = {run: len(spec.eval_seeds) for run, _ in runs}
        run_of = {run.folder: run for run in left}
        for job, problem in answer(_jobs(runs, spec, adapters), engine, tokenizer):
            run = run_of[job.folder.parent]
            if run not in left:
                continue
            left[run] -= 1
            if problem is not None or left[run] == 0:
                del left[run]
                if problem is None:
                    forget_merged(run)
                yield run, problem


def check_trained_prompts(run: Run, spec: ExperimentSpec, tokenizer: "PreTrainedTokenizerBase") -> None:
    """Raise `UserError` where prompts are not those that the run was trained on, as with another library."""
    from core.prompts.checks import prompts_fingerprint

    trained = (read_record(run).get("training") or {}).get("prompts")
    if trained is not None and prompts_fingerprint(tokenizer, spec.recipe_of(run.variant).prompt) != trained:
        raise UserError(
            f"The prompts of {run.name} are not those that it was trained on: tokenizer, chat template or the"
            " library that reads them changed. Restore them, or launch under another name."
        )


def forget_merged(run: Run) -> None:
    """Remove the merged model of a run, if there is one."""
    shutil.rmtree(_merged_folder(run), ignore_errors=True)


def _jobs(
    runs: Sequence[tuple[Run, Reporter]], spec: ExperimentSpec, adapters: dict[Run, Path]
) -> Iterator[Job]:
    """The evaluations of the runs in turn. A run says that it is running when its turn comes."""
    first, _ = runs[0]
    tasks = frozen_of(first, spec).load_evaluated(first.root)
    for run, report in runs:
        begin(run, "infer")
        for eval_seed in spec.eval_seeds:
            evaluation = evaluation_of(run, spec, eval_seed, tasks)
            yield Job(evaluation, run.eval_folder(eval_seed), report, adapters.get(run))


def evaluation_of(run: Run, spec: ExperimentSpec, eval_seed: int, tasks: Sequence[Task]) -> Evaluation:
    """One evaluation of a run on these tasks."""
    settings, prompt = spec.evaluation.inference, spec.recipe_of(run.variant).prompt
    return Evaluation(run.experiment, run.variant, run.train_seed, eval_seed, tasks, settings, prompt)


def what_answers(
    runs: Sequence[Run], spec: ExperimentSpec, merged: Path | None = None
) -> tuple[str, dict[Run, Path]]:
    """The model that an engine loads for these runs, and the adapters that it serves with it. An adapter that
    can't be served is merged into a copy of its base, in the folder `merged`, else in the first run's."""
    first = runs[0]
    base = model_location(first.root, spec.recipe_of(first.variant).base_model)
    if spec.recipe_of(first.variant).training.method == "none":
        return base, {}
    adapter = _adapter(first, spec)
    if adapter is None:
        return str(first.model), {}
    why = _why_merged(first, spec)
    if why is None:
        return base, {run: run.adapter for run in runs}
    write_log(first, f"The adapter is merged into a copy of the base model, because {why}.")
    return str(write_merged(base, adapter, merged or _merged_folder(first))), {}


def engine_record(run: Run, spec: ExperimentSpec, engine: Engine) -> dict[str, str | None]:
    """What the record of a run says of the engine that answered it."""
    return {
        "name": engine.name,
        "version": engine.version,
        "dtype": engine.dtype,
        "merged_because": _why_merged(run, spec),
    }


def _why_merged(run: Run, spec: ExperimentSpec) -> str | None:
    """Why the adapter of a run can't be served beside its base; None where it can, or there is none. One
    with tokens of its own is merged for any engine."""
    adapter = _adapter(run, spec)
    if adapter is None or (spec.evaluation.inference.engine != "vllm" and not has_tokens(adapter)):
        return None
    return reason_to_merge(adapter)


def _adapter(run: Run, spec: ExperimentSpec) -> Path | None:
    lora = spec.recipe_of(run.variant).training.method == "lora"
    return run.adapter if lora else None


def _merged_folder(run: Run) -> Path:
    return run.merged
