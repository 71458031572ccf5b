"""The verb `sql`: one SELECT over the project, as a table, JSON or CSV."""

from typing import Annotated

import typer

from core.commands.printing import HERE, AsJson, Root, print_records
from core.errors import UserError


def sql(
    query: Annotated[str | None, typer.Argument(help="One SELECT; without it, tables are listed.")] = None,
    saved: Annotated[str | None, typer.Option(help="Ask the query data/queries/NAME.sql instead.")] = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the rows as CSV, unrounded.")] = False,
    rows: Annotated[int, typer.Option(help="Print at most so many rows.", min=1, max=1_000_000)] = 10_000,
    seconds: Annotated[float, typer.Option(help="Stop the query after so long.", min=1, max=3600)] = 30.0,
    root: Root = HERE,
) -> None:
    """Ask one SELECT of scores, predictions, pairs, runs, progress, flags and imported results."""
    from core.experiments.saved_queries import read_query
    from core.experiments.sql import ask, cut_sentence, records
    from core.results.exports import csv_text
    from core.storage.sandbox import Limits

    if query is not None and saved is not None:
        raise UserError("Give either a query or --saved NAME, not both.")
    text = read_query(root, saved) if saved is not None else query
    if text is None:
        _print_tables(as_json)
        return
    limits = Limits(rows=rows, seconds=seconds)
    answer = ask(root, text, limits)
    found = records(answer)
    if as_csv:
        header = "" if found else ",".join(answer.table.column_names)
        typer.echo(csv_text(found) if found else f"{header}\n", nl=False)
    else:
        print_records(found, as_json=as_json, columns=answer.table.column_names)
    if not as_json and not as_csv:
        typer.echo(f"{answer.table.num_rows:,} rows in {answer.seconds:.2f} s.")
    if answer.cut:
        typer.secho(cut_sentence(answer, limits), err=True, fg=typer.colors.YELLOW)


def _print_tables(as_json: bool) -> None:
    from core.experiments.sql_tables import PHRASES, schema

    listed = [
        {"table": name, "what": PHRASES[name], "columns": [column for column, _ in columns]}
        for name, columns in schema().items()
    ]
    print_records(listed, as_json=as_json)
