"""What an experiment will cost, before it is launched: attempts, tokens, disk, minutes.

Sizes are counted on the real tasks, where one token stands for one character, as the embedded tokenizer
writes; larger vocabularies need fewer. Minutes are what a stage takes to start plus its work by its rate,
both as finished runs of this machine reported them: of the same base model, method and engine, and as near in
size as there are. Where there are none, minutes and bytes are unknown. So are the minutes of a depth-first
search, which asks as often as a model's answers branch; its tokens are those of one answer for each view.
"""

import functools
import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from core.arc.tasks import Task
from core.errors import UserError
from core.experiments.experiment import list_experiments
from core.experiments.listing import list_runs
from core.inference.settings import InferenceSettings
from core.machine.hardware import hardware
from core.mixing.mixtures import Mixture, load_mixture
from core.prompts.pairs import pair_count
from core.prompts.shortening import shorten
from core.prompts.templates import PromptSettings, answer_text, longest_answer, prompt_text
from core.runs.adapted import adapted_groups
from core.runs.done import EVERY_STAGE
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
RUNS_LOOKED_AT, RUNS_KNOWN = 12, 60
LARGEST_FACTOR = 4.0
"""So many times as large or as small may a run be, for its speed to tell that of another."""


@dataclass(frozen=True)
class Size:
    """How large an experiment is, all runs together.

    `adapting_runs` have test-time training per group, of `adaptation_tokens` where it goes by steps, and of
    `adaptation_seconds` where it has a budget. Where it `searches`, attempts are views.
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
    searches: bool = False


@dataclass(frozen=True)
class Measured:
    """What earlier runs of this machine reported: medians over runs, None where nothing is known.

    Speeds are tokens per second, that of test-time training with the loading of the model for each group;
    `starts` holds, for each stage, the seconds until it works, while a process starts and loads the model;
    `bytes_per_run` is the size of a finished run's folder. `alike` tells whether these runs were of about the
    same size, in tokens of a training step and of a task's attempts.
    """

    runs: int = 0
    training_speed: float | None = None
    adaptation_speed: float | None = None
    inference_speed: float | None = None
    starts: Mapping[str, float] = field(default_factory=dict)
    bytes_per_run: float | None = None
    alike: bool = True


def size_of(root: Path, spec: ExperimentSpec) -> Size:
    """The size of an experiment. Raises `UserError` where a source is missing or no task is left."""
    tasks = evaluated_tasks(root, spec.evaluation)
    outputs = sum(len(task.test) for task in tasks)
    runs = len(spec.pairs)
    recipes = [(spec.recipe_of(variant), len(spec.seeds_of(variant))) for variant in spec.variants]
    trained = sum(_training_tokens(root, recipe, tasks) * seeds for recipe, seeds in recipes)
    sent = sum(
        _tokens_per_evaluation(tasks, recipe.prompt, spec.evaluation.inference) * seeds
        for recipe, seeds in recipes
    )
    return Size(
        runs=runs,
        tasks=len(tasks),
        outputs=outputs,
        attempts=outputs * spec.evaluation.inference.attempts * len(spec.eval_seeds) * runs,
        training_tokens=round(trained),
        inference_tokens=sent * len(spec.eval_seeds),
        searches=spec.evaluation.inference.search is not None,
        **_adaptation(recipes, tasks),
    )


def _adaptation(recipes: Sequence[tuple[Recipe, int]], evaluated: Sequence[Task]) -> dict[str, Any]:
    """The fields of `Size` about test-time training per group, of recipes with their numbers of runs."""
    adapting = [
        (recipe, recipe.test_time, seeds) for recipe, seeds in recipes if recipe.test_time is not None
    ]
    by_steps = [one for one in adapting if one[1].seconds_per_task is None]
    learned = demonstrations_to_learn(evaluated, evaluated) if adapting else []
    tokens = sum(
        _adaptation_tokens(recipe, settings, evaluated, learned) * seeds
        for recipe, settings, seeds in by_steps
    )
    budgets = sum((settings.seconds_per_task or 0.0) * seeds for _, settings, seeds in adapting)
    return {
        "adapting_runs": sum(seeds for _, _, seeds in adapting),
        "adaptation_tokens": round(tokens),
        "adaptation_seconds": budgets * len(learned),
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
    pair = prompt.template == "pair"
    length = pair_count(task, prompt.encoding) if pair else len(prompt_text(task, prompt))
    return length, 0 if output is None else len(answer_text(output, prompt))


def _tokens_per_evaluation(tasks: Iterable[Task], prompt: PromptSettings, settings: InferenceSettings) -> int:
    """Tokens read and written in one evaluation, if each answer has the length of the right one.

    Prompts that leave no room for an answer are not sent.
    """
    longest = settings.max_output_tokens or longest_answer(prompt)
    total = 0
    for task in tasks:
        for pair in task.test:
            question, answered = _characters(_alone(replace(task, test=(pair,)), prompt, settings), prompt)
            room = settings.max_model_len - question
            if room > 0:
                total += settings.attempts * (question + min(answered + 1, longest, room))
    return total


def _alone(task: Task, prompt: PromptSettings, settings: InferenceSettings) -> Task:
    """The task as a prompt shows it, shortened where it must be (room for its own answer is left)."""
    if prompt.too_long == "drop":
        return task
    return shorten(task, lambda one: sum(_characters(one, prompt)) < settings.max_model_len) or task


def measured(root: Path, spec: ExperimentSpec) -> Measured:
    """What the finished runs that are most like these reported: with the same base model, method and engine,
    on this machine, the nearest in size and then the latest."""
    inference = spec.evaluation.inference
    recipes = [spec.recipe_of(variant) for variant in spec.variants]
    kinds: dict[Kind, Load] = {
        (recipe.base_model, recipe.training.method, inference.engine, inference.search is not None): _load(
            recipe.training.model_dump(), inference.model_dump()
        )
        for recipe in recipes
    }
    found = _finished_runs(root, kinds)
    alike = [run for run, apart in found if apart <= LARGEST_FACTOR]
    runs = alike or [run for run, _ in sorted(found, key=lambda one: one[1])]
    runs = runs[:RUNS_LOOKED_AT]
    records = [progress_of(run) for run in runs]
    return Measured(
        runs=len(runs),
        training_speed=_median(_speeds(records, "train")),
        adaptation_speed=_median(_adaptation_speeds(runs)),
        inference_speed=_median(_speeds(records, "infer")),
        starts=_starts(runs, records),
        bytes_per_run=_median([float(bytes_of(run.folder)) for run in runs]),
        alike=bool(alike) or not runs,
    )


Kind = tuple[str, str, str, bool]
"""Base model, method, engine, and whether it searches."""
Load = tuple[float, float]
"""Tokens of a training step and of a task's attempts, at most."""


