"""A stage in parts, wherever each runs: a part adapts some of the groups, or answers some of the tasks, and
the last one to end puts them together.

A group's training depends on its tasks and the run's seed alone, and a view on the evaluation's seed, task,
test and attempt, so the parts together are what one process would have made. They are dealt out by groups,
and by tasks, whose attempts stay together. A group is done when its result exists, a part of an evaluation
when its `predictions.parquet` does, so a part that is started again does only what is missing.
"""

import logging
import shutil
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

from core.arc.tasks import Task
from core.errors import Stopped, UserError, panics_as_errors
from core.experiments.launched_experiment import LaunchedExperiment
from core.experiments.provenance import add_to_record
from core.inference.predict import Job, answer
from core.pipeline.adapt import adapt_groups, forget_weights, gather, groups_of_run, is_adapted
from core.pipeline.answer_groups import answer_tasks
from core.pipeline.shared_engine import (
    check_trained_prompts,
    engine_record,
    evaluation_of,
    what_answers,
)
from core.runs.done import STAGES_IN_PARTS, Stage
from core.runs.layout import SHARDS, Run
from core.runs.reporter import failure_message
from core.storage.evaluation_files import PREDICTIONS_FILE
from core.storage.files import locked, write_json
from core.storage.json_records import Amount, Count, Record, Text, read_as_or_none
from core.storage.schemas import PREDICTIONS, read_tables, write_table
from core.training.adaptation import Group

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shard:
    """Part number `number`, from 1 on, of `of`."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The shard that "2/4" names. Raises `UserError` where the text names none."""
        number, _, of = text.partition("/")
        if number.isdigit() and of.isdigit() and 1 <= int(number) <= int(of):
            return cls(int(number), int(of))
        raise UserError(f"'{text}' names no shard. Write it as NUMBER/OF, such as 2/4.")

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def folder(self, evaluation: Path) -> Path:
        """Where its predictions lie below the folder of an evaluation."""
        return evaluation / SHARDS / f"{self.number}-of-{self.of}"

    def report_file(self, run: Run, stage: Stage) -> Path:
        """Where it reports how far it is."""
        return run.folder / SHARDS / f"{stage}-{self.number}-of-{self.of}.json"


def shards(of: int) -> list[Shard]:
    """All parts."""
    return [Shard(number, of) for number in range(1, of + 1)]


def run_shard(experiment: LaunchedExperiment, run: Run, stage: Stage, shard: Shard) -> bool:
    """Do one part of a stage of `STAGES_IN_PARTS`; whether it is done now.

    How far it is, and why it failed, is written into a file of its own: the run's state is its driver's.
    Raises `UserError` for another stage, and for one that the run does not have.
    """
    if stage not in STAGES_IN_PARTS:
        raise UserError(f"The stage {stage} has no parts. Those that have: {' and '.join(STAGES_IN_PARTS)}.")
    if stage == "adapt" and experiment.recipe_of(run).test_time is None:
        raise UserError(f"{run.name} has no test-time training to do in parts. Set test_time in its recipe.")
    with locked(run.folder / SHARDS / f".{shard.number}-of-{shard.of}.lock"):
        adapts = stage == "adapt"
        groups = _groups(experiment, run, shard) if adapts else []
        total = sum(len(group.tasks) for group in groups) if adapts else _attempts(experiment, shard)
        reporter = _ShardReporter(run, shard.report_file(run, stage), total)
        try:
            experiment.check_data(run, stage)
            with panics_as_errors():
                if adapts:
                    adapt_groups(experiment, run, groups, reporter)
                else:
                    _answer(experiment, run, shard, reporter)
            put_together(experiment, run, stage, shard.of)
            reporter.done()
        except Exception as error:
            message = failure_message(run, error)
            reporter.write(error=message)
            if isinstance(error, UserError | Stopped):
                log.error("%s", message)
                return False
            raise
    return True


def _answer(experiment: LaunchedExperiment, run: Run, shard: Shard, reporter: "_ShardReporter") -> None:
    """The part's predictions of every evaluation that is not whole yet, by one engine."""
    from core.inference.engines import open_engine
    from core.prompts.vocabulary import load_tokenizer

    tasks = _tasks(experiment, shard)
    if experiment.recipe_of(run).test_time is not None:
        folder_of = partial(_folder, run, shard)
        answer_tasks(experiment, run, tasks, folder_of, reporter, first=shard.number == 1)
        return
    left = [seed for seed in experiment.spec.eval_seeds if not run.predictions(seed).exists()]
    if not left:
        return
    merged = run.folder / SHARDS / f"merged-{shard.number}-of-{shard.of}"
    model, adapters = what_answers(experiment, [run], merged)
    tokenizer = load_tokenizer(model)
    check_trained_prompts(experiment, run, tokenizer)
    with closing(open_engine(experiment.spec.evaluation.inference, model, list(adapters.values()))) as engine:
        if shard.number == 1:
            add_to_record(run, engine=engine_record(experiment, run, engine))
        jobs = [
            Job(
                evaluation_of(experiment, run, seed, tasks),
                _folder(run, shard, seed),
                reporter,
                adapters.get(run),
            )
            for seed in left
        ]
        for _, problem in answer(jobs, engine, tokenizer):
            if problem is not None:
                raise problem
    shutil.rmtree(merged, ignore_errors=True)


