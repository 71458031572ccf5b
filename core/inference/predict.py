"""Evaluations: ask about every attempt and write predictions as they finish.

One engine answers many evaluations, of one run or of several that share its base model. While an
evaluation runs, finished attempts lie in whole part files; when the last one is in, they become
`predictions.parquet` and the parts go. A killed evaluation answers only what the parts lack.
"""

import itertools
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from core.arc.tasks import Task
from core.errors import UserError
from core.inference.attempts import Question, plan_attempts
from core.inference.predict_by_search import forget_parts, search_views
from core.inference.requests import Completion, Engine, Request
from core.inference.settings import InferenceSettings
from core.prompts.checks import check_prompts
from core.prompts.grammar import grid_grammar
from core.prompts.shortening import fitted_prompt
from core.prompts.templates import PromptSettings, check_tokenizer, longest_answer, read_answer
from core.seeds import derived_seed
from core.storage.evaluation_files import PREDICTIONS_FILE
from core.storage.schemas import PREDICTIONS, grid_columns, read_table, write_table

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Report = Callable[[dict[str, Any]], None]
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


def questions_of(evaluation: Evaluation, tokenizer: "PreTrainedTokenizerBase") -> list[Question]:
    """Every attempt of the evaluation with its prompt."""
    settings = evaluation.settings
    limit = settings.max_output_tokens or longest_answer(evaluation.prompt)
    grammar = grid_grammar(evaluation.prompt.encoding) if settings.only_grids else None
    questions = []
    for attempt in plan_attempts(evaluation.tasks, settings, evaluation.eval_seed):
        prompt = fitted_prompt(
            attempt.task, evaluation.prompt, tokenizer, settings.max_model_len, longest_output=limit
        )
        room = min(limit, settings.max_model_len - len(prompt.tokens))
        seed = derived_seed(evaluation.eval_seed, "sampling", *attempt.key[1:])
        request = Request(prompt.tokens, room, seed, grammar=grammar) if prompt.fits else None
        questions.append(
            Question(attempt, len(prompt.tokens), prompt.demonstrations, request, prompt.why_not)
        )
    return questions


@dataclass(frozen=True)
class Job:
    """One evaluation to be answered: by which adapter (None: by the engine's model as it is), into which
    folder, and who hears of its progress."""

    evaluation: Evaluation
    folder: Path
    report: Report
    adapter: Path | None = None


def answer(
    jobs: Iterable[Job], engine: Engine, tokenizer: "PreTrainedTokenizerBase"
) -> Iterator[tuple[Job, UserError | None]]:
    """Answer all questions of many evaluations that have no answer on disk yet, by one engine.

    Yields each job when its `predictions.parquet` is there, or with the problem that kept it from it (its
    adapter can't be loaded), while the others go on. Each part is reported to its job as a record: step
    (attempts done), total, tokens_per_second (prompt and output), dropped and shortened (prompts over the
    context, of all), eta_seconds.
    """
    jobs = iter(jobs)
    first = next(jobs, None)
    if first is None:
        return
    jobs = itertools.chain((first,), jobs)
    if first.evaluation.settings.search is not None:  # which all jobs of an experiment share
        for job in jobs:
            yield job, _search(job, engine, tokenizer)
        return
    waiting: dict[int, tuple[_Work, Question]] = {}
    ended: deque[tuple[Job, UserError | None]] = deque()

    def requests() -> Iterator[Request]:
        number = itertools.count()
        for job in jobs:
            try:
                work = _Work.begin(job, engine, tokenizer)
            except UserError as problem:
                ended.append((job, problem))
                continue
            if not work.requests:
                ended.append((job, work.finish()))
            for question, request in work.requests:
                waiting[next(number)] = (work, question)
                yield request

    for completion in engine.complete(requests()):
        work, question = waiting.pop(completion.index)
        if work.add(question, completion):
            ended.append((work.job, work.finish()))
        while ended:
            yield ended.popleft()
    yield from ended


def predict(
    evaluation: Evaluation,
    engine: Engine,
    tokenizer: "PreTrainedTokenizerBase",
    folder: Path,
    report: Report,
    adapter: Path | None = None,
) -> Path:
    """The same for one evaluation; where its predictions lie. Raises `UserError` where it can't be done."""
    for _, problem in answer([Job(evaluation, folder, report, adapter)], engine, tokenizer):
        if problem is not None:
            raise problem
    return predictions_path(folder)


