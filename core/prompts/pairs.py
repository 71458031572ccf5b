"""Pairs as prompts: a model that learns each task as a vector reads one input grid and writes its output.

The prompt is the task's token, the symmetry's token and the input grid; no demonstration is shown. Which
task has which token is written in the tokenizer beside the model, so it is frozen with the weights, sealed
and part of the model's fingerprint. On a canvas the input is written whole, so that the answer begins at the
same place in every prompt and a model with positions on the grid sees an output's cell one section behind
its input's.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from core.arc.tasks import Task
from core.arc.views import SYMMETRIES
from core.errors import UserError
from core.prompts.encoders import GridEncoding, grid_to_text, whole_canvas
from core.prompts.vocabulary import tokens_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BEFORE_THE_GRID = 3
"""Tokens before the input grid on a canvas: the beginning, the task and the symmetry."""


def task_token(task_id: str) -> str:
    """The token that stands for a task, as text."""
    return f"<task {task_id}>"


def symmetry_token(symmetry: int) -> str:
    """The token that stands for a symmetry (0–7), as text."""
    return f"<symmetry {symmetry}>"


def pair_text(task: Task, encoding: GridEncoding) -> str:
    """The prompt of a task's one test input as text, up to where the answer begins."""
    return task_token(task.task_id) + symmetry_token(task.symmetry) + _input_text(task, encoding)


def _input_text(task: Task, encoding: GridEncoding) -> str:
    (test,) = task.test
    if encoding.canvas is None:
        return f"I{grid_to_text(test.input, encoding)}\nO"
    return whole_canvas(test.input, encoding.canvas)


def knows(tokenizer: "PreTrainedTokenizerBase", task_id: str) -> bool:
    """Whether a tokenizer has a token for a task."""
    number: Any = tokenizer.convert_tokens_to_ids(task_token(task_id))
    return number is not None and number != tokenizer.unk_token_id


def pair_tokens(task: Task, encoding: GridEncoding, tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """The tokens of that prompt, those that begin any text included.

    Raises `UserError` where the tokenizer has no token for the task.
    """
    names = [task_token(task.task_id), symmetry_token(task.symmetry)]
    place: list[Any] = [tokenizer.convert_tokens_to_ids(name) for name in names]
    if not knows(tokenizer, task.task_id):
        raise UserError(
            f"The model has no token for task '{task.task_id}': it was not trained on it. Add the task's"
            " demonstrations to the mixture, or leave it out of the evaluation."
        )
    return [*tokenizer("")["input_ids"], *place, *tokens_of(_input_text(task, encoding), tokenizer)]


def pair_count(task: Task, encoding: GridEncoding) -> int:
    """The length of that prompt where every character is a token, as with the embedded tokenizer."""
    return BEFORE_THE_GRID + len(_input_text(task, encoding))


def fits_canvas(task: Task, encoding: GridEncoding) -> bool:
    """Whether the canvas holds the one test pair, the output only where it is known."""
    (test,) = task.test
    return all(encoding.holds(grid) for grid in (test.input, test.output) if grid is not None)


def add_task_tokens(tokenizer: "PreTrainedTokenizerBase", task_ids: Iterable[str]) -> list[int]:
    """Give the symmetries and each of these tasks a token, unless they have one; the numbers of them all.

    Tokens are numbered in the order of the ids, behind all that the tokenizer has; those of a base that knows
    tasks already stay as they are.
    """
    from tokenizers import AddedToken

    names = [symmetry_token(number) for number in range(SYMMETRIES)]
    names += [task_token(task_id) for task_id in sorted(set(task_ids))]
    known = tokenizer.get_added_vocab()
    fresh = [AddedToken(name, special=True, normalized=False) for name in names if name not in known]
    tokenizer.add_tokens(fresh, special_tokens=True)
    vocabulary = tokenizer.get_added_vocab()
    return [int(vocabulary[name]) for name in names]
