"""How large an experiment is, before it is launched: runs, attempts, and tokens trained on and answered.

Sizes are counted on the real tasks, where one token stands for one character, as the embedded tokenizer
writes; larger vocabularies need fewer. The tokens of a search are those of one answer for each view.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.arc.tasks import Task
from core.errors import UserError
from core.inference.settings import InferenceSettings
from core.mixing.mixtures import Mixture, load_mixture
from core.prompts.pairs import pair_count
from core.prompts.prompt_shortening import shorten
from core.prompts.templates import PromptSettings, answer_text, longest_answer, prompt_text
from core.specs.spec import ExperimentSpec, Recipe, evaluated_tasks
from core.training.adaptation import (
    AdaptationSettings,
    demonstrations_to_learn,
    groups_of,
    mixture_of,
)

SAMPLES = 64


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
