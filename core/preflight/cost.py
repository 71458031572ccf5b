"""What an experiment will cost, before it is launched: attempts, tokens, disk, minutes.

Sizes are counted on the real tasks, where one token stands for one character, as the embedded tokenizer
writes; larger vocabularies need fewer. Minutes and bytes come from what earlier runs of the same base
model reported; where there is none they are unknown.
"""

import itertools
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.arc.tasks import Task
from core.errors import UserError
from core.experiments.experiment import list_experiments
from core.experiments.listing import list_runs
from core.inference.settings import InferenceSettings
from core.mixing.mixtures import Mixture, load_mixture
from core.prompts.pairs import pair_count
from core.prompts.shortening import shorten
from core.prompts.templates import PromptSettings, answer_text, longest_answer, prompt_text
from core.runs.adapted import adapted_groups
from core.runs.done import EVERY_STAGE, STAGES
from core.runs.layout import Run
from core.runs.progress import progress_of
from core.runs.record import read_record
from core.runs.state import state_of
from core.specs.spec import ExperimentSpec, Recipe, evaluated_tasks
from core.storage.files import bytes_of
from core.training.adaptation import (
    AdaptationSettings,
    demonstrations_to_learn,
    groups_of,
    mixture_of,
)

SAMPLES = 64
RUNS_LOOKED_AT = 12


@dataclass(frozen=True)
class Size:
    """How large an experiment is, all runs together.

    `adapting_runs` have test-time training per group, of `adaptation_tokens` where it goes by steps, and of
    `adaptation_seconds` where it has a budget.
    """

    runs: int
    tasks: int
    outputs: int
    attempts: int
    training_tokens: int
    inference_tokens: int
    adapting_runs: int = 0
    adaptation_tokens: int = 0
    adaptation_seconds: float = 0.0


@dataclass(frozen=True)
class Measured:
    """What earlier runs reported: medians over runs, None where nothing is known.

    Speeds are tokens per second, that of test-time training with the loading of the model for each group;
    `seconds_to_start` is what passes between two stages of a run, while a process starts and loads the model;
    `bytes_per_run` is the size of a finished run's folder.
    """

    runs: int = 0
    training_speed: float | None = None
    adaptation_speed: float | None = None
    inference_speed: float | None = None
    seconds_to_start: float | None = None
    bytes_per_run: float | None = None


def size_of(root: Path, spec: ExperimentSpec) -> Size:
    """The size of an experiment. Raises `UserError` where a source is missing or no task is left."""
    tasks = evaluated_tasks(root, spec.evaluation)
    outputs = sum(len(task.test) for task in tasks)
    runs = len(spec.variants) * len(spec.train_seeds)
    recipes = [spec.recipe_of(variant) for variant in spec.variants]
    trained = sum(_training_tokens(root, recipe, tasks) for recipe in recipes)
    asked = sum(_tokens_per_evaluation(tasks, recipe.prompt, spec.evaluation.inference) for recipe in recipes)
    return Size(
        runs=runs,
        tasks=len(tasks),
        outputs=outputs,
        attempts=outputs * spec.evaluation.inference.attempts * len(spec.eval_seeds) * runs,
        training_tokens=round(trained * len(spec.train_seeds)),
        inference_tokens=asked * len(spec.eval_seeds) * len(spec.train_seeds),
        **_adaptation(recipes, tasks, len(spec.train_seeds)),
    )


def _adaptation(recipes: Sequence[Recipe], evaluated: Sequence[Task], seeds: int) -> dict[str, Any]:
    """The fields of `Size` about test-time training per group."""
    adapting = [(recipe, recipe.test_time) for recipe in recipes if recipe.test_time is not None]
    by_steps = [one for one in adapting if one[1].seconds_per_task is None]
    learned = demonstrations_to_learn(evaluated, evaluated) if adapting else []
    tokens = sum(_adaptation_tokens(recipe, settings, evaluated, learned) for recipe, settings in by_steps)
    budgets = sum(settings.seconds_per_task or 0.0 for _, settings in adapting)
    return {
        "adapting_runs": len(adapting) * seeds,
        "adaptation_tokens": round(tokens * seeds),
        "adaptation_seconds": budgets * len(learned) * seeds,
    }


