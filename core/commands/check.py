"""The verb `check EXPERIMENT`: are the runs what they seem?"""

from typing import Annotated

import typer

from core.commands.printing import HERE, AsJson, Root, print_records


def check(
    experiment: Annotated[str, typer.Argument(help="The experiment.")],
    repeat: Annotated[
        bool,
        typer.Option(
            "--repeat", help="Ask a sample of each run's first evaluation again, and the base model the same."
        ),
    ] = False,
    as_json: AsJson = False,
    root: Root = HERE,
) -> None:
    """Show every alarm: identical seeds, cut or missing answers, leaks, a loss that is no number, …"""
    from core.results.checks import check_records

    if repeat:
        from core.experiments.repeating import repeat_evaluations

        repeat_evaluations(root, experiment)
    records = check_records(root, experiment)
    if as_json or records:
        print_records(records, as_json=as_json)
    else:
        typer.echo(f"No alarm in '{experiment}'.")
