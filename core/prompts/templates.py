"""Tasks as prompts: what a model reads before it answers, and the tokens of both.

A prompt is made from a task with exactly one test pair, already in its view. Training and inference
call the same functions, and prompt and answer are tokenized apart, so the boundary between them is the
same in both.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from core.arc.grids import MAX_SIDE, Grid
from core.arc.tasks import Task
from core.errors import UserError
from core.prompts.encoders import GridEncoding, grid_to_text, text_to_grid
from core.settings import Settings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class PromptSettings(Settings):
    """How a task becomes a prompt."""

    encoding: GridEncoding = Field(GridEncoding(), description="How grids are written.")
    template: Literal["base", "chat"] = Field(
        "base",
        description="base: bare grids marked I and O. chat: the same inside the model's own chat template.",
    )


@dataclass(frozen=True)
class Sample:
    """One training sample: its tokens, and for each token whether the loss counts it."""

    tokens: list[int]
    is_answer: list[bool]


def prompt_text(task: Task, settings: PromptSettings) -> str:
    """The demonstrations and the test input, up to where the answer begins."""
    encode = settings.encoding
    parts = [
        f"I{grid_to_text(pair.input, encode)}\nO{grid_to_text(_known(pair.output), encode)}\n"
        for pair in task.train
    ]
    (test,) = task.test
    return "".join([*parts, f"I{grid_to_text(test.input, encode)}\nO"])


def answer_text(grid: Grid, settings: PromptSettings) -> str:
    """What the model shall write for this output grid (its end token not included)."""
    return grid_to_text(grid, settings.encoding)


def read_answer(text: str, settings: PromptSettings) -> Grid | None:
    """The grid that an answer writes, or None."""
    return text_to_grid(text, settings.encoding)


def longest_answer(settings: PromptSettings) -> int:
    """Characters of the longest answer (30 × 30 cells), an upper bound of its tokens, with the end token."""
    per_cell = 2 if settings.encoding.cell_separator == "space" else 1
    per_row = per_cell * MAX_SIDE + 1 + (3 if settings.encoding.row_numbers else 0)
    return MAX_SIDE * per_row + 6 + 1


def prompt_tokens(task: Task, settings: PromptSettings, tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """The tokens of the prompt, special tokens at its beginning included.

    Raises `UserError` where a chat template is asked for and the tokenizer has none.
    """
    text = prompt_text(task, settings)
    if settings.template == "base":
        return list(tokenizer(text)["input_ids"])
    if not tokenizer.chat_template:
        raise UserError(
            f"The tokenizer of {tokenizer.name_or_path} has no chat template."
            " Set prompt.template to 'base' or choose a chat model."
        )
    messages = [{"role": "user", "content": text}]
    tokens: Any = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    return list(tokens)


def training_sample(
    task: Task,
    settings: PromptSettings,
    tokenizer: "PreTrainedTokenizerBase",
    *,
    every_output: bool = False,
) -> Sample:
    """Prompt, answer and end token of a task whose test output is known.

    The loss counts the answer and the end token; with `every_output` (base template only) the outputs
    of the demonstrations after the first as well, each with the newline behind it.
    """
    prompt = prompt_tokens(task, settings, tokenizer)
    answer = _tokens(answer_text(_known(task.test[0].output), settings), tokenizer)
    answer.append(int(tokenizer.eos_token_id))
    counted = [False] * len(prompt)
    if every_output:
        _count_outputs(task, settings, tokenizer, counted)
    return Sample(prompt + answer, counted + [True] * len(answer))


def _count_outputs(
    task: Task, settings: PromptSettings, tokenizer: "PreTrainedTokenizerBase", counted: list[bool]
) -> None:
    """Mark the outputs of demonstrations 2… in a prompt whose tokens are single characters."""
    if settings.template != "base":
        raise UserError(
            "Loss on every output needs prompt.template 'base'. Set training.loss_on to 'answer'."
        )
    text = prompt_text(task, settings)
    start = len(counted) - len(text)
    if start != len(tokenizer("")["input_ids"]):
        raise UserError(
            "Loss on every output needs a tokenizer with one token per character."
            " Set training.loss_on to 'answer'."
        )
    outputs = [position for position, character in enumerate(text) if character == "O"][1:-1]
    for position in outputs:
        end = text.index("I", position)
        counted[start + position + 1 : start + end] = [True] * (end - position - 1)


def _tokens(text: str, tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _known(grid: Grid | None) -> Grid:
    if grid is None:
        raise UserError("A pair without an output can't be shown to a model. Choose a source with solutions.")
    return grid


def check_tokenizer(tokenizer: "PreTrainedTokenizerBase", settings: PromptSettings) -> None:
    """Raise `UserError` unless the tokenizer writes and reads back every character that prompts need."""
    needed = (
        "0123456789\nIO"
        + (" " if settings.encoding != GridEncoding() else "")
        + "x" * (settings.encoding.shape_header)
    )
    read_back = tokenizer.decode(_tokens(needed, tokenizer), skip_special_tokens=True)
    if read_back != needed:
        lost = sorted(set(needed) - set(read_back))
        raise UserError(
            f"The tokenizer of {tokenizer.name_or_path} can't write {lost or 'the prompt'} back."
            " Choose another model or another prompt.encoding."
        )
    if tokenizer.eos_token_id is None:
        raise UserError(f"The tokenizer of {tokenizer.name_or_path} has no end token. Choose another model.")
