"""Verbs about results: `results`, `results import`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.commands.printing import (
    HERE,
    AsJson,
    Experiment,
    Format,
    OutputFormat,
    Root,
    format_of,
    print_table,
    say,
)
from core.commands.result_options import (
    BETWEEN_TRAININGS,
    Aggregation,
    Baseline,
    Beside,
    By,
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

if TYPE_CHECKING:
    from core.results.loading import Scores
    from core.results.reading import Reading

app = typer.Typer(no_args_is_help=True, cls=ShowFirst)


@app.command()
def show(
    experiment: Experiment,
    metric: Metrics = None,
    aggregation: Form = Aggregation.by_task,
    scope: Annotated[Scope, typer.Option(help="Over what the spread generalises.")] = Scope.recipe,
    level: Level = 0.95,
    noise_of: NoiseOf = None,
    baseline: Baseline = None,
    by: Parted = None,
    beside: Beside = None,
    as_json: AsJson = False,
    output: Format = "table",
    html: Annotated[
        Path | None, typer.Option(help="Write the whole experiment (tables, charts, settings) to this file.")
    ] = None,
    root: Root = HERE,
) -> None:
    """Show mean ± std per variant, and which differences are real; the word `show` may be left out."""
    from core.results.reading import Reading

    over = None if scope == "recipe" else scope
    refuse_beside("--noise-of", noise_of, {"--by": by, "--scope": over}, BETWEEN_TRAININGS)
    chosen = tuple(metric or ()), aggregation, scope, baseline, lender_of(root, noise_of), level
    reading = Reading(*chosen)
    if html is not None:
        level_given, format_given = level != 0.95, output != "table"
        alone = {
            "--by": by,
            "--with": beside,
            "--level": level_given,
            "--json": as_json,
            "--format": format_given,
        }
        refuse_beside("--html", html, alone, "the file holds the whole experiment, judged at 0.95")
        _write_note(root, experiment, reading, html)
        return
    from core.checks.leak_warnings import leaked_by_variant, seen_by_variant
    from core.reports.captions import marks, results_caption
    from core.reports.text_tables import results_table, with_test_time
    from core.results.conclusion import experiment_answer
    from core.results.table_records import records_of

    scores = scores_of(root, experiment, beside)
    if by is not None:
        _show_parts(root, scores, by, reading, format_of(output, as_json))
        return
    leaked, seen, signs = (
        _of_both(of, root, experiment, beside) for of in (leaked_by_variant, seen_by_variant, marks)
    )
    table = results_table(
        [
            {
                **record,
                "leaked_tasks": leaked.get(record["variant"]),
                "test_time_tasks": seen.get(record["variant"]),
            }
            for record in records_of(scores, reading)
        ],
        caption=results_caption(root, scores, reading, beside),
        marks=signs,
    )
    for_people = format_of(output, as_json) == "table"
    if for_people:
        say(scores.experiment.question or scores.experiment.name)
        say(experiment_answer(scores, reading))
    print_table(with_test_time(table, scores), format_of(output, as_json))
    if for_people:
        _say_beside(root, scores, reading, joint=beside is not None)


def _of_both(
    of: Callable[[Path, str], dict[str, Any]], root: Path, experiment: str, beside: str | None
) -> dict[str, Any]:
    """What is known of each variant, those of the experiment beside under their names in the joint table."""
    from core.results.joint import other_name

    if beside is None:
        return of(root, experiment)
    joint = {other_name(variant, beside): value for variant, value in of(root, beside).items()}
    return of(root, experiment) | joint


def _show_parts(
    root: Path,
    scores: "Scores",
    by: By,
    reading: "Reading",
    output: OutputFormat,
) -> None:
    from core.reports.task_subsets import BY, exploratory, part_records, parts_table
    from core.reports.text_tables import with_test_time

    worth = exploratory(reading.level)
    table = parts_table(part_records(root, scores, by, reading), by, caption=worth)
    if print_table(with_test_time(table, scores), output):
        say(f"By {BY[by]}. {worth}")


def _say_beside(root: Path, scores: "Scores", reading: "Reading", *, joint: bool) -> None:
    """What a reader must know beside the table."""
    from core.checks.caveats import looks_sentence, spreads_sentence, warnings
    from core.results.noise import noise
    from core.results.number_format import evaluated_sentence, noise_sentence, scope_sentence

    metric = reading.judged_metric(scores)
    over = scope_sentence(scores, reading.scope, reading.aggregation, reading.metrics_of(scores))
    sentences = [over, evaluated_sentence(scores), spreads_sentence(scores, reading)]
    sentences += [noise_sentence(noise(scores, metric, reading.aggregation)), *warnings(scores, reading)]
    sentences.append("" if joint else looks_sentence(root, scores, reading.level))
    say("\n".join(sentence.rstrip(".") + "." for sentence in sentences if sentence))


def _write_note(root: Path, experiment: str, reading: "Reading", file: Path) -> None:
    from core.reports.html_report import html_report
    from core.storage.files import write_text

    write_text(file, html_report(root, experiment, reading))
    say(f"Written to {file} ({file.stat().st_size / 1000:,.0f} kB). It opens in any browser.")


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV, Markdown, parquet: variant, train_seed, eval_seed, metrics; or variant, mean, std, n."
        ),
    ],
    experiment: Annotated[str, typer.Option(help="Name of the experiment that it becomes.")],
    percent: Annotated[bool, typer.Option("--percent", help="The numbers are percent, not shares.")] = False,
    baseline: Annotated[str | None, typer.Option(help="Variant to hold the others against.")] = None,
    lower_is_better: Annotated[
        list[str] | None, typer.Option(help="A metric of which less is better; repeat for more.")
    ] = None,
    higher_is_better: Annotated[
        list[str] | None, typer.Option(help="A metric of which more is better, whatever its name says.")
    ] = None,
    unit: Annotated[
        list[str] | None,
        typer.Option(
            help="METRIC=UNIT for a metric that is no share, as in val_loss=number; repeat for more."
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace what was imported under this name before.")
    ] = False,
    root: Root = HERE,
) -> None:
    """Import results from elsewhere as an experiment."""
    from core.exchange.import_scores import import_results
    from core.number_words import amount

    pairs = [one.rpartition("=") for one in unit or ()]
    if any(not name or not of for name, _, of in pairs):
        raise typer.BadParameter("Give METRIC=UNIT, as in val_loss=number.")
    units = {name: of for name, _, of in pairs}
    table = import_results(
        *(root, file, experiment, percent, baseline, lower_is_better or (), higher_is_better or (), units),
        replace=replace,
    )
    counted = f"{amount(table.rows, 'means' if table.summaries else 'evaluations')} imported."
    say(" ".join((counted, *table.remarks, f"See them with: python -m core results {experiment}")))
