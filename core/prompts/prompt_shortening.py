"""What becomes of a prompt or a sample that is too long: it is dropped, or loses demonstrations.

Training and inference ask here, so both follow `prompt.too_long` in the same way. Demonstrations go from
the end of the order in which the view shows them, until the rest fits; the test pair and one
demonstration always stay. What does not fit even then is dropped.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from core.arc.tasks import Task
from core.prompts.pairs import knows
from core.prompts.templates import (
    PromptSettings,
    Sample,
    answer_text,
    can_be_written,
    longest_answer,
    prompt_tokens,
    training_sample,
)
from core.prompts.vocabulary import tokens_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class FittedPrompt:
    """A prompt and how many of the task's demonstrations it shows. `fits` is False where it leaves no
    room for an answer; then it is the whole prompt. Where there is no prompt at all, `why_not` says why:
    no_token (of the task), over_canvas (the input is)."""

    tokens: list[int]
    demonstrations: int
    fits: bool
    why_not: str | None = None


def shorten(task: Task, fits: Callable[[Task], bool]) -> Task | None:
    """The task with as many of its first demonstrations as fit, the task itself if it does; None where
    not even one does."""
    for kept in range(len(task.train), 0, -1):
        shorter = task if kept == len(task.train) else replace(task, train=task.train[:kept])
        if fits(shorter):
            return shorter
    return None


def fitted_sample(
    task: Task,
    settings: PromptSettings,
    tokenizer: "PreTrainedTokenizerBase",
    limit: int,
    *,
    every_output: bool = False,
) -> tuple[Sample | None, int]:
    """A training sample of at most `limit` tokens, and how many demonstrations it lost; None where the
    task is dropped. Raises `UserError` like `training_sample`."""
    sample: Sample | None = None
    unknown = settings.template == "pair" and not knows(tokenizer, task.task_id)
    if unknown or not can_be_written(task, settings):
        return None, 0

    def fits(shorter: Task) -> bool:
        nonlocal sample
        sample = training_sample(shorter, settings, tokenizer, every_output=every_output)
        return len(sample.tokens) <= limit

    if settings.too_long == "drop":
        return (sample, 0) if fits(task) else (None, 0)
    shorter = shorten(task, fits)
    return (None, 0) if shorter is None else (sample, len(task.train) - len(shorter.train))


def fitted_prompt(
    task: Task,
    settings: PromptSettings,
    tokenizer: "PreTrainedTokenizerBase",
    limit: int,
    *,
    longest_output: int | None = None,
) -> FittedPrompt:
    """The prompt of a task in a context of `limit` tokens, which the answer shares.

    A prompt that is shortened leaves room for an answer as long as the longest grid that it could
    resemble: the task's inputs and demonstrated outputs; at most `longest_output` tokens. Where even one
    demonstration leaves less than that, it stays if one token is left.
    """
    if settings.template == "pair" and not knows(tokenizer, task.task_id):
        return FittedPrompt([], len(task.train), False, "no_token")
    if not can_be_written(replace(task, test=(replace(task.test[0], output=None),)), settings):
        return FittedPrompt([], len(task.train), False, "over_canvas")
    whole = prompt_tokens(task, settings, tokenizer)
    most = longest_output or longest_answer(settings)
    if settings.too_long == "drop" or len(whole) + most <= limit:
        return FittedPrompt(whole, len(task.train), len(whole) < limit)
    wanted = min(most, _longest_grid(task, settings, tokenizer) + 1)
    tokens = whole

    def fits(shorter: Task) -> bool:
        nonlocal tokens
        tokens = whole if shorter is task else prompt_tokens(shorter, settings, tokenizer)
        room = 1 if len(shorter.train) == 1 else wanted
        return len(tokens) + room <= limit

    shorter = shorten(task, fits)
    if shorter is None:
        return FittedPrompt(whole, len(task.train), False)
    return FittedPrompt(tokens, len(shorter.train), True)


def _longest_grid(task: Task, settings: PromptSettings, tokenizer: "PreTrainedTokenizerBase") -> int:
    """Tokens of the longest grid that a prompt shows."""
    grids = [pair.input for pair in task.pairs] + [pair.output for pair in task.train]
    return max(len(tokens_of(answer_text(grid, settings), tokenizer)) for grid in grids if grid is not None)
