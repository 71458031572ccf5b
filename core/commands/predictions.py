"""Verbs about predictions: `predictions show EXPERIMENT TASK`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.commands.printing import HERE, AsJson, Root, print_records, print_texts

if TYPE_CHECKING:
    from core.results.loading import Scores

app = typer.Typer(no_args_is_help=True)


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
    as_json: AsJson = False,
    root: Root = HERE,
) -> None:
    """Show the distinct answers to a task by votes, for each evaluation."""
    from core.results.answers import answer_record, answers_of
    from core.results.loading import load_scores
    from core.results.tables import with_evaluations

    scores = with_evaluations(load_scores(root, experiment))
    evaluations = _wanted(scores, variant, train_seed, eval_seed)
    source, task_id = _evaluated(scores, task)
    answers = answers_of(root, experiment, evaluations, source, task_id)
    records = [answer_record(answer, source, task_id) for answer in answers]
    if as_json:
        print_records(records, as_json=True)
        return
    header = ["variant", "train", "eval", "test", "votes", "logprob per token", "answer", "cells off", "size"]
    print_texts(header, [_row(record) for record in records], names=1)


def _row(record: dict[str, Any]) -> list[str]:
    from core.results.answers import KINDS

    lines = (record["output"] or "").split("\n")
    logprob, off = record["logprob_per_token"], record["cells_off"]
    return [
        record["variant"],
        *(str(record[name]) for name in ("train_seed", "eval_seed", "test_index")),
        f"{record['votes']} of {record['attempts']}",
        "–" if logprob is None else f"{logprob:.3f}",
        KINDS[record["kind"]],
        "–" if off is None else str(off),
        f"{len(lines[0])}×{len(lines)}" if record["output"] else "–",
    ]


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
