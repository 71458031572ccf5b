"""Tasks as prompts: what a model reads before it answers, and the tokens of both.

A prompt is made from a task with exactly one test pair, already in its view. Training and inference
call the same functions, and prompt and answer are tokenized apart, so the boundary between them is the
same in both.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from core.arc.grids import MAX_SIDE, Grid
from core.arc.tasks import Task
from core.errors import UserError
from core.prompts.encoders import GridEncoding, grid_to_text, text_to_grid
from core.prompts.pairs import fits_canvas, pair_text, pair_tokens
from core.prompts.vocabulary import tokens_of
from core.settings import Settings, validated
from core.storage.files import read_json, write_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PROMPT = "prompt.json"
TEMPLATE_DAY = datetime(2024, 7, 26, tzinfo=UTC)
"""What a chat template gets that asks for the date: a prompt must not change at midnight."""


class PromptSettings(Settings):
    """How a task becomes a prompt."""

    encoding: GridEncoding = Field(GridEncoding(), description="How grids are written.")
    template: Literal["base", "chat", "pair"] = Field(
        "base",
        description="base: bare grids marked I and O. chat: the same inside the model's own chat template."
        " pair: no demonstrations; a token for the task, one for the symmetry, and the input grid.",
    )
    too_long: Literal["drop", "shorten"] = Field(
        "drop",
        description="What becomes of samples over training.max_seq_len and prompts over"
        " inference.max_model_len. drop: left out and counted. shorten: they lose demonstrations until they"
        " fit.",
    )

    @model_validator(mode="after")
    def _canvas_is_for_pairs(self) -> Self:
        if self.encoding.canvas is not None and self.template != "pair":
            raise ValueError("encoding.canvas goes with template pair alone; leave it empty")
        return self


def keep_prompt(folder: Path, settings: PromptSettings) -> None:
    """Write into a model's folder how the prompts were written that it was trained on."""
    write_json(folder / PROMPT, settings.model_dump(mode="json", include={"encoding", "template"}))


def prompt_of_model(folder: Path) -> PromptSettings | None:
    """How the prompts of a model's training were written; None where its folder does not say so."""
    try:
        return validated(PromptSettings, read_json(folder / PROMPT), str(folder / PROMPT))
    except (UserError, OSError):
        return None


@dataclass(frozen=True)
class Sample:
    """One training sample: its tokens, and for each token whether the loss counts it."""

    tokens: list[int]
    is_answer: list[bool]


def prompt_text(task: Task, settings: PromptSettings, end: str = "\n") -> str:
    """What a model reads, up to where the answer begins: demonstrations, each output followed by `end`, and
    the test input; in the pair template the test input alone."""
    if settings.template == "pair":
        return pair_text(task, settings.encoding)
    return "".join(
        text if not is_output else text + end for text, is_output in _segments(task, settings.encoding)
    )


def _segments(task: Task, encoding: GridEncoding) -> Iterator[tuple[str, bool]]:
    """The pieces of a prompt in order, and whether a piece is the output of a demonstration."""
    for pair in task.train:
        yield f"I{grid_to_text(pair.input, encoding)}\nO", False
        yield grid_to_text(_known(pair.output), encoding), True
    (test,) = task.test
    yield f"I{grid_to_text(test.input, encoding)}\nO", False


def answer_text(grid: Grid, settings: PromptSettings) -> str:
    """What the model shall write for this output grid (its end token not included)."""
    return grid_to_text(grid, settings.encoding)


