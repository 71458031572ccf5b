"""Verbs about results: `results EXPERIMENT`, `results import`, `compare`, `spread`, `plan`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from core.commands.printing import (
    HERE,
    AsJson,
    Experiment,
    Format,
    OutputFormat,
    Root,
    format_of,
    print_leaks,
    print_table,
    say,
)
from core.errors import UserError

if TYPE_CHECKING:
    from core.results.loading import Scores


class _ShowFirst(TyperGroup):
    """A group whose first verb may be left out: `results demo` is `results show demo`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["show", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(no_args_is_help=True, cls=_ShowFirst)
spread_app = typer.Typer(no_args_is_help=True, cls=_ShowFirst)


class Scope(StrEnum):
    """Over what a spread generalises."""

    checkpoint = "checkpoint"
    recipe = "recipe"
    new_tasks = "new_tasks"


class By(StrEnum):
    """How the evaluated tasks are parted."""

    source = "source"
    concept = "concept"
    size = "size"


class Aggregation(StrEnum):
    """How outputs become one number."""

    by_task = "by_task"
    by_output = "by_output"
    all_outputs = "all_outputs"


Metrics = Annotated[
    list[str] | None, typer.Option("--metric", help="A metric such as vote_2; repeat for more.")
]
Form = Annotated[Aggregation, typer.Option(help="How the outputs of a task are counted.")]


def _level(value: float) -> float:
    if not 0.5 <= value <= 0.9999:  # also what is no number
        raise UserError(f"--level {value:g} is no level of an interval. Give one from 0.5 to 0.9999.")
    return value


Level = Annotated[float, typer.Option(help="Level of the intervals, 0.5 to 0.9999.", callback=_level)]
NoiseOf = Annotated[
    str | None,
    typer.Option(help="Judge with the noise between the runs of this experiment, as single runs have none."),
]


Beside = Annotated[
    str | None,
    typer.Option(
        "--with",
        help="Judge the variants of this experiment in the same table, where it was evaluated alike.",
    ),
]
Parted = Annotated[By | None, typer.Option(help="Results of each source, concept or size of tasks apart.")]


@app.command()
def show(
    experiment: Experiment,
    metric: Metrics = None,
    aggregation: Form = Aggregation.by_task,
    scope: Annotated[Scope, typer.Option(help="Over what the spread generalises.")] = Scope.recipe,
    level: Level = 0.95,
    noise_of: NoiseOf = None,
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
    if html is not None:
        _write_note(root, experiment, aggregation, scope, html)
        return
    from core.checks.leak_warnings import leaked_by_variant, seen_by_variant
    from core.reports.captions import marks, results_caption
    from core.reports.text_tables import results_table, with_test_time
    from core.results.records import records_of

    scores, metrics = _opened(root, experiment, metric, beside)
    if by is not None:
        _show_parts(root, scores, by, metrics, aggregation, scope, level, format_of(output, as_json))
        return
    lender = _lender(root, noise_of)
    leaked, seen = leaked_by_variant(root, experiment), seen_by_variant(root, experiment)
    records = records_of(scores, metrics, aggregation, scope, level, lender)
    table = results_table(
        [
            {
                **record,
                "leaked_tasks": leaked.get(record["variant"]),
                "test_time_tasks": seen.get(record["variant"]),
            }
            for record in records
        ],
        caption=results_caption(root, scores, scope, aggregation, level),
        marks=marks(root, experiment),
    )
    for_people = format_of(output, as_json) == "table"
    if for_people:
        say(scores.experiment.question or scores.experiment.name)
        say(_answer(scores, metrics[0], aggregation, scope, level, lender))
    print_table(with_test_time(table, scores), format_of(output, as_json))
    if for_people:
        _say_beside(root, scores, metrics[0], aggregation, scope)


def _show_parts(
    root: Path,
    scores: "Scores",
    by: By,
    metrics: list[str],
    aggregation: str,
    scope: str,
    level: float,
    output: OutputFormat,
) -> None:
    from core.reports.parts import BY, EXPLORATORY, part_records, parts_table
    from core.reports.text_tables import with_test_time

    records = part_records(root, scores, by, metrics, aggregation, scope, level)
    table = with_test_time(parts_table(records, by, caption=EXPLORATORY), scores)
    if print_table(table, output):
        say(f"By {BY[by]}. {EXPLORATORY}")


def _answer(
    scores: "Scores", metric: str, aggregation: str, scope: str, level: float, lender: "Scores | None"
) -> str:
    """The sentence that answers the question by one metric."""
    from core.results.borrowed_noise import borrowed_noise
    from core.results.conclusion import answer_sentence
    from core.results.verdicts import verdict_rows

    lent = None if lender is None else borrowed_noise(scores, lender, metric, aggregation)
    rows = verdict_rows(scores, metric, aggregation, scope, None, level, lent)
    return answer_sentence(rows, metric, scores.experiment.baseline, lent, scope)


def _say_beside(root: Path, scores: "Scores", metric: str, aggregation: str, scope: str) -> None:
    """What a reader must know beside the table."""
    from core.checks.caveats import looks_sentence, spreads_sentence, warnings
    from core.results.noise import noise
    from core.results.number_format import evaluated_sentence, noise_sentence, scope_sentence

    sentences = [scope_sentence(scores, scope, aggregation), evaluated_sentence(scores)]
    sentences += [spreads_sentence(scores, metric, aggregation)]
    sentences += [noise_sentence(noise(scores, metric, aggregation)), *warnings(scores, metric, scope)]
    sentences.append(looks_sentence(root, scores))
    say("\n".join(sentence.rstrip(".") + "." for sentence in sentences if sentence))


def _lender(root: Path, name: str | None) -> "Scores | None":
    """The experiment whose noise is borrowed."""
    from core.results.loading import load_scores

    return None if name is None else load_scores(root, name)


def _write_note(root: Path, experiment: str, aggregation: str, scope: str, file: Path) -> None:
    from core.reports.lab_note import lab_note
    from core.storage.files import write_text

    write_text(file, lab_note(root, experiment, aggregation, scope))
    say(f"Written to {file} ({file.stat().st_size / 1000:,.0f} kB). It opens in any browser.")


def _opened(
    root: Path, experiment: str, metrics: list[str] | None, beside: str | None = None
) -> tuple["Scores", list[str]]:
    """The scores of an experiment, those of another one beside them, and the metrics asked for, else those of
    its spec."""
    from core.results.joined import joined
    from core.results.loading import load_scores
    from core.results.tables import with_evaluations

    scores = with_evaluations(load_scores(root, experiment))
    print_leaks(root, experiment, noted=True)
    if beside is not None:
        scores = joined(root, scores, load_scores(root, beside))
        print_leaks(root, beside)
    return scores, metrics or list(scores.experiment.metrics)


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV or parquet with variant, train_seed, eval_seed and metrics, or variant, mean, std, n."
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

    pairs = [one.rpartition("=") for one in unit or ()]
    if any(not name or not of for name, _, of in pairs):
        raise typer.BadParameter("Give METRIC=UNIT, as in val_loss=number.")
    units = {name: of for name, _, of in pairs}
    count = import_results(
        *(root, file, experiment, percent, baseline, lower_is_better or (), higher_is_better or (), units),
        replace=replace,
    )
    say(f"{count} evaluations imported. See them with: python -m core results {experiment}")


def compare(
    experiment: Experiment,
    a: Annotated[str, typer.Argument(help="The variant to compare with.")],
    b: Annotated[str, typer.Argument(help="The variant that is judged: differences are B − A.")],
    metric: Metrics = None,
    scope: Annotated[Scope | None, typer.Option(help="Only this scope; else all that are known.")] = None,
    aggregation: Form = Aggregation.by_task,
    level: Level = 0.95,
    noise_of: NoiseOf = None,
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
    from core.results.verdicts import compare_records
    from core.spread.intervals import SCOPES

    scores, metrics = _opened(root, experiment, metric, beside)
    if by is not None:
        from core.reports.parts import compared_parts, compared_parts_table

        parts = compared_parts(root, scores, by, a, b, metrics[0], aggregation, level)
        table = with_test_time(compared_parts_table(parts, by, a, b), scores)
        print_table(table, format_of(output, as_json))
        return
    if tasks:
        found = task_differences(scores, a, b, metrics[0], aggregation)
        table = tasks_table(found, a, b, metrics[0])
    else:
        scopes = [scope] if scope else None
        records = compare_records(scores, a, b, metrics, scopes, aggregation, level, _lender(root, noise_of))
        if not scope and beside is None and by is None:
            records += paired_records(root, scores, a, b, metrics, aggregation, level)
        table = comparison_table(records, a, b, caption=comparison_caption(root, scores, a, b, level))
    shown = print_table(with_test_time(table, scores), format_of(output, as_json))
    if shown and not tasks:
        for name in dict.fromkeys(record["scope"] for record in table.records):
            say(f"{name}: {MEANING if name == SHARED else SCOPES[name].over}.")


@spread_app.command("show")
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

    scores, metrics = _opened(root, experiment, metric)
    table = components_table(spread_records(scores, metrics, aggregation))
    if print_table(with_test_time(table, scores), format_of(output, as_json)):
        say('"of run means": from one number per evaluation; the others from single tasks.')


@spread_app.command()
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
    from core.preflight.pilot import noise_known
    from core.preflight.planning import plan_records
    from core.reports.text_tables import plan_table, with_test_time

    scores, metrics = _opened(root, experiment, metric)
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
