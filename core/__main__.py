"""The command line, `python -m core VERB …`: parse, call, print.

Verbs import what they need when they run, so that help and listings start at once. A `UserError` is
printed as its sentence and exits with 2; a failed run exits with 1.
"""

import sys
from typing import NoReturn

import typer

from core.commands import (
    bench,
    check,
    dashboard,
    data,
    flags,
    launching,
    model,
    predictions,
    results,
    runs,
    spread,
    sql,
)
from core.commands.command_text import as_typed
from core.commands.printing import clean
from core.errors import FULL_MEMORY, UserError, disk_sentence

app = typer.Typer(
    name="core",
    help="An experiment workbench for ARC fine-tuning.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(data.app, name="data", help="Sources of tasks: import, list, show.")
app.add_typer(flags.app, name="flags", help="Judgements of tasks: add, list, export, import.")
app.add_typer(model.app, name="model", help="Base models: make one with random weights, list them.")
app.add_typer(runs.app, name="runs", help="Runs: list, show, stop, resume, retry, put away.")
app.add_typer(results.app, name="results", help="Results: mean ± std per variant, import from elsewhere.")
app.add_typer(spread.app, name="spread", help="Where the spread comes from; what verdicts promise.")
app.add_typer(predictions.app, name="predictions", help="Predictions: the answers to a task by votes.")
app.add_typer(bench.app, name="bench", help="Measure: how fast, how much memory, against whom.")
app.command()(launching.launch)
app.command()(launching.worker)
app.command()(launching.drive)
app.command()(launching.run)
app.command()(spread.compare)
app.command()(spread.plan)
app.command()(check.check)
app.command()(check.rescore)
app.command()(sql.sql)
app.command()(launching.demo)
app.command()(dashboard.dashboard)


def main() -> None:
    """Run a verb; show a person's errors as one sentence."""
    try:
        app()
    except UserError as error:
        _refuse(str(error))
    except MemoryError:
        _refuse(FULL_MEMORY)
    except OSError as error:
        sentence = disk_sentence(error)
        if sentence is None:
            raise
        _refuse(sentence)


def _refuse(sentence: str) -> NoReturn:
    typer.secho(clean(as_typed(sentence)), err=True, fg=typer.colors.RED)
    sys.exit(2)


if __name__ == "__main__":
    main()