def _adaptation_tokens(
    recipe: Recipe, settings: AdaptationSettings, evaluated: Sequence[Task], learned: Sequence[Task]
) -> float:
    """Tokens of all groups of one run, from the samples that a training on all of them draws first."""
    if not learned:
        return 0.0
    alone = settings.model_copy(update={"replay": 0.0})
    mixture = mixture_of(learned, alone, recipe.mixture, {}, 0)
    prompt = recipe.prompt.model_copy(update={"too_long": "shorten"})
    limit = recipe.training.max_seq_len
    lengths = [length for length in _sample_lengths(mixture, prompt, limit) if length <= limit]
    known = {task.task_id for task in learned}
    groups = sum(
        any(task.task_id in known for task in group.tasks) for group in groups_of(evaluated, settings)
    )
    return groups * settings.steps * settings.samples_per_step * sum(lengths) / max(1, len(lengths))


def _training_tokens(root: Path, recipe: Recipe, evaluated: Sequence[Task]) -> float:
    """Tokens of one training, from the samples that its mixture draws first.

    Raises `UserError` where none of them fits max_seq_len.
    """
    settings = recipe.training
    if settings.method == "none":
        return 0.0
    mixture = load_mixture(root, recipe.mixture, seed=0, evaluated=evaluated)
    lengths = _sample_lengths(mixture, recipe.prompt, settings.max_seq_len)
    fitting = [length for length in lengths if length <= settings.max_seq_len]
    if not fitting:
        raise UserError(
            f"None of {SAMPLES} samples fits training.max_seq_len {settings.max_seq_len}."
            " Raise it, or choose smaller tasks with max_cells."
        )
    return settings.steps * settings.samples_per_step * sum(fitting) / len(lengths)


def _sample_lengths(mixture: Mixture, prompt: PromptSettings, limit: int) -> list[int]:
    """Characters of the first samples; of the shortened sample where it is to be shortened to the limit."""

    def length(task: Task) -> int:
        return sum(_characters(task, prompt)) + 1

    samples = [mixture.sample(number) for number in range(SAMPLES)]
    if prompt.too_long == "shorten":
        samples = [shorten(one, lambda task: length(task) <= limit) or one for one in samples]
    return [length(sample) for sample in samples]


def _characters(task: Task, prompt: PromptSettings) -> tuple[int, int]:
    """Characters of the prompt and of the answer (0 where it is unknown) of a task with one test."""
    output = task.test[0].output
    asked = pair_count(task, prompt.encoding) if prompt.template == "pair" else len(prompt_text(task, prompt))
    return asked, 0 if output is None else len(answer_text(output, prompt))


def _tokens_per_evaluation(tasks: Iterable[Task], prompt: PromptSettings, settings: InferenceSettings) -> int:
    """Tokens read and written in one evaluation, if each answer has the length of the right one.

    Prompts that leave no room for an answer are not asked.
    """
    longest = settings.max_output_tokens or longest_answer(prompt)
    total = 0
    for task in tasks:
        for pair in task.test:
            asked, answered = _characters(_asked(replace(task, test=(pair,)), prompt, settings), prompt)
            room = settings.max_model_len - asked
            if room > 0:
                total += settings.attempts * (asked + min(answered + 1, longest, room))
    return total


def _asked(task: Task, prompt: PromptSettings, settings: InferenceSettings) -> Task:
    """The task as a prompt shows it, shortened where it must be (room for its own answer is left)."""
    if prompt.too_long == "drop":
        return task
    return shorten(task, lambda one: sum(_characters(one, prompt)) < settings.max_model_len) or task


def measured(root: Path, spec: ExperimentSpec) -> Measured:
    """What the latest finished runs with the same base model, method and engine reported."""
    wanted = {_kind(spec.recipe_of(variant), spec.evaluation.inference) for variant in spec.variants}
    runs = _finished_runs(root, wanted)
    records = [progress_of(run) for run in runs]
    starts = [gap for progress in records for gap in _gaps(progress)]
    return Measured(
        runs=len(runs),
        training_speed=_median(_speeds(records, "train")),
        adaptation_speed=_median(_adaptation_speeds(runs)),
        inference_speed=_median(_speeds(records, "infer")),
        seconds_to_start=_median(starts),
        bytes_per_run=_median([float(bytes_of(run.folder)) for run in runs]),
    )


