"""A look at the prompts before a training or an evaluation, on two tasks that are always the same.

A chat template may leave out what it is given, or change from one rendering to the next; a tokenizer may add
tokens of its own. Whoever trains on such prompts gets numbers that mean nothing.
"""

from typing import TYPE_CHECKING

import numpy as np

from core.arc.tasks import Pair, Task
from core.errors import UserError
from core.prompts.encoders import GridEncoding, grid_to_text
from core.prompts.templates import (
    PromptSettings,
    Sample,
    answer_text,
    answer_tokens,
    prompt_tokens,
    training_sample,
)
from core.seeds import generator
from core.storage.files import fingerprint

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SIDES = (3, 4)


def _probe(name: str) -> Task:
    """A task of five grids that all differ, the same one for the same name."""
    rng = generator(0, "probe", name)
    grids = [rng.integers(0, 10, _SIDES).astype(np.uint8) for _ in range(6)]
    pairs = [Pair(grids[place], grids[place + 1]) for place in (0, 2, 4)]
    return Task(name, "probe", name, tuple(pairs[:-1]), (pairs[-1],))


PROBES = (_probe("one"), _probe("two"))


def check_prompts(tokenizer: "PreTrainedTokenizerBase", settings: PromptSettings) -> None:
    """Raise `UserError` unless prompts hold what they must: every grid of the task exactly once and in its
    order, but not the answer; no end token where the answer begins; another prompt for another task, and the
    same for the same one.
    """
    if settings.template == "pair":  # of which nothing but the task's token comes from elsewhere
        return
    where = _name(tokenizer, settings)
    if settings.template == "chat" and _draws(tokenizer):
        raise UserError(f"{where} draws at random, so no two prompts agree. {_REMEDY}")
    prompts = [prompt_tokens(task, settings, tokenizer) for task in PROBES]
    if prompts[0] == prompts[1]:
        raise UserError(f"{where} makes the same prompt of two tasks: it leaves out the grids. {_REMEDY}")
    for task, tokens in zip(PROBES, prompts, strict=True):
        if tokens != prompt_tokens(task, settings, tokenizer):
            raise UserError(f"{where} makes another prompt each time. {_REMEDY}")
        problem = _problem(task, tokens, settings, tokenizer)
        if problem is not None:
            raise UserError(f"{where} {problem}. {_REMEDY}")


_REMEDY = "Correct it, or choose another prompt.template or model."


def _problem(
    task: Task, tokens: list[int], settings: PromptSettings, tokenizer: "PreTrainedTokenizerBase"
) -> str | None:
    """What is wrong with a probe's prompt, or None."""
    text = str(tokenizer.decode(tokens, clean_up_tokenization_spaces=False))
    (test,) = task.test
    shown = [*(grid for pair in task.train for grid in (pair.input, pair.output)), test.input]
    grids = [grid_to_text(grid, settings.encoding) for grid in shown if grid is not None]
    counts = [text.count(grid) for grid in grids]
    if 0 in counts:
        return f"leaves out {counts.count(0)} of the {len(grids)} grids of a task"
    if max(counts) > 1:
        return "repeats grids of the task"
    places = [text.index(grid) for grid in grids]
    if places != sorted(places):
        return "changes the order of the grids"
    assert test.output is not None
    if answer_text(test.output, settings) in text:
        return "shows the answer"
    end = tokenizer.eos_token_id
    if tokens[-1] == end:
        return "ends the prompt with the end token, after which no answer begins"
    if settings.template == "base" and tokens[1:].count(end) != len(task.train):
        return "has end tokens in the middle of the prompt"
    if answer_tokens(test.output, settings, tokenizer)[:-1].count(end):
        return "has end tokens in the middle of the answer"
    return None


def _name(tokenizer: "PreTrainedTokenizerBase", settings: PromptSettings) -> str:
    what = "The chat template" if settings.template == "chat" else "The tokenizer"
    return f"{what} of {tokenizer.name_or_path}"


def _draws(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Whether a chat template uses a filter that draws at random."""
    from jinja2 import Environment, TemplateError, nodes

    try:
        parsed = Environment(extensions=["jinja2.ext.loopcontrols"]).parse(str(tokenizer.get_chat_template()))
    except (TemplateError, ValueError):  # rendering it says what is wrong
        return False
    return any(one.name == "random" for one in parsed.find_all(nodes.Filter))


def prompts_fingerprint(tokenizer: "PreTrainedTokenizerBase", settings: PromptSettings) -> str:
    """The sha256 (hex) of the tokens of both probes' prompts and answers: equal where prompts are equal,
    whatever files and libraries they come from."""
    return fingerprint([sample.tokens for sample in probe_samples(tokenizer, settings)])


def probe_samples(tokenizer: "PreTrainedTokenizerBase", settings: PromptSettings) -> list[Sample]:
    """The probes as training samples; those of the pair template, which has no token for them, as of base."""
    if settings.template == "pair":
        settings = settings.model_copy(update={"template": "base", "encoding": GridEncoding()})
    return [training_sample(task, settings, tokenizer) for task in PROBES]
