"""Verbs about results: `results EXPERIMENT`, `results import`, `compare`, `spread`, `plan`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from core.commands.printing import HERE, AsJson, Root, print_records, print_texts

if TYPE_CHECKING:
    from core.results.loading import Scores


class _ShowFirst(TyperGroup):
    """A group whose first verb need not be said: `results demo` is `results show demo`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["show", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(no_args_is_help=True, cls=_ShowFirst)


class Scope(StrEnum):
    """Over what a spread generalises."""

    checkpoint = "checkpoint"
    recipe = "recipe"
    new_tasks = "new_tasks"


class Aggregation(StrEnum):
    """How outputs become one number."""

    by_task = "by_task"
    by_output = "by_output"
    all_outputs = "all_outputs"


Name = Annotated[str, typer.Argument(help="The experiment.")]
Metrics = Annotated[
    list[str] | None, typer.Option("--metric", help="A metric such as vote_2; repeat for more.")
]
Form = Annotated[Aggregation, typer.Option(help="How the outputs of a task are counted.")]
Level = Annotated[float, typer.Option(help="Level of the intervals.")]


@app.command()
def show(
    experiment: Name,
    metric: Metrics = None,
    aggregation: Form = Aggregation.by_task,
    scope: Annotated[Scope, typer.Option(help="Over what the spread generalises.")] = Scope.recipe,
    level: Level = 0.95,
    as_json: AsJson = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
    as_latex: Annotated[bool, typer.Option("--latex", help="Print the table as LaTeX.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the records as CSV, unrounded.")] = False,
    root: Root = HERE,
) -> None:
    """Show mean ± std per variant; the word `show` may be left out."""
    from core.results import exports
    from core.results.loading import load_scores
    from core.results.tables import records_of, with_evaluations

    scores = with_evaluations(load_scores(root, experiment))
    records = records_of(scores, metric or scores.experiment.metrics, aggregation, scope, level)
    if as_json:
        print_records(records, as_json=True)
    elif as_csv:
        typer.echo(exports.csv_text(records), nl=False)
    elif as_markdown or as_latex:
        write = exports.markdown if as_markdown else exports.latex
        typer.echo(write(*exports.table_of(records)), nl=False)
    else:
        _print_table(scores, records, aggregation, scope)


def _print_table(scores: "Scores", records: list[dict[str, Any]], aggregation: str, scope: str) -> None:
    from core.results.exports import table_of
    from core.results.tables import progress_sentence
    from core.results.wording import evaluated_sentence, missing_sentence, scope_sentence

    typer.echo(scores.experiment.question or scores.experiment.name)
    print_texts(*table_of(records))
    typer.echo(scope_sentence(scores, scope, aggregation))
    for sentence in (evaluated_sentence(scores), missing_sentence(scores), progress_sentence(scores)):
        if sentence:
            typer.echo(sentence.rstrip(".") + ".")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A CSV with variant, train_seed, eval_seed and any metrics.")],
    experiment: Annotated[str, typer.Option(help="Name of the experiment that it becomes.")],
    percent: Annotated[bool, typer.Option("--percent", help="The numbers are percent, not shares.")] = False,
    baseline: Annotated[str | None, typer.Option(help="Variant to hold the others against.")] = None,
    root: Root = HERE,
) -> None:
    """Import results from elsewhere as an experiment."""
    from core.results.imports import import_results

    count = import_results(root, file, experiment, percent, baseline)
    typer.echo(f"{count} evaluations imported. See them with: python -m core results {experiment}")


def compare(
    experiment: Name,
    a: Annotated[str, typer.Argument(help="The variant to compare with.")],
    b: Annotated[str, typer.Argument(help="The variant that is judged: differences are B − A.")],
    metric: Metrics = None,
    scope: Annotated[Scope | None, typer.Option(help="Only this scope; else all that are known.")] = None,
    aggregation: Form = Aggregation.by_task,
    level: Level = 0.95,
    as_json: AsJson = False,
    root: Root = HERE,
) -> None:
    """Compare two variants: is B better than A, and over what does that hold?"""
    from core.results.loading import load_scores
    from core.results.tables import with_evaluations
    from core.results.verdicts import compare_records
    from core.results.wording import OVER, UNKNOWN, difference

    scores = with_evaluations(load_scores(root, experiment))
    metrics = metric or scores.experiment.metrics
    scopes = [scope] if scope else None
    records = compare_records(scores, a, b, metrics, scopes, aggregation, level)
    if as_json:
        print_records(records, as_json=True)
        return
    header = ["metric", "generalises over", f"{b} − {a}, points", "p", "verdict on B", "runs needed"]
    print_texts(
        header,
        [
            [
                record["metric"],
                record["scope"],
                difference(record["difference"], record["low"], record["high"]),
                UNKNOWN if record["p"] is None else f"{record['p']:.2g}",
                record["verdict"],
                UNKNOWN if record["runs_needed"] is None else f"{record['runs_needed']:,}",
            ]
            for record in records
        ],
        names=2,
    )
    for name in dict.fromkeys(record["scope"] for record in records):
        typer.echo(f"{name}: {OVER[name]}.")


def spread(
    experiment: Name,
    metric: Metrics = None,
    aggregation: Form = Aggregation.by_task,
    as_json: AsJson = False,
    root: Root = HERE,
) -> None:
    """Show where the spread comes from: tasks, trainings, evaluations, the rest."""
    from core.results.loading import load_scores
    from core.results.tables import with_evaluations
    from core.results.verdicts import spread_records
    from core.results.wording import spread_text

    scores = with_evaluations(load_scores(root, experiment))
    records = spread_records(scores, metric or scores.experiment.metrics, aggregation)
    if as_json:
        print_records(records, as_json=True)
        return
    header = ["variant", "metric", "component", "std in points", "degrees of freedom"]
    rows = [
        [record["variant"], record["metric"], record["component"], *spread_text(record)] for record in records
    ]
    print_texts(header, rows, names=3)
    typer.echo('"of run means": from one number per evaluation; the others from single tasks.')


def plan(
    experiment: Name,
    points: Annotated[
        float | None, typer.Option(help="The difference to detect, in percentage points.", min=0)
    ] = None,
    power: Annotated[float, typer.Option(help="Wanted chance to detect it.")] = 0.8,
    metric: Metrics = None,
    aggregation: Form = Aggregation.by_task,
    as_json: AsJson = False,
    root: Root = HERE,
) -> None:
    """Plan from the spread at hand: what can be detected, or the runs for a wanted difference."""
    from core.results.loading import load_scores
    from core.results.planning import pilot, plan_records, std_sentence
    from core.results.tables import with_evaluations
    from core.results.wording import UNKNOWN

    scores = with_evaluations(load_scores(root, experiment))
    metrics = metric or scores.experiment.metrics
    wanted = None if points is None else points / 100
    records = plan_records(scores, metrics, wanted, power, aggregation)
    if as_json:
        print_records(records, as_json=True)
        return
    header = ["metric", "difference in points", "runs per variant", "evaluations per run", "power"]
    print_texts(
        header,
        [
            [
                record["metric"],
                UNKNOWN if record["difference"] is None else f"{100 * record['difference']:.2g}",
                UNKNOWN if record["runs_per_variant"] is None else f"{record['runs_per_variant']:,}",
                str(record["evaluations_per_run"]),
                UNKNOWN if record["power"] is None else f"{record['power']:.2f}",
            ]
            for record in records
        ],
    )
    for name in metrics:
        typer.echo(f"{name}: {std_sentence(pilot(scores, name, aggregation))}")