def _groups(experiment: LaunchedExperiment, run: Run, shard: Shard) -> list[Group]:
    """The groups that a part adapts: every so many-th one."""
    return groups_of_run(experiment, run)[shard.number - 1 :: shard.of]


def _folder(run: Run, shard: Shard, eval_seed: int) -> Path:
    return shard.folder(run.eval_folder(eval_seed))


def _tasks(experiment: LaunchedExperiment, shard: Shard) -> list[Task]:
    """The tasks of a part: every so many-th one, so that large ones are spread."""
    return experiment.evaluated[shard.number - 1 :: shard.of]


def _attempts(experiment: LaunchedExperiment, shard: Shard) -> int:
    """How many attempts a part makes, over all evaluations."""
    outputs = sum(len(task.test) for task in _tasks(experiment, shard))
    return outputs * experiment.spec.evaluation.inference.attempts * len(experiment.spec.eval_seeds)


class _Report(Record):
    """What a part writes of itself."""

    step: Count
    total: Count
    tokens_per_second: Amount | None = None
    error: Text | None = None


class _ShardReporter:
    """Keeps the file fresh in which a part says how far it is."""

    def __init__(self, run: Run, path: Path, total: int) -> None:
        self.run, self.path, self.total = run, path, total
        self.steps: dict[Any, int] = {}
        self.speed: float | None = None
        self.write()

    def __call__(self, record: dict[str, Any]) -> None:
        self.steps[record.get("eval_seed")] = record["step"]
        self.speed = record.get("tokens_per_second")
        self.write()
        if self.run.stop_file.exists():
            raise Stopped

    def done(self) -> None:
        """Say that nothing is left, also where another process had done it."""
        self.steps = {None: self.total}
        self.write()

    def write(self, error: str | None = None) -> None:
        write_json(
            self.path,
            {
                "step": sum(self.steps.values()),
                "total": self.total,
                "tokens_per_second": self.speed,
                "error": error,
            },
        )


def shard_is_done(experiment: LaunchedExperiment, run: Run, stage: Stage, shard: Shard) -> bool:
    """Whether a part's groups are adapted, or its predictions are there, alone or put together with the
    others."""
    if stage == "adapt":
        return all(is_adapted(run, group) for group in _groups(experiment, run, shard))
    folders = [run.eval_folder(seed) for seed in experiment.spec.eval_seeds]
    return all(
        (folder / PREDICTIONS_FILE).exists() or (shard.folder(folder) / PREDICTIONS_FILE).exists()
        for folder in folders
    )


def put_together(experiment: LaunchedExperiment, run: Run, stage: Stage, of: int) -> None:
    """Make `adapted.json` where all groups are adapted, or `predictions.parquet` of each evaluation whose
    parts are all there; these parts go."""
    if stage == "adapt":
        groups = groups_of_run(experiment, run)
        if all(is_adapted(run, group) for group in groups):
            gather(experiment, run, groups)
        return
    for seed in experiment.spec.eval_seeds:
        folder = run.eval_folder(seed)
        with locked(folder / ".shards.lock"):
            paths = [shard.folder(folder) / PREDICTIONS_FILE for shard in shards(of)]
            target = folder / PREDICTIONS_FILE
            if target.exists() or not all(path.exists() for path in paths):
                continue
            table = read_tables(paths, PREDICTIONS)
            keys = [(name, "ascending") for name in ("source", "task_id", "test_index", "attempt")]
            write_table(target, table.sort_by(keys), PREDICTIONS)
            shutil.rmtree(folder / SHARDS)
    if experiment.recipe_of(run).test_time is not None:
        forget_weights(experiment, run)


def progress_of_shards(run: Run, stage: Stage, of: int) -> dict[str, Any]:
    """The progress of a stage's parts as one record: step, total and tokens_per_second summed over them, and
    the first error, if any; nothing but None where no part has begun. A part whose report is damaged counts
    as one that has not: it writes another."""
    found = (read_as_or_none(shard.report_file(run, stage), _Report) for shard in shards(of))
    reports = [report for report in found if report is not None]
    speeds = [one.tokens_per_second for one in reports if one.tokens_per_second is not None]
    return {
        "step": sum(one.step for one in reports) if reports else None,
        "total": sum(one.total for one in reports) if len(reports) == of else None,
        "tokens_per_second": sum(speeds) if speeds else None,
        "error": next((one.error for one in reports if one.error), None),
    }
