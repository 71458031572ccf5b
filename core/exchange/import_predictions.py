"""Predictions from elsewhere: a file of grids becomes an evaluation like any other, with its scores.

The file becomes `predictions.parquet` and `scores.parquet` in a folder of `runs/`, so that tables,
comparisons and the Tasks page show it beside what was made here. It has no log-probabilities, so ties
between answers are broken by first appearance.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa

from core.arc.tasks import Task
from core.arc.views import IDENTITY_COLOURS
from core.errors import UserError
from core.exchange.import_scores import NAME_OF_EXPERIMENT
from core.exchange.submissions import Attempts, read_attempts, tasks_with_tests
from core.runs.imported_rows import FROM_ELSEWHERE
from core.runs.layout import IMPORTED, LAUNCH_LOCK, SPEC, Run, experiment_folder, runs_folder
from core.scoring.scores import Scoring, score, truths_of
from core.storage.files import locked, sha256_of, write_json, writing
from core.storage.json_records import Record, Text, read_as
from core.storage.schemas import PREDICTIONS, grid_columns, write_table

ORIGIN = "origin.json"
_MOST_NOTED = 1_000
METRICS = ("accuracy", "correct_pixels", "correct_size", "vote_2")


def import_predictions(
    root: Path,
    file: Path,
    source: str,
    experiment: str,
    variant: str,
    train_seed: int = 0,
    eval_seed: int = 0,
) -> Attempts:
    """Import a file of predictions as one evaluation of a variant; what was read of it.

    Tasks of the source that the file lacks count as wrong. The experiment may be a launched one that has
    no such variant, or one of imported predictions, or new. Raises `UserError` for names that can't be,
    an evaluation that is there already, and a file that can't be read.
    """
    for name in (experiment, variant):
        if not NAME_OF_EXPERIMENT.fullmatch(name):
            raise UserError(f"'{name}' can't be a name. Use letters, digits, '.', '_' and '-', at most 64.")
    tasks = tasks_with_tests(root, source)
    folder = experiment_folder(root, experiment)
    run = Run(root, experiment, variant, train_seed)
    target = run.eval_folder(eval_seed)
    attempts = read_attempts(file, tasks)
    table = _table(attempts.grids, tasks, experiment, variant, train_seed, eval_seed)
    origin = {"file": file.name, "sha256": sha256_of(file) if file.is_file() else None, "source": source}
    with locked(runs_folder(root) / LAUNCH_LOCK):
        if target.exists() or run.record_file.exists():
            raise UserError(f"{target.relative_to(root)} is taken. Choose another variant or seed.")
        described = _described(folder, variant, file)
        with writing(target) as made:
            write_table(made / run.predictions(eval_seed).name, table, PREDICTIONS)
            evaluation = Scoring(made, experiment, variant, train_seed, eval_seed)
            score(evaluation, truths_of(list(tasks.values())))
            write_json(made / ORIGIN, {**origin, "bad_attempts": list(attempts.bad[:_MOST_NOTED])})
            if described is not None:
                write_json(folder / IMPORTED, described)
    return attempts


class _Known(Record):
    """What is read of the description that an earlier import wrote."""

    imported: bool = False
    variants: list[Text]


def _described(folder: Path, variant: str, file: Path) -> dict[str, Any] | None:
    """The description that the experiment needs now; None where a launched one has its own."""
    if (folder / SPEC).exists():
        return None
    if not (folder / IMPORTED).exists():
        question = f"Predictions from {file.name}"
        return {
            "imported": False,
            "question": question,
            "origin": file.name,
            "baseline": variant,
            "metrics": list(METRICS),
            "variants": [variant],
        }
    known = read_as(folder / IMPORTED, _Known).model_dump()
    if known.get("imported"):
        raise UserError(f"'{folder.name}' holds imported numbers. Choose another experiment.")
    return {**known, "variants": list(dict.fromkeys([*known["variants"], variant]))}


def _table(
    attempts: dict[tuple[str, int], list[Any]], tasks: dict[str, Task], experiment: str, variant: str,
    train_seed: int, eval_seed: int,
) -> pa.Table:  # fmt: skip
    """The attempts as predictions in the original view."""
    records, grids = [], []
    for (task_id, test_index), answers in attempts.items():
        task = tasks[task_id]
        for number, grid in enumerate(answers):
            grids.append(grid)
            records.append(
                {
                    "experiment": experiment,
                    "variant": variant,
                    "train_seed": train_seed,
                    "eval_seed": eval_seed,
                    "source": task.source,
                    "task_id": task_id,
                    "test_index": test_index,
                    "attempt": number,
                    "symmetry": 0,
                    "colours": bytes(IDENTITY_COLOURS),
                    "pair_order": bytes(range(len(task.train))),
                    "finish_reason": FROM_ELSEWHERE,
                }
            )
    names = [name for name in PREDICTIONS.names if not name.startswith("output_") or name == "output_tokens"]
    columns = {name: [record.get(name) for record in records] for name in names}
    return pa.table({**columns, **grid_columns("output", grids)}, schema=PREDICTIONS)
