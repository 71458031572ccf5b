"""Evaluations by search: each view of a task gives all of its answers above the bound, as rows of their own.

The answers of view v have the attempt numbers v·m, v·m + 1, … in the order of their probability, with m the
most that can be above the bound; a view without one has a single row that says why. Finished views lie in
part files, so a killed evaluation searches only the views that the parts lack.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from core.errors import UserError
from core.inference.attempts import Question
from core.inference.prediction_parts import PARTS
from core.inference.requests import Completion, Engine, Request
from core.inference.search import Found, alternatives_of, end_tokens, search
from core.inference.settings import SearchSettings
from core.machine.pace import Pace
from core.storage.schemas import PREDICTIONS, read_tables, write_table

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SEARCHED_TOGETHER = 64
"""Views that are searched at the same time, and written as one part."""
NOTHING, RAN_OUT = "nothing_above_bound", "requests_ran_out"

Write = Callable[[Sequence[Any]], pa.Table]


def search_views(
    questions: "Sequence[Question]",
    finished: set[tuple[str, str, int, int]],
    folder: Path,
    engine: Engine,
    tokenizer: "PreTrainedTokenizerBase",
    settings: SearchSettings,
    rows_of: Write,
    report: Callable[[dict[str, Any]], None],
    adapter: Path | None,
) -> pa.Table:
    """Search the views that `finished` attempts lack; the rows of all views. `rows_of` makes rows of
    questions and completions. Each part is reported: step (views done), total, tokens,
    tokens_per_second, eta_seconds.

    Raises `UserError` where the parts don't add up.
    """
    most = alternatives_of(settings)
    known = {(*key[:3], key[3] // most) for key in finished}
    left = [question for question in questions if question.attempt.key not in known]
    parts, done, begin = folder / PARTS, len(questions) - len(left), time.monotonic()
    number, tokens, pace = len(list(parts.glob("*.parquet"))), 0, Pace()
    for start in range(0, len(left), SEARCHED_TOGETHER):
        some = left[start : start + SEARCHED_TOGETHER]
        rows = list(_searched(some, engine, tokenizer, settings, adapter))
        number += 1
        write_table(parts / f"part-{number:05d}.parquet", rows_of(rows), PREDICTIONS)
        tokens += sum(question.prompt_tokens + answer.output_tokens for question, answer in rows if answer)
        elapsed, made = max(time.monotonic() - begin, 1e-9), start + len(some)
        report(
            {
                "step": done + made,
                "total": len(questions),
                "tokens": tokens,
                "tokens_per_second": tokens / elapsed,
                "eta_seconds": pace.seconds_left(made, len(left)),
            }
        )
    return _together(parts, len(questions), most)


def _searched(
    questions: "Sequence[Question]",
    engine: Engine,
    tokenizer: "PreTrainedTokenizerBase",
    settings: SearchSettings,
    adapter: Path | None,
) -> "Iterator[tuple[Question, Completion | None]]":
    searched: list[tuple[Any, Request]] = [
        (question, replace(question.request, adapter=adapter))
        for question in questions
        if question.request is not None
    ]
    prompts = [request for _, request in searched]
    found = search(prompts, engine, end_tokens(tokenizer), settings)
    most = alternatives_of(settings)
    for question, one in zip((question for question, _ in searched), found, strict=True):
        for place, completion in enumerate(_completions(one, tokenizer)):
            number = question.attempt.number * most + place
            yield replace(question, attempt=replace(question.attempt, number=number)), completion
    for question in questions:
        if question.request is None:
            number = question.attempt.number * most
            yield replace(question, attempt=replace(question.attempt, number=number)), None


def _completions(found: Found, tokenizer: "PreTrainedTokenizerBase") -> Iterator[Completion]:
    for answer in found.answers:
        text = str(tokenizer.decode(list(answer.tokens), skip_special_tokens=True))
        yield Completion(0, text, len(answer.tokens) + 1, "stop", answer.logprob)
    if not found.answers:
        yield Completion(0, "", 0, NOTHING if found.exhaustive else RAN_OUT, float("nan"))


def _together(parts: Path, views: int, most: int) -> pa.Table:
    table = read_tables(sorted(parts.glob("*.parquet")), PREDICTIONS)
    keys = ("source", "task_id", "test_index", "attempt")
    columns = [table.column(name).to_pylist() for name in keys]
    found = {(*rest, number // most) for *rest, number in zip(*columns, strict=True)}
    if len(found) != views:
        raise UserError(
            f"{parts} holds {len(found)} searched views instead of {views}."
            " Delete that folder and start the run again."
        )
    return table.sort_by([(name, "ascending") for name in keys])


def forget_parts(folder: Path) -> None:
    """Remove the parts once their rows are together."""
    shutil.rmtree(folder / PARTS, ignore_errors=True)
