"""`bench`: measure, list what can be measured, make the experiments it measures on, write the table."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from core.commands.printing import AsJson, print_records, print_texts, say
from core.errors import UserError

app = typer.Typer(invoke_without_command=True)

Folder = Annotated[
    Path | None,
    typer.Option("--in", help="Keep the made-up experiments in this folder, and use those that are there."),
]


@app.callback()
def bench(
    context: typer.Context,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Only this benchmark; repeat for more.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Also keep the records in this JSON file; of `gpu`: results, logs, weights in a folder."
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(help="All that `gpu` may take.", min=10)] = 570,
    tiny: Annotated[
        bool, typer.Option("--tiny", help="All parts of `gpu` so small that a CPU will do.")
    ] = False,
    repeats: Annotated[int, typer.Option(help="How often short things are timed.", min=1)] = 5,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Measure how fast things are, on experiments made for it; figures are medians of repeats."""
    if context.invoked_subcommand is None and only == ["gpu"]:
        _measure_gpu(out, seconds, tiny=tiny, as_json=as_json)
    elif context.invoked_subcommand is None:
        _measure(only or [], out, repeats, folder, as_json)


def _measure_gpu(out: Path | None, seconds: float, *, tiny: bool, as_json: bool) -> None:
    from core.bench.gpu import measure_gpu

    if out is None:
        raise UserError("Results and weights need a folder. Name one with --out FOLDER.")
    found = measure_gpu(out, seconds, partial(say, err=True), tiny=tiny)
    if as_json:
        print_records(found, as_json=True)
    else:
        lines = [
            [one["part"], one.get("name", "failed"), f"{one['value']:,.4g} {one['unit']}"]
            if "value" in one
            else [one["part"], "failed", one["failed"]]
            for one in found
        ]
        print_texts(["part", "figure", "measured"], lines, names=2)
    if any("failed" in one for one in found):
        raise typer.Exit(1)


def _measure(only: list[str], out: Path | None, repeats: int, folder: Path | None, as_json: bool) -> None:
    from rich.console import Console

    from core.bench.bench_context import Workshop
    from core.bench.measuring import HEADER, keep, project_folder, records_of, row_texts
    from core.bench.registry import chosen

    picked = chosen(only)
    rows = {row.name: row for one in picked for row in one.rows}
    found: list[dict[str, Any]] = []
    with project_folder(folder) as place, Console(stderr=True).status("") as status:
        for number, benchmark in enumerate(picked, 1):
            before = f"{number} of {len(picked)}, {benchmark.name}: "
            status.update(before)
            workshop = Workshop(place, repeats, partial(_say, status, before))
            for record in records_of(benchmark, workshop):
                found.append(record)
                if out is not None:
                    keep(out, [record])
    if as_json:
        print_records(found, as_json=True)
        return
    print_texts(HEADER, [row_texts(rows[record["name"]], record) for record in found])
    for where in dict.fromkeys(record["machine"] for record in found):
        say(where)


def _say(status: Any, before: str, text: str) -> None:
    status.update(before + text)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List what can be measured, and the figures that are wanted."""
    from core.bench.measuring import wanted_text
    from core.bench.registry import benchmarks

    if as_json:
        rows = [{"benchmark": one.name, **asdict(row)} for one in benchmarks() for row in one.rows]
        print_records(rows, as_json=True)
        return
    lines = [
        [one.name, row.name, wanted_text(row), row.peer or ""] for one in benchmarks() for row in one.rows
    ]
    print_texts(["benchmark", "figure", "wanted", "against"], lines, names=4)


@app.command()
def table(
    file: Annotated[Path, typer.Argument(help="A JSON file of records, as --out keeps them.")],
    into: Annotated[
        Path | None, typer.Option(help="Write it between the marks of this Markdown file.")
    ] = None,
) -> None:
    """Print the table of all figures as Markdown, or write it into a document."""
    from core.bench.measuring import markdown, put_into, read_measured

    records = read_measured(file)
    if into is None:
        say(markdown(records), nl=False)
        return
    if not into.is_file():
        raise UserError(f"{into} does not exist. Name a Markdown file that holds the marks for figures.")
    put_into(into, records)
    say(f"The figures stand in {into} now.")


@app.command()
def make(
    folder: Annotated[Path, typer.Argument(help="Where the projects with made-up experiments go.")],
) -> None:
    """Make the large experiments that are measured on, to look at them or to measure again with --in."""
    from core.synthetic.large_projects import thousand_runs

    thousand_runs(folder, say)
    say(f"Look at them: python -m core dashboard --root {folder / 'hundred-runs'}")
