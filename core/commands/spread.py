"""Verbs about differences and spread: `compare`, `spread`, `spread simulate`, `plan`."""

from typing import Annotated

import typer

from core.commands.printing import HERE, AsJson, Experiment, Format, Root, format_of, print_table, say
from core.commands.result_options import (
    BETWEEN_TRAININGS,
    Aggregation,
    Baseline,
    Beside,
    Form,
    Level,
    Metrics,
    NoiseOf,
    Parted,
    Scope,
    ShowFirst,
    lender_of,
    refuse_beside,
    scores_of,
)

app = typer.Typer(no_args_is_help=True, cls=ShowFirst)


def compare(
    experiment: Experiment,
    a: Annotated[str, typer.Argument(help="The variant to compare with.")],
    b: Annotated[str, typer.Argument(help="The variant that is judged: differences are B − A.")],
    metric: Metrics = None,
    scope: Annotated[Scope | None, typer.Option(help="Only this scope; else all that are known.")] = None,
    aggregation: Form = Aggregation.by_task,
    level: Level = 0.95,
    noise_of: NoiseOf = None,
    baseline: Baseline = None,
    by: Parted = None,
    beside: Beside = None,
    tasks: Annotated[bool, typer.Option("--tasks", help="List the tasks by difference instead.")] = False,
    as_json: AsJson = False,
    output: Format = "table",
    root: Root = HERE,
) -> None:
    """Compare two variants: is B better than A, and over what does that hold?"""
    from core.reports.captions import comparison_caption
    from core.reports.text_tables import comparison_table, tasks_table, with_test_time
    from core.results.differences import task_differences
    from core.results.paired import MEANING, SHARED, paired_records
    from core.results.reading import Reading
    from core.results.verdicts import compare_records
    from core.spread.scopes import SCOPES

    several = metric if metric and len(metric) > 1 else None
    others = {"--scope": scope, "--noise-of": noise_of, "a second --metric": several}
    refuse_beside("--by", by, {**others, "--tasks": tasks}, "parts are compared as recipes, by one metric")
    unused = {**others, "--baseline": baseline, "--level": level != 0.95}
    refuse_beside("--tasks", tasks or None, unused, "tasks are listed by one metric, without verdicts")
    over = None if scope == "recipe" else scope
    refuse_beside("--noise-of", noise_of, {"--scope": over}, BETWEEN_TRAININGS)
    scores, lender = scores_of(root, experiment, beside), lender_of(root, noise_of)
    reading = Reading(tuple(metric or ()), aggregation, baseline=baseline, lender=lender, level=level)
    if by is not None:
        from core.reports.task_subsets import compared_parts, compared_parts_table

        parts = compared_parts(root, scores, by, a, b, reading)
        table = with_test_time(compared_parts_table(parts, by, a, b, level=level), scores)
        print_table(table, format_of(output, as_json))
        return
    if tasks:
        judged = reading.judged_metric(scores)
        table = tasks_table(task_differences(scores, a, b, judged, aggregation), a, b, judged)
    else:
        records = compare_records(scores, a, b, reading, [scope] if scope else None)
        if not scope and beside is None:
            records += paired_records(root, scores, a, b, reading)
        table = comparison_table(records, a, b, caption=comparison_caption(root, scores, a, b, reading))
    shown = print_table(with_test_time(table, scores), format_of(output, as_json))
    if shown and not tasks:
        if noise_of is not None:
            say(f"Recipes are judged with the noise between runs of '{noise_of}'.")
        for name in dict.fromkeys(record["scope"] for record in table.records):
            say(f"{name}: {MEANING if name == SHARED else SCOPES[name].over}.")


@app.command("show")
def spread(
    experiment: Experiment,
    metric: Metrics = None,
    aggregation: Form = Aggregation.by_task,
    as_json: AsJson = False,
    output: Format = "table",
    root: Root = HERE,
) -> None:
    """Show where the spread comes from: tasks, trainings, evaluations, the rest."""
    from core.reports.text_tables import components_table, with_test_time
    from core.results.noise import spread_records

    scores = scores_of(root, experiment)
    metrics = metric or scores.experiment.metrics
    table = components_table(spread_records(scores, metrics, aggregation))
    if print_table(with_test_time(table, scores), format_of(output, as_json)):
        say('"of run means": from one number per evaluation; the others from single tasks.')


@app.command()
def simulate(
    tables: Annotated[int, typer.Option(help="Simulated tables of each design.", min=100)] = 4000,
    level: Level = 0.95,
    output: Format = "table",
    as_json: AsJson = False,
) -> None:
    """Simulate what the verdict promises: false alarms, power and coverage over usual designs."""
    from core.reports.text_tables import free_table
    from core.spread.simulate import designs
    from core.spread.simulate import simulate as simulated

    records = list(simulated(designs(), tables, level))
    print_table(free_table(list(records[0]), records), format_of(output, as_json))


def plan(
    experiment: Experiment,
    points: Annotated[
        float | None,
        typer.Option(help="The difference to detect: percentage points, or the metric's own unit.", min=0),
    ] = None,
    power: Annotated[float, typer.Option(help="Wanted chance to detect it.")] = 0.8,
    metric: Metrics = None,
    variants: Annotated[
        int | None, typer.Option(help="Variants in the table, baseline included.", min=2)
    ] = None,
    tasks: Annotated[int | None, typer.Option(help="Tasks that will be evaluated.", min=1)] = None,
    evaluations: Annotated[int | None, typer.Option(help="Evaluations of each run.", min=1)] = None,
    attempts: Annotated[int | None, typer.Option(help="Attempts at each test output.", min=1)] = None,
    aggregation: Form = Aggregation.by_task,
    as_json: AsJson = False,
    output: Format = "table",
    root: Root = HERE,
) -> None:
    """Plan from the noise at hand: what a design can show, or what a wanted difference needs."""
    from core.preflight.pilot_noise import noise_known
    from core.preflight.run_plan import plan_records
    from core.reports.text_tables import plan_table, with_test_time

    scores = scores_of(root, experiment)
    metrics = metric or scores.experiment.metrics
    table = plan_table(
        plan_records(
            *(scores, metrics, points, power, aggregation),
            variants=variants,
            tasks=tasks,
            evaluations=evaluations,
            attempts=attempts,
        )
    )
    if print_table(with_test_time(table, scores), format_of(output, as_json)):
        for name in metrics:
            say(f"{name}: {noise_known(scores, name, aggregation)}")