def answer_tokens(grid: Grid, settings: PromptSettings, tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """The tokens of an answer, the end token included."""
    return [*tokens_of(answer_text(grid, settings), tokenizer), int(tokenizer.eos_token_id)]


def read_answer(text: str, settings: PromptSettings) -> Grid | None:
    """The grid that an answer writes, or None."""
    return text_to_grid(text, settings.encoding)


def can_be_written(task: Task, settings: PromptSettings) -> bool:
    """Whether the encoding can write the test pair (a canvas may be too small for it)."""
    return settings.template != "pair" or fits_canvas(task, settings.encoding)


def longest_answer(settings: PromptSettings) -> int:
    """Characters of the longest answer (30 × 30 cells, or a full canvas) with the end token: an upper bound
    of its tokens."""
    if settings.encoding.canvas is not None:
        return settings.encoding.canvas * (settings.encoding.canvas + 1)
    per_cell = 2 if settings.encoding.cell_separator == "space" else 1
    per_row = per_cell * MAX_SIDE + 1 + (3 if settings.encoding.row_numbers else 0)
    return MAX_SIDE * per_row + 6 + 1


def prompt_tokens(task: Task, settings: PromptSettings, tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """The tokens of the prompt, special tokens at its beginning included.

    In the base template each output ends with the end token, as the answer does, so a demonstration
    shows where an answer stops. Raises `UserError` where a chat template is requested and the
    tokenizer has none, and in the pair template where it has no token for the task.
    """
    if settings.template == "pair":
        return pair_tokens(task, settings.encoding, tokenizer)
    if settings.template == "base":
        return _base_prompt(task, settings, tokenizer)[0]
    if not tokenizer.chat_template:
        raise UserError(
            f"The tokenizer of {tokenizer.name_or_path} has no chat template."
            " Set prompt.template to 'base' or choose a chat model."
        )
    messages = [{"role": "user", "content": prompt_text(task, settings)}]
    try:
        tokens: Any = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_dict=False, strftime_now=TEMPLATE_DAY.strftime
        )
    except Exception as problem:  # a template raises whatever its expressions do
        reason = (str(problem).strip() or type(problem).__name__).split("\n")[0]
        raise UserError(
            f"The chat template of {tokenizer.name_or_path} can't be rendered ({reason})."
            " Correct its chat_template.jinja, or set prompt.template to 'base'."
        ) from None
    return list(tokens)


def _base_prompt(
    task: Task, settings: PromptSettings, tokenizer: "PreTrainedTokenizerBase"
) -> tuple[list[int], list[bool]]:
    """Tokens of the base template, and which of them belong to the outputs of demonstrations 2…"""
    tokens: list[int] = list(tokenizer("")["input_ids"])
    # Some tokenizers end every text; here that would end the prompt before it begins.
    while len(tokens) > 1 and tokens[-1] == tokenizer.eos_token_id:
        tokens.pop()
    counted = [False] * len(tokens)
    outputs = 0
    for text, is_output in _segments(task, settings.encoding):
        piece = tokens_of(text, tokenizer)
        if is_output:
            piece.append(int(tokenizer.eos_token_id))
            outputs += 1
        tokens += piece
        counted += [is_output and outputs > 1] * len(piece)
    return tokens, counted


def training_sample(
    task: Task,
    settings: PromptSettings,
    tokenizer: "PreTrainedTokenizerBase",
    *,
    every_output: bool = False,
) -> Sample:
    """Prompt, answer and end token of a task whose test output is known.

    The loss counts the answer and its end token; with `every_output` (base template only) those of the
    demonstrations after the first as well.
    """
    answer = tokens_of(answer_text(_known(task.test[0].output), settings), tokenizer)
    answer.append(int(tokenizer.eos_token_id))
    if not every_output:
        prompt = prompt_tokens(task, settings, tokenizer)
        counted = [False] * len(prompt)
    elif settings.template == "base":
        prompt, counted = _base_prompt(task, settings, tokenizer)
    else:
        raise UserError(
            "Loss on every output needs prompt.template 'base'. Set training.loss_on to 'answer'."
        )
    return Sample(prompt + answer, counted + [True] * len(answer))


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
    read_back = tokenizer.decode(tokens_of(needed, tokenizer), skip_special_tokens=True)
    if read_back != needed:
        lost = sorted(set(needed) - set(read_back))
        raise UserError(
            f"The tokenizer of {tokenizer.name_or_path} can't write {lost or 'the prompt'} back."
            " Choose another model or another prompt.encoding."
        )
    if tokenizer.eos_token_id is None:
        raise UserError(f"The tokenizer of {tokenizer.name_or_path} has no end token. Choose another model.")
