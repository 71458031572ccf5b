"""Evaluations: ask about every attempt and write predictions as they finish.

One engine answers many evaluations, of one run or of several that share its base model. While an
evaluation runs, finished attempts lie in whole part files; when the last one is in, they become
`predictions.parquet` and the parts go. A killed evaluation answers only what the parts lack.
"""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from core.errors import UserError
from core.inference.attempts import Question, plan_attempts
from core.inference.predict_by_search import forget_parts, search_views
from core.inference.prediction_parts import (
    PARTS,
    Evaluation,
    PartWriter,
    Report,
    answer_rows,
    combine_parts,
    finished_attempts,
    predictions_path,
)
from core.inference.requests import Completion, Engine, Request
from core.prompts.grammar import grid_grammar
from core.prompts.prompt_shortening import fitted_prompt
from core.prompts.template_checks import check_prompts
from core.prompts.templates import check_tokenizer, longest_answer
from core.seeds import derived_seed
from core.storage.schemas import PREDICTIONS, write_table

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


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
    (attempts done), total, tokens (prompt and output), tokens_per_second, dropped and shortened (prompts over
    the context, of all), eta_seconds.
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
            finished_attempts(job.folder / PARTS),
            job.folder,
            engine,
            tokenizer,
            settings,
            partial(answer_rows, evaluation),
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
        self.job, self.parts, self.total = job, job.folder / PARTS, len(questions)
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
        self.writer = PartWriter(
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
        return cls(job, questions_of(job.evaluation, tokenizer), finished_attempts(job.folder / PARTS))

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
            combine_parts(self.parts, predictions_path(self.job.folder), self.total)
        except UserError as problem:
            return problem
        return None
