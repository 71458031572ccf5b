"""Rescoring: how likely is each distinct answer under views that all answers share?

Votes count how often an answer was written; rescoring scores every answer with the model in the same way:
the mean, over V views of the task, of the log-probability of writing the answer as that view shows it (as
Franzen et al. 2024 did for the ARC Prize). Candidates and their values are stored in `candidates.parquet`, so
that selectors are compared offline, on the same candidates.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from core.arc.grids import Grid, same_grid
from core.arc.tasks import Task
from core.inference.attempts import draw_view
from core.inference.prediction_parts import Evaluation, Report, keys_in, predictions_path
from core.inference.requests import Engine, Request
from core.prompts.prompt_shortening import fitted_prompt
from core.prompts.templates import answer_tokens
from core.seeds import derived_seed
from core.storage.evaluation_files import CANDIDATES_FILE
from core.storage.queries import parquet, query
from core.storage.schemas import (
    CANDIDATES,
    PREDICTIONS,
    grid_columns,
    grids_of,
    read_tables,
    write_table,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

OUTPUTS_PER_PART = 32

# The order of vote_k: votes, mean log-probability per token, first appearance.
_CANDIDATES = """
SELECT source, task_id, test_index, output_cells, output_h, output_w, count(*) AS votes,
       min(attempt) AS first_attempt
FROM {predictions} WHERE output_cells IS NOT NULL
GROUP BY ALL
ORDER BY source, task_id, test_index, votes DESC,
         avg(logprob / NULLIF(output_tokens, 0)) FILTER (NOT isnan(logprob)) DESC NULLS LAST, first_attempt
"""

Key = tuple[str, str, int]


@dataclass(frozen=True)
class Candidate:
    """One distinct answer to a test output, in the original view."""

    grid: Grid
    votes: int
    first_attempt: int


def candidates_path(folder: Path) -> Path:
    """Where the candidates of an evaluation lie in its folder."""
    return folder / CANDIDATES_FILE


def rescore(
    evaluation: Evaluation,
    engine: Engine,
    tokenizer: "PreTrainedTokenizerBase",
    folder: Path,
    report: Report,
    *,
    adapter: Path | None = None,
    views: int = 8,
    most: int = 16,
) -> Path:
    """Score the `most` most voted answers to each output under `views` views; where they are stored.

    What was scored before an interruption is not scored again. Where the evaluation holds some of the tasks
    only, as when each group of tasks has a model of its own, `candidates.parquet` comes with the last of
    them. A view whose prompt and answers don't fit the context counts for none of an output's candidates.
    Each part is reported: step, total (outputs).
    """
    target = candidates_path(folder)
    if target.exists():
        return target
    parts = folder / "rescoring"
    left = candidates_of(predictions_path(folder))
    total = len(left)
    for key in keys_in(parts, CANDIDATES, ("source", "task_id", "test_index")):  # scored before
        left.pop(key, None)
    before = total - len(left)
    tasks = {(task.source, task.task_id): task for task in evaluation.tasks}
    keys = [key for key in left if key[:2] in tasks]
    for start in range(0, len(keys), OUTPUTS_PER_PART):
        part = {key: left[key] for key in keys[start : start + OUTPUTS_PER_PART]}
        requested = [
            (key, place, request)
            for key, candidates in part.items()
            for place, request in _requests(
                evaluation, tasks[key[:2]], key[2], candidates[:most], tokenizer, adapter, views
            )
        ]
        found: dict[tuple[Key, int], list[float]] = {}
        for completion in engine.complete([request for *_, request in requested]):
            key, place, _ = requested[completion.index]
            found.setdefault((key, place), []).append(completion.logprob)
        done = before + start + len(part)
        write_table(parts / f"part-{done:06d}.parquet", _table(evaluation, part, found, tasks), CANDIDATES)
        report({"step": done, "total": total, "eval_seed": evaluation.eval_seed})
    if len(keys) < len(left):
        return target
    table = read_tables(sorted(parts.glob("*.parquet")), CANDIDATES)
    order = [(name, "ascending") for name in ("source", "task_id", "test_index", "place")]
    write_table(target, table.sort_by(order), CANDIDATES)
    shutil.rmtree(parts, ignore_errors=True)
    return target


def candidates_of(predictions: Path) -> dict[Key, list[Candidate]]:
    """The distinct answers to each output, the most voted first; outputs without any answer are left out."""
    table = query(_CANDIDATES.format(predictions=parquet([predictions], PREDICTIONS)))
    found: dict[Key, list[Candidate]] = {}
    records = table.select(["source", "task_id", "test_index", "votes", "first_attempt"]).to_pylist()
    for record, grid in zip(records, grids_of(table, "output"), strict=True):
        assert grid is not None
        key = (record["source"], record["task_id"], record["test_index"])
        found.setdefault(key, []).append(Candidate(grid, record["votes"], record["first_attempt"]))
    return found


def _requests(
    evaluation: Evaluation,
    task: Task,
    test_index: int,
    candidates: Sequence[Candidate],
    tokenizer: "PreTrainedTokenizerBase",
    adapter: Path | None,
    views: int,
) -> Iterator[tuple[int, Request]]:
    """For each common view in which all fit, a request about each candidate (by its place)."""
    settings = evaluation.settings
    seed = derived_seed(evaluation.eval_seed, "rescoring") % 2**32
    single = replace(task, test=(task.test[test_index],))
    for number in range(views):
        view = draw_view(settings.views, seed, task, test_index, number)
        answers = [
            answer_tokens(view.apply_to_grid(one.grid), evaluation.prompt, tokenizer) for one in candidates
        ]
        longest = max(map(len, answers))
        prompt = fitted_prompt(
            view.apply(single), evaluation.prompt, tokenizer, settings.max_model_len, longest_output=longest
        )
        if not prompt.fits or len(prompt.tokens) + longest >= settings.max_model_len:
            continue
        for place, answer in enumerate(answers):
            yield place, Request(prompt.tokens, 1, 0, adapter, answer=tuple(answer))


def _table(
    evaluation: Evaluation,
    part: dict[Key, list[Candidate]],
    found: dict[tuple[Key, int], list[float]],
    tasks: dict[tuple[str, str], Task],
) -> pa.Table:
    """Candidates with their mean log-probabilities and places by them; NULL where they are unknown."""
    records: list[dict[str, Any]] = []
    grids: list[Grid] = []
    for key, candidates in part.items():
        truth = tasks[key[:2]].test[key[2]].output
        means = [found.get((key, place)) for place in range(len(candidates))]
        values = [None if one is None else float(np.mean(one)) for one in means]
        order = sorted(range(len(candidates)), key=lambda at: (values[at] is None, -(values[at] or 0.0), at))
        for place, at in enumerate(order, 1):
            records.append(
                {
                    "experiment": evaluation.experiment,
                    "variant": evaluation.variant,
                    "train_seed": evaluation.train_seed,
                    "eval_seed": evaluation.eval_seed,
                    **dict(zip(("source", "task_id", "test_index"), key, strict=True)),
                    "place": place,
                    "votes": candidates[at].votes,
                    "vote_place": at + 1,
                    "first_attempt": candidates[at].first_attempt,
                    "views": len(means[at] or []),
                    "logprob": values[at],
                    "correct": same_grid(candidates[at].grid, truth),
                }
            )
            grids.append(candidates[at].grid)
    names = [name for name in CANDIDATES.names if not name.startswith("output_")]
    columns = {name: [record[name] for record in records] for name in names}
    return pa.table({**columns, **grid_columns("output", grids)}, schema=CANDIDATES)
