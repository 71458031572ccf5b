"""The verb `sql`: one SELECT over the project, as a table, JSON or CSV."""

from typing import Annotated

import typer

from core.commands.printing import (
    HERE,
    AsJson,
    Format,
    Root,
    format_of,
    print_leaks,
    print_records,
    print_table,
    say,
)
from core.errors import UserError
from core.number_words import amount


def sql(
    query: Annotated[str | None, typer.Argument(help="One SELECT; without it, tables are listed.")] = None,
    saved: Annotated[str | None, typer.Option(help="Ask the query data/queries/NAME.sql instead.")] = None,
    as_json: AsJson = False,
    output: Format = "table",
    rows: Annotated[int, typer.Option(help="Print at most so many rows.", min=1, max=1_000_000)] = 10_000,
    seconds: Annotated[float, typer.Option(help="Stop the query after so long.", min=1, max=3600)] = 30.0,
    root: Root = HERE,
) -> None:
    """Ask one SELECT of scores, predictions, pairs, runs, progress, flags and imported results."""
    from core.checks.leak_warnings import queried_experiments
    from core.reports.text_tables import free_table
    from core.sql.ask import ask, cut_sentence, records
    from core.sql.sandbox import Limits
    from core.sql.saved import read_query

    if query is not None and saved is not None:
        raise UserError("Give either a query or --saved NAME, not both.")
    text = read_query(root, saved) if saved is not None else query
    if text is None:
        _print_tables(as_json)
        return
    limits = Limits(rows=rows, seconds=seconds)
    answer = ask(root, text, limits)
    found = records(answer)
    table = free_table(answer.table.column_names, found)
    for name in queried_experiments(root, text):
        print_leaks(root, name)
    if print_table(table, format_of(output, as_json)):
        say(f"{amount(answer.table.num_rows, 'rows')} in {answer.seconds:.2f} s.")
    if answer.cut:
        typer.secho(cut_sentence(answer, limits), err=True, fg=typer.colors.YELLOW)


def _print_tables(as_json: bool) -> None:
    from core.sql.tables import PHRASES, schema

    listed = [
        {"table": name, "what": PHRASES[name], "columns": [column for column, _ in columns]}
        for name, columns in schema().items()
    ]
    print_records(listed, as_json=as_json)
