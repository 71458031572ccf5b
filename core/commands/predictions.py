"""Verbs about predictions: `predictions show / export / validate / import`."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.commands.printing import (
    HERE,
    AsJson,
    Experiment,
    Format,
    Root,
    format_of,
    print_leaks,
    print_table,
    say,
    say_json,
)
from core.number_words import amount
from core.settings import LARGEST_SEED

if TYPE_CHECKING:
    from core.results.loading import Scores

app = typer.Typer(no_args_is_help=True)

MOST_PROBLEMS = 20


class Unit(StrEnum):
    """Whose attempts are counted together."""

    evaluation = "evaluation"
    run = "run"
    variant = "variant"


@app.callback()
def group() -> None:
    """Predictions: what the runs answered."""


@app.command()
def show(
    experiment: Experiment,
    task: Annotated[str, typer.Argument(help="The id of an evaluated task.")],
    variant: Annotated[str | None, typer.Option(help="Only this variant.")] = None,
    train_seed: Annotated[int | None, typer.Option(help="Only this training.")] = None,
    eval_seed: Annotated[int | None, typer.Option(help="Only this evaluation of each training.")] = None,
    by: Annotated[Unit, typer.Option(help="Whose attempts vote together.")] = Unit.evaluation,
    as_json: AsJson = False,
    output: Format = "table",
    root: Root = HERE,
) -> None:
    """Show the distinct answers to a task by votes, for each evaluation, run or variant."""
    from core.reports.text_tables import answers_table, with_test_time
    from core.results.answers import answer_record, answers_of
    from core.results.loading import load_scores
    from core.results.run_values import with_evaluations

    scores = with_evaluations(load_scores(root, experiment))
    print_leaks(root, experiment, noted=True)
    evaluations = _wanted(scores, variant, train_seed, eval_seed)
    source, task_id = _evaluated(scores, task)
    answers = answers_of(root, experiment, evaluations, source, task_id, by)
    table = answers_table([answer_record(answer, source, task_id) for answer in answers])
    table = with_test_time(table, scores)
    print_table(table, format_of(output, as_json))


@app.command()
def export(
    experiment: Experiment,
    variant: Annotated[str, typer.Argument(help="The variant.")],
    train_seed: Annotated[int | None, typer.Option(help="Only this training.")] = None,
    eval_seed: Annotated[int | None, typer.Option(help="Only this evaluation of each training.")] = None,
    kaggle: Annotated[
        Path | None, typer.Option(help="Write a submission here: the two most voted answers.")
    ] = None,
    rescored: Annotated[
        bool, typer.Option("--rescored", help="With --kaggle: the likeliest answers by rescoring instead.")
    ] = False,
    attempts: Annotated[Path | None, typer.Option(help="Write all attempts here.")] = None,
    root: Root = HERE,
) -> None:
    """Write the answers of a variant, all its evaluations together, as a file that others read."""
    from core.errors import UserError
    from core.exchange.submissions import all_attempts, evaluated_tasks, submission
    from core.results.loading import load_scores
    from core.results.run_values import with_evaluations
    from core.storage.files import write_text

    if kaggle is None and attempts is None:
        raise UserError("Nothing to write. Name a file with --kaggle or --attempts.")
    scores = with_evaluations(load_scores(root, experiment))
    print_leaks(root, experiment)
    chosen = _wanted(scores, variant, train_seed, eval_seed)
    if kaggle is not None:
        tasks = evaluated_tasks(root, scores.tasks)
        value = submission(root, experiment, chosen, tasks, by_rescoring=rescored)
        write_text(kaggle, json.dumps(value))
        outputs = amount(sum(map(len, value.values())), "outputs")
        say(f"{kaggle}: two attempts at {outputs} of {amount(len(value), 'tasks')}")
    if attempts is not None:
        every = all_attempts(root, experiment, chosen)
        write_text(attempts, json.dumps(every))
        count = sum(len(output) for outputs in every.values() for output in outputs)
        say(f"{attempts}: {amount(count, 'attempts')} at {amount(len(every), 'tasks')}")


@app.command()
def validate(
    file: Annotated[Path, typer.Argument(help="A submission for Kaggle.")],
    source: Annotated[str, typer.Option(help="The source whose tasks it answers, such as arc1/evaluation.")],
    root: Root = HERE,
    as_json: AsJson = False,
) -> None:
    """Check a submission: every task, every output, two attempts, valid grids. Exits with 1 if it is not."""
    from core.exchange.submissions import problems_of, tasks_with_tests
    from core.storage.files import read_json

    tasks = tasks_with_tests(root, source)
    problems = problems_of(read_json(file), tasks)
    if as_json:
        say_json([{"problem": sentence} for sentence in problems])
        raise typer.Exit(1 if problems else 0)
    for sentence in problems[:MOST_PROBLEMS]:
        say(sentence)
    if len(problems) > MOST_PROBLEMS:
        say(f"… and {len(problems) - MOST_PROBLEMS} more.")
    if problems:
        raise typer.Exit(1)
    say(f"{file} is a valid submission for the {len(tasks)} tasks of {source}.")


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(help="JSON: {task_id: [{attempt_1: grid, …}, …]}, or a folder of these.")
    ],
    source: Annotated[str, typer.Option(help="The source whose tasks it answers, such as arc1/evaluation.")],
    experiment: Annotated[str, typer.Option(help="The experiment that it enters, new or not.")],
    variant: Annotated[str, typer.Option(help="The variant that it becomes.")],
    train_seed: Annotated[
        int, typer.Option(help="The training that it belongs to.", min=0, max=LARGEST_SEED)
    ] = 0,
    eval_seed: Annotated[int, typer.Option(help="The evaluation that it is.", min=0, max=LARGEST_SEED)] = 0,
    root: Root = HERE,
) -> None:
    """Import predictions from elsewhere, and score them, so that they stand in tables and on the pages."""
    from core.exchange.import_predictions import import_predictions

    read = import_predictions(root, file, source, experiment, variant, train_seed, eval_seed)
    say(f"Imported and scored. See them with: python -m core results {experiment}")
    say(read.summary)


def _wanted(
    scores: "Scores", variant: str | None, train_seed: int | None, eval_seed: int | None
) -> list[Any]:
    from core.errors import UserError

    found = [
        one
        for one in scores.evaluations
        if variant in (None, one.variant)
        and train_seed in (None, one.train_seed)
        and eval_seed in (None, one.eval_seed)
    ]
    if not found or not scores.columns:
        name = scores.experiment.name
        raise UserError(
            f"'{name}' has no such evaluation with predictions. Leave an option out,"
            f" or see: python -m core runs list {name}"
        )
    return found


def _evaluated(scores: "Scores", task_id: str) -> tuple[str, str]:
    """The evaluated task of this id. Raises `UserError` with the nearest one."""
    from core.curation.stored import unknown_task

    for source, known in scores.tasks:
        if known == task_id:
            return source, known
    names = [known for _, known in scores.tasks]
    raise unknown_task(task_id, names, f"the evaluation of '{scores.experiment.name}'")