def _search(job: Job, engine: Engine, tokenizer: "PreTrainedTokenizerBase") -> UserError | None:
    """Answer a job by search; the problem that kept it from it."""
    evaluation, settings = job.evaluation, job.evaluation.settings.search
    if settings is None or predictions_path(job.folder).exists():
        return None
    try:
        check_tokenizer(tokenizer, evaluation.prompt)
        check_prompts(tokenizer, evaluation.prompt)
        if job.adapter is not None:
            engine.prepare(job.adapter)
        table = search_views(
            questions_of(evaluation, tokenizer),
            _finished(job.folder / "parts"),
            job.folder,
            engine,
            tokenizer,
            settings,
            partial(_table, evaluation),
            lambda record: job.report({**record, "eval_seed": evaluation.eval_seed}),
            job.adapter,
        )
    except UserError as problem:
        return problem
    write_table(predictions_path(job.folder), table, PREDICTIONS)
    forget_parts(job.folder)
    return None


class _Work:
    """What is left of a job, and its writer."""

    def __init__(self, job: Job, questions: Sequence[Question], finished: set[tuple[str, str, int, int]]):
        self.job, self.parts, self.total = job, job.folder / "parts", len(questions)
        missing = [question for question in questions if question.attempt.key not in finished]
        requests = [
            (question, replace(question.request, adapter=job.adapter))
            for question in missing
            if question.request is not None
        ]
        # Long ones first: an engine is at its best while many answers go on, so none should begin late.
        self.requests = sorted(requests, key=lambda one: -one[0].prompt_tokens)
        self.left = len(self.requests)
        to_read = sum(question.prompt_tokens for question, _ in requests)
        self.writer = _Writer(
            job.evaluation, self.parts, job.report, questions, done=len(finished), to_read=to_read
        )
        for question in missing:
            if question.request is None:
                self.writer.add(question, None)

    @classmethod
    def begin(cls, job: Job, engine: Engine, tokenizer: "PreTrainedTokenizerBase") -> Self:
        """The work of a job; none where its predictions are there. Raises `UserError` like `answer`."""
        if predictions_path(job.folder).exists():
            return cls(job, [], set())
        check_tokenizer(tokenizer, job.evaluation.prompt)
        check_prompts(tokenizer, job.evaluation.prompt)
        if job.adapter is not None:
            engine.prepare(job.adapter)
        return cls(job, questions_of(job.evaluation, tokenizer), _finished(job.folder / "parts"))

    def add(self, question: Question, completion: Completion) -> bool:
        """Take an answer; whether it was the last one."""
        self.writer.add(question, completion)
        self.left -= 1
        return self.left == 0

    def finish(self) -> UserError | None:
        """Write `predictions.parquet` unless it is there; the problem if the parts don't add up."""
        if predictions_path(self.job.folder).exists():
            return None
        self.writer.flush()
        try:
            _combine(self.parts, predictions_path(self.job.folder), self.total)
        except UserError as problem:
            return problem
        return None


class _Writer:
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
        self.number = 1 + max(
            (int(path.stem.removeprefix("part-")) for path in parts.glob("*.parquet")), default=0
        )

    def add(self, question: Question, completion: Completion | None) -> None:
        self.pending.append((question, completion))
        if completion is not None:
            self.read += question.prompt_tokens
            self.tokens += question.prompt_tokens + completion.output_tokens
        if time.monotonic() - self.last >= SECONDS_PER_PART:
            self.flush()

    def flush(self) -> None:
        if self.pending:
            path = self.parts / f"part-{self.number:05d}.parquet"
            write_table(path, _table(self.evaluation, self.pending), PREDICTIONS)
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
                "tokens_per_second": self.tokens / elapsed,
                "dropped": self.dropped,
                "shortened": self.shortened,
                "eta_seconds": elapsed / self.read * (self.to_read - self.read) if self.read else None,
            }
        )


def _table(evaluation: Evaluation, answers: Sequence[tuple[Question, Completion | None]]) -> pa.Table:
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


def _finished(parts: Path) -> set[tuple[str, str, int, int]]:
    """Keys of the attempts that lie in part files; a broken part is removed and answered again."""
    finished: set[tuple[str, str, int, int]] = set()
    for path in sorted(parts.glob("*.parquet")):
        try:
            table = read_table(path, PREDICTIONS, ("source", "task_id", "test_index", "attempt"))
        except UserError:
            path.unlink()
            continue
        finished.update(zip(*(column.to_pylist() for column in table.columns), strict=True))
    return finished


def _combine(parts: Path, target: Path, expected: int) -> None:
    """All parts as one file, in the order of tasks, tests and attempts."""
    table = pa.concat_tables([read_table(path, PREDICTIONS) for path in sorted(parts.glob("*.parquet"))])
    if table.num_rows != expected:
        raise UserError(
            f"{parts} holds {table.num_rows} attempts instead of {expected}."
            " Delete that folder and start the run again."
        )
    keys = [(name, "ascending") for name in ("source", "task_id", "test_index", "attempt")]
    write_table(target, table.sort_by(keys), PREDICTIONS)
    shutil.rmtree(parts)
