"""Verbs about predictions: `predictions show EXPERIMENT TASK`."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.commands.printing import HERE, AsCsv, AsJson, AsLatex, AsMarkdown, Root, print_leaks, print_table

if TYPE_CHECKING:
    from core.results.loading import Scores

app = typer.Typer(no_args_is_help=True)


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
    experiment: Annotated[str, typer.Argument(help="The experiment.")],
    task: Annotated[str, typer.Argument(help="The id of an evaluated task.")],
    variant: Annotated[str | None, typer.Option(help="Only this variant.")] = None,
    train_seed: Annotated[int | None, typer.Option(help="Only this training.")] = None,
    eval_seed: Annotated[int | None, typer.Option(help="Only this evaluation of each training.")] = None,
    by: Annotated[Unit, typer.Option(help="Whose attempts vote together.")] = Unit.evaluation,
    as_json: AsJson = False,
    as_markdown: AsMarkdown = False,
    as_latex: AsLatex = False,
    as_csv: AsCsv = False,
    root: Root = HERE,
) -> None:
    """Show the distinct answers to a task by votes, for each evaluation, run or variant."""
    from core.results.answers import answer_record, answers_of
    from core.results.listings import answers_table
    from core.results.loading import load_scores
    from core.results.tables import with_evaluations

    scores = with_evaluations(load_scores(root, experiment))
    print_leaks(root, experiment)
    evaluations = _wanted(scores, variant, train_seed, eval_seed)
    source, task_id = _evaluated(scores, task)
    answers = answers_of(root, experiment, evaluations, source, task_id, by)
    table = answers_table([answer_record(answer, source, task_id) for answer in answers])
    print_table(table, as_json=as_json, as_markdown=as_markdown, as_latex=as_latex, as_csv=as_csv)


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
