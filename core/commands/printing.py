"""How verbs speak: records as a table for people or as JSON for programs, and the common options."""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from core.commands.command_text import as_typed
from core.errors import UserError

if TYPE_CHECKING:
    from rich.text import Text

    from core.reports.text_tables import Table

Root = Annotated[
    Path,
    typer.Option(
        "--root", envvar="ARC_WORKBENCH_ROOT", help="The project folder, which holds data/ and runs/."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one list of flat records, unrounded.")]
OutputFormat = Literal["table", "json", "markdown", "latex", "csv"]
Format = Annotated[
    OutputFormat,
    typer.Option("--format", "-f", help="How the records are printed; JSON and CSV are unrounded."),
]

HERE = Path()

_CODES = re.compile(r"\x1b\[[0-9;:?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)")
_OBEYED = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\xad\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb"
    "\\ud800-\\udfff\\U000e0000-\\U000e007f]"
)
"""Controls, directions of writing, what has no width, and halves of a pair, which can't be encoded."""


def _experiment_name(value: str | None) -> str | None:
    """The name of an experiment as people type it, also with what the shell completes: `runs/demo/`."""
    if value is None:
        return None
    return _name_of_parts(value, 1)


def _restorable_name(value: str) -> str:
    """The same, or EXPERIMENT/VARIANT/SEED."""
    return _name_of_parts(value, 1, 3)


def _name_of_parts(value: str, *counts: int) -> str:
    parts = value.rstrip("/").removeprefix("./").removeprefix("runs/").split("/")
    if len(parts) not in counts or not all(parts) or any(part.startswith(".") for part in parts):
        raise UserError(f"'{value[:200]}' names no experiment. See their names: python -m core runs list")
    return "/".join(parts)


Experiment = Annotated[str, typer.Argument(help="The experiment.", callback=_experiment_name)]
Restorable = Annotated[
    str, typer.Argument(help="An experiment, or EXPERIMENT/VARIANT/SEED.", callback=_restorable_name)
]
SomeExperiment = Annotated[
    str | None, typer.Argument(help="Only this experiment.", callback=_experiment_name)
]


def print_records(
    records: Sequence[Mapping[str, Any]], *, as_json: bool, columns: Iterable[str] = ()
) -> None:
    """Print records as JSON, or as a table of the named columns (all of them where none are named) in which a
    number stays on one line."""
    if as_json:
        say_json([_plain(record) for record in records])
        return
    from rich.console import Console
    from rich.table import Table

    names = list(columns) or list(records[0] if records else [])
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in names:
        numeric = any(isinstance(record.get(name), int | float) for record in records)
        table.add_column(
            _literal(name.replace("_", " ")),
            justify="right" if numeric else "left",
            overflow="fold",
            min_width=max(len(_cell(record.get(name))) for record in records) if numeric else None,
        )
    for record in records:
        table.add_row(*(_literal(_cell(record.get(name))) for name in names))
    Console().print(table)


def print_table(table: "Table", output: OutputFormat = "table") -> bool:
    """Print a table in a format; whether it was printed for a person to read here."""
    if output == "json":
        print_records(table.records, as_json=True)
    elif output == "table":
        print_texts(table.header, table.rows, table.names)
        for note in table.notes:
            say(note)
    else:
        say({"csv": table.csv, "markdown": table.markdown, "latex": table.latex}[output], nl=False)
    return output == "table"


def print_listing(records: Sequence[Mapping[str, Any]], columns: Sequence[str], output: OutputFormat) -> None:
    """Print the named columns of flat records in a format; JSON and CSV hold all of them."""
    if output in ("table", "json"):
        print_records(records, as_json=output == "json", columns=columns)
    else:
        from core.reports.text_tables import free_table

        print_table(free_table(columns, records), output)


def format_of(output: OutputFormat, as_json: bool) -> OutputFormat:
    """The format of a verb's output, of which `--json` is the short form."""
    return "json" if as_json else output


def print_texts(header: Sequence[str], rows: Sequence[Sequence[str]], names: int = 1) -> None:
    """Print a table of texts such as `41.2 ± 0.8 (n = 3)`; in narrow windows on two lines.

    The first `names` columns stand to the left, numbers to the right.
    """
    from rich.console import Console
    from rich.table import Table

    console = Console()
    columns = list(zip(header, *rows, strict=True))
    width = sum(max(map(len, column)) + 3 for column in columns)
    narrow = console.is_terminal and width > console.width
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for place, name in enumerate(header):
        table.add_column(_literal(name), justify="left" if place < names else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(_literal(cell.replace(" (", "\n(") if narrow else cell) for cell in row))
    wide = console if narrow else Console(width=max(width, console.width))
    wide.print(table, highlight=False)


def print_errors(records: Sequence[Mapping[str, Any]]) -> None:
    """Print what keeps runs from going on, a paragraph each."""
    from rich.console import Console

    for record in records:
        if record["error"]:
            name = f"{record['experiment']} {record['variant']} seed {record['train_seed']}"
            Console().print(_literal(as_typed(f"{name}: {record['error']}")), style="red")


def print_problems(sentences: Sequence[str]) -> None:
    """Say, on the error output, which files a list went on without, and how many."""
    if sentences:
        count = "1 file is" if len(sentences) == 1 else f"{len(sentences):,} files are"
        say(f"{count} left out, as they can't be read:", err=True)
    for sentence in sentences:
        say(f"  {sentence}", err=True)


def print_leaks(root: Path, experiment: str, *, noted: bool = False) -> None:
    """Say, on the error output, what the trainings of an experiment saw of its evaluated tasks; all but
    test-time training where the output itself has it `noted`."""
    from core.checks.leak_warnings import experiment_test_time, notices

    known = experiment_test_time(root, experiment) if noted else ""
    for sentence in notices(root, experiment):
        if sentence != known:
            say(f"{experiment}: {sentence}", err=True)


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int | None], None]]:
    """A function of (what, done, total) that shows a bar on the terminal's error output for each `what`."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskID,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    bars: dict[str, TaskID] = {}
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as shown:

        def progress(what: str, done: int, total: int | None) -> None:
            if what not in bars:
                bars[what] = shown.add_task(clean(what), total=total)
            shown.update(bars[what], completed=done, total=total)

        yield progress


def _plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """Unknown is null in JSON, whatever form it had."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in record.items()
    }


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print a text, which may hold words from data, without what would command the terminal."""
    typer.echo(clean(as_typed(text)), err=err, nl=nl)


def say_json(value: Any, indent: int | None = None) -> None:
    """Print a value as JSON that holds no character which commands a terminal."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    typer.echo(_OBEYED.sub(lambda found: _escaped(found[0]), text))


def clean(text: str) -> str:
    """A text without colour codes, and with � for each character that a terminal would obey."""
    return _OBEYED.sub("�", _CODES.sub("", text))


def _escaped(letter: str) -> str:
    codes = letter.encode("utf-16-be", errors="surrogatepass").hex()
    return "".join(f"\\u{codes[place : place + 4]}" for place in range(0, len(codes), 4))


def _literal(text: str) -> "Text":
    """Somebody's words as they stand: `[b]` is no markup, and no control character reaches the terminal."""
    from rich.text import Text

    return Text(clean(text).replace("\t", " "))


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(str(part) for part in value)
    return str(value)