def _load(training: Mapping[str, Any], inference: Mapping[str, Any]) -> Load:
    step = training["samples_per_step"] * training["max_seq_len"]
    return float(step), float(inference["attempts"] * inference["max_model_len"])


def _apart(a: Load, b: Load) -> float:
    """The larger of the two factors between two loads."""
    return max(max(x, y) / max(1.0, min(x, y)) for x, y in zip(a, b, strict=True))


def _finished_runs(root: Path, wanted: Mapping[Kind, Load]) -> list[tuple[Run, float]]:
    """The latest finished runs of these kinds on this machine, each with how far it is in size."""
    found: list[tuple[Run, float]] = []
    for experiment in list_experiments(root):
        for run in list_runs(root, experiment):
            if len(found) >= RUNS_KNOWN or state_of(run).state != "done":
                continue
            known = _kind_of(run)
            if known is not None and known[0] in wanted:
                found.append((run, _apart(known[1], wanted[known[0]])))
    return found


def _kind_of(run: Run) -> tuple[Kind, Load] | None:
    """Kind and load of a run by its record; None where that is broken, of another make or another machine."""
    try:
        record = read_record(run)
        recipe, inference = record["recipe"], record["evaluation"]["inference"]
        made_by = record.get("hardware") or _here()
        if any(made_by.get(part) != value for part, value in _here().items()):
            return None
        searches = inference.get("search") is not None
        kind = recipe["base_model"], recipe["training"]["method"], inference["engine"], searches
        return kind, _load(recipe["training"], inference)
    except (UserError, KeyError, TypeError):
        return None


@functools.cache
def _here() -> dict[str, Any]:
    """What makes runs of this machine as fast as each other."""
    return {part: value for part, value in hardware().items() if part in ("processor", "cores", "gpus")}


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


def _starts(runs: Sequence[Run], records: Sequence[list[dict[str, Any]]]) -> dict[str, float]:
    """Seconds from the end of one stage to where the next one works, for each stage that follows another.

    Of an experiment the shortest counts, as runs also wait for each other; over experiments the median does.
    What is between two reports of a stage is work that its first report tells, too.
    """
    starts: dict[str, dict[str, float]] = {}
    for run, progress in zip(runs, records, strict=True):
        times = {
            stage: [
                one["time"] for one in progress if one.get("stage") == stage and one.get("time") is not None
            ]
            for stage in EVERY_STAGE
        }
        for before, stage in itertools.pairwise(stage for stage in EVERY_STAGE if times[stage]):
            first, last = min(times[stage]), max(times[stage])
            working = (last - first) / max(1, len(times[stage]) - 1)
            start = max(0.0, first - max(times[before]) - working)
            own = starts.setdefault(stage, {})
            own[run.experiment] = min(start, own.get(run.experiment, start))
    return {stage: statistics.median(own.values()) for stage, own in starts.items()}


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


def seconds_needed(size: Size, known: Measured) -> float | None:
    """Seconds until all runs are done, one stage after another; None for a search or an unknown speed.

    A training starts as answering does: a process begins and loads the base model. So does test-time training
    where no run tells.
    """
    training = _seconds(size.training_tokens, known.training_speed)
    answering = _answering_seconds(size, known)
    if training is None or answering is None or "infer" not in known.starts:
        return None
    load = known.starts["infer"]
    each = (load if size.training_tokens else 0.0) + load + known.starts.get("score", 0.0)
    starts = size.runs * each + size.adapting_runs * known.starts.get("adapt", load)
    return starts + training + answering


def seconds_per_task(size: Size, known: Measured) -> float | None:
    """Seconds that a run spends on a task, test-time training and all its evaluations together, as contests
    limit it; None while a speed is unknown, or for a search. Where some adapt, of those that do the most.
    """
    inference = _inference_seconds(size, known)
    adapting = _adapting_seconds(size, known)
    if inference is None or adapting is None:
        return None
    return (inference / size.runs + adapting / max(1, size.adapting_runs)) / size.tasks


def _answering_seconds(size: Size, known: Measured) -> float | None:
    inference, adapting = _inference_seconds(size, known), _adapting_seconds(size, known)
    return None if inference is None or adapting is None else inference + adapting


def _inference_seconds(size: Size, known: Measured) -> float | None:
    return None if size.searches else _seconds(size.inference_tokens, known.inference_speed)


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
