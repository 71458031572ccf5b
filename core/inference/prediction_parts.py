"""Answers on disk: whole part files while an evaluation runs, then one `predictions.parquet`.

A killed evaluation finds its finished attempts in the parts. A broken part is removed, and answered again.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from core.arc.tasks import Task
from core.errors import UserError
from core.inference.attempts import Question
from core.inference.requests import Completion
from core.inference.settings import InferenceSettings
from core.machine.pace import Pace
from core.prompts.templates import PromptSettings, read_answer
from core.storage.evaluation_files import PREDICTIONS_FILE
from core.storage.schemas import PREDICTIONS, grid_columns, read_table, read_tables, write_table

Report = Callable[[dict[str, Any]], None]
PARTS = "parts"
"""The folder of part files in that of an evaluation."""
SECONDS_PER_PART = 3.0
TOO_LONG = "prompt_too_long"


@dataclass(frozen=True)
class Evaluation:
    """Everything one evaluation is made of."""

    experiment: str
    variant: str
    train_seed: int
    eval_seed: int
    tasks: Sequence[Task]
    settings: InferenceSettings
    prompt: PromptSettings


def predictions_path(folder: Path) -> Path:
    """Where the predictions of an evaluation lie in its folder."""
    return folder / PREDICTIONS_FILE


class PartWriter:
    """Collects answers and writes a part every few seconds."""

    def __init__(
        self,
        evaluation: Evaluation,
        parts: Path,
        report: Report,
        questions: Sequence[Question],
        *,
        done: int,
        to_read: int,
    ) -> None:
        self.evaluation, self.parts, self.report = evaluation, parts, report
        self.total, self.done = len(questions), done
        self.dropped = sum(question.request is None for question in questions)
        self.shortened = sum(question.is_shortened for question in questions)
        self.pending: list[tuple[Question, Completion | None]] = []
        self.tokens = self.read = 0
        self.to_read = to_read
        self.begin = self.last = time.monotonic()
        self.pace = Pace()
        self.number = 1 + max(
            (int(path.stem.removeprefix("part-")) for path in parts.glob("*.parquet")), default=0
        )

    def add(self, question: Question, completion: Completion | None) -> None:
        """Take an answer, None where the prompt was too long; write those that wait every few seconds."""
        self.pending.append((question, completion))
        if completion is not None:
            self.read += question.prompt_tokens
            self.tokens += question.prompt_tokens + completion.output_tokens
            self.pace.begin(self.read)
        if time.monotonic() - self.last >= SECONDS_PER_PART:
            self.flush()

    def flush(self) -> None:
        """Write the answers that wait as one part, and report how far the evaluation is."""
        if self.pending:
            path = self.parts / f"part-{self.number:05d}.parquet"
            write_table(path, answer_rows(self.evaluation, self.pending), PREDICTIONS)
            self.number += 1
            self.done += len(self.pending)
            self.pending = []
        self.last = time.monotonic()
        elapsed = max(self.last - self.begin, 1e-9)
        self.report(
            {
                "step": self.done,
                "total": self.total,
                "eval_seed": self.evaluation.eval_seed,
                "tokens": self.tokens,
                "tokens_per_second": self.tokens / elapsed,
                "dropped": self.dropped,
                "shortened": self.shortened,
                "eta_seconds": self.pace.seconds_left(self.read, self.to_read) if self.read else None,
            }
        )


def answer_rows(evaluation: Evaluation, answers: Sequence[tuple[Question, Completion | None]]) -> pa.Table:
    """Answers as rows of the predictions schema, grids turned back to the original view."""
    records = [_record(evaluation, question, completion) for question, completion in answers]
    grids = []
    for question, completion in answers:
        seen = None if completion is None else read_answer(completion.text, evaluation.prompt)
        grids.append(None if seen is None else question.attempt.view.undo(seen))
    columns = {name: [record[name] for record in records] for name in records[0]}
    return pa.table({**columns, **grid_columns("output", grids)}, schema=PREDICTIONS)


def _record(evaluation: Evaluation, question: Question, completion: Completion | None) -> dict[str, Any]:
    attempt = question.attempt
    order = attempt.view.pair_order or range(len(attempt.task.train))
    return {
        "experiment": evaluation.experiment,
        "variant": evaluation.variant,
        "train_seed": evaluation.train_seed,
        "eval_seed": evaluation.eval_seed,
        "source": attempt.source,
        "task_id": attempt.task_id,
        "test_index": attempt.test_index,
        "attempt": attempt.number,
        "symmetry": attempt.view.symmetry,
        "colours": bytes(attempt.view.colours),
        "pair_order": bytes(order[: question.demonstrations]),
        "prompt_tokens": question.prompt_tokens,
        "output_tokens": completion.output_tokens if completion else 0,
        "finish_reason": completion.finish_reason if completion else question.why_not or TOO_LONG,
        "logprob": completion.logprob if completion else None,
        "text": completion.text if completion else None,
    }


def finished_attempts(parts: Path) -> set[tuple[str, str, int, int]]:
    """Keys of the attempts that lie in part files; a broken part is removed and answered again."""
    return keys_in(parts, PREDICTIONS, ("source", "task_id", "test_index", "attempt"))


def keys_in(parts: Path, schema: pa.Schema, names: Sequence[str]) -> set[Any]:
    """The keys of all rows in part files, by the columns of these names; a broken part is removed."""
    found: set[Any] = set()
    for path in sorted(parts.glob("*.parquet")):
        try:
            table = read_table(path, schema, names)
        except UserError:
            path.unlink()
            continue
        found.update(zip(*(column.to_pylist() for column in table.columns), strict=True))
    return found


def combine_parts(parts: Path, target: Path, expected: int) -> None:
    """All parts as one file, in the order of tasks, tests and attempts."""
    table = read_tables(sorted(parts.glob("*.parquet")), PREDICTIONS)
    if table.num_rows != expected:
        raise UserError(
            f"{parts} holds {table.num_rows} attempts instead of {expected}."
            " Delete that folder and start the run again."
        )
    keys = [(name, "ascending") for name in ("source", "task_id", "test_index", "attempt")]
    write_table(target, table.sort_by(keys), PREDICTIONS)
    shutil.rmtree(parts, ignore_errors=True)