Kind = tuple[str, str, str]


def _kind(recipe: Recipe, inference: InferenceSettings) -> Kind:
    return recipe.base_model, recipe.training.method, inference.engine


def _finished_runs(root: Path, wanted: set[Kind]) -> list[Run]:
    found: list[Run] = []
    for experiment in list_experiments(root):
        for run in list_runs(root, experiment):
            if len(found) < RUNS_LOOKED_AT and state_of(run).state == "done" and _kind_of(run) in wanted:
                found.append(run)
    return found


def _kind_of(run: Run) -> Kind | None:
    """The kind of a run by its record; None where that is broken or of another make."""
    try:
        record = read_record(run)
        recipe = record["recipe"]
        return recipe["base_model"], recipe["training"]["method"], record["evaluation"]["inference"]["engine"]
    except (UserError, KeyError, TypeError):
        return None


def _speeds(runs: Iterable[list[dict[str, Any]]], stage: str) -> list[float]:
    """The median speed of each run in one stage, in tokens per second."""
    medians = [
        _median([speed for one in progress if one.get("stage") == stage
                 and (speed := one.get("tokens_per_second")) is not None])
        for progress in runs
    ]  # fmt: skip
    return [speed for speed in medians if speed]


def _adaptation_speeds(runs: Iterable[Run]) -> list[float]:
    """The median speed over the groups of each run, in tokens per second."""
    medians = (
        _median([one.tokens_per_second for one in adapted_groups(run.folder) if one.tokens_per_second])
        for run in runs
    )
    return [speed for speed in medians if speed]


def _gaps(progress: list[dict[str, Any]]) -> list[float]:
    """Seconds between the last record of a stage and the first of the next one."""
    times = {
        stage: [one["time"] for one in progress if one.get("stage") == stage and one.get("time") is not None]
        for stage in EVERY_STAGE
    }
    following = itertools.pairwise(stage for stage in EVERY_STAGE if times[stage])
    return [min(times[b]) - max(times[a]) for a, b in following]


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


def seconds_needed(size: Size, known: Measured) -> float | None:
    """Seconds until all runs are done, one stage after another; None while a speed is unknown."""
    training = _seconds(size.training_tokens, known.training_speed)
    answering = _answering_seconds(size, known)
    if training is None or answering is None or not known.seconds_to_start:
        return None
    starts = (size.runs * len(STAGES) + size.adapting_runs) * known.seconds_to_start
    return starts + training + answering


def seconds_per_task(size: Size, known: Measured) -> float | None:
    """Seconds that a run spends on a task, test-time training and all its evaluations together, as contests
    limit it; None while a speed is unknown. Where some runs adapt only, of those that do the most."""
    inference = _seconds(size.inference_tokens, known.inference_speed)
    adapting = _adapting_seconds(size, known)
    if inference is None or adapting is None:
        return None
    return (inference / size.runs + adapting / max(1, size.adapting_runs)) / size.tasks


def _answering_seconds(size: Size, known: Measured) -> float | None:
    inference, adapting = (
        _seconds(size.inference_tokens, known.inference_speed),
        _adapting_seconds(size, known),
    )
    return None if inference is None or adapting is None else inference + adapting


def _adapting_seconds(size: Size, known: Measured) -> float | None:
    speed = known.adaptation_speed or known.training_speed
    steps = _seconds(size.adaptation_tokens, speed)
    return None if steps is None else steps + size.adaptation_seconds


def _seconds(tokens: int, speed: float | None) -> float | None:
    if not tokens:
        return 0.0
    return None if not speed else tokens / speed


def bytes_needed(size: Size, known: Measured) -> float | None:
    """Bytes that all runs keep on disk; None while no finished run is known."""
    return None if known.bytes_per_run is None else size.runs * known.bytes_per_run
