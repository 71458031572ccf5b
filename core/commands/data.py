"""`data …`: sources of tasks, from import to a look at a single task."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.commands.printing import (
    HERE,
    AsJson,
    Format,
    Root,
    format_of,
    print_listing,
    print_problems,
    print_records,
    print_texts,
    progress_bar,
    say,
)

if TYPE_CHECKING:
    from core.arc.grids import Grid
    from core.arc.tasks import Task
    from core.curation.partitions import Partition
    from core.prompts.lengths import Lengths

app = typer.Typer(no_args_is_help=True)


@app.command("import")
def import_(
    name: Annotated[
        str,
        typer.Argument(
            help="A known set (arc1, arc1-2019, arc1-kaggle2024, arc2, arc2-kaggle2025, basics, re-arc,"
            " concept-arc, mini-arc), or the name of a new source for what --from gives."
        ),
    ],
    origin: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="A file, folder, zip or http(s) address: ARC JSON tasks, Kaggle challenges, lists or lines"
            " of tasks, {id: {train, n_train}} pools or {id: [task, …]} variations; .gz too.",
        ),
    ] = None,
    solutions: Annotated[
        Path | None, typer.Option(help="Kaggle's solutions file that belongs to the challenges.")
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Licence to note for a source of your own.")] = None,
    sha256: Annotated[str | None, typer.Option(help="Refuse a download of another checksum.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Download again what is in the cache.")] = False,
    seed: Annotated[int, typer.Option(help="Of basics: which tasks are made.", min=0)] = 0,
    as_json: AsJson = False,
    root: Root = HERE,
) -> None:
    """Import tasks as a source under data/sources."""
    from core.curation.stored import SOURCE_COLUMNS
    from core.importing.import_source import import_set

    with progress_bar() as progress:
        infos = import_set(
            root,
            name,
            origin,
            solutions=solutions,
            licence=licence,
            sha256=sha256,
            fresh=fresh,
            seed=seed,
            progress=progress,
        )
    print_records([info.record for info in infos], as_json=as_json, columns=SOURCE_COLUMNS)
    for info in infos if not as_json else ():
        for dropped in info.dropped:
            say(f"{dropped.kind} from {info.source}: {dropped.task_id}: {dropped.reason}")
    for info in infos if not as_json else ():
        say(info.summary)


@app.command("list")
def list_(
    as_json: AsJson = False,
    output: Format = "table",
    root: Root = HERE,
) -> None:
    """List the imported sources, and the reversed ones that the flags make of them."""
    from core.curation.sources import derived_sources, list_sources
    from core.curation.stored import SOURCE_COLUMNS, source_problems

    print_problems(source_problems(root))
    records = [info.record for info in [*list_sources(root), *derived_sources(root)]]
    output = format_of(output, as_json)
    if not records and output != "json":
        say("No source is imported yet. Run: python -m core data import arc1")
        return
    print_listing(records, SOURCE_COLUMNS, output)


@app.command()
def stats(
    sources: Annotated[
        list[str] | None, typer.Argument(help="Sources, or the start of several; all if absent.")
    ] = None,
    as_json: AsJson = False,
    root: Root = HERE,
) -> None:
    """Show counts and sizes: medians of demonstrations and cells per task, shares as fractions."""
    from dataclasses import asdict

    from core.curation.source_stats import statistics
    from core.curation.sources import load_tasks, sources_named

    chosen = [source for one in sources or ["all"] for source in sources_named(root, one)]
    records = [
        {"source": source, **asdict(statistics(load_tasks(root, source).values()))}
        for source in dict.fromkeys(chosen)
    ]
    columns = ("source", "tasks", "pairs", "demonstrations", "cells", "largest", "colours", "same_size")
    print_records(records, as_json=as_json, columns=columns)


@app.command()
def lengths(
    sources: Annotated[
        list[str] | None, typer.Argument(help="Sources, or the start of several; all if absent.")
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="embedded, a folder in data/models, a path, or a hub name: whose tokenizer counts."
        ),
    ] = "embedded",
    shape_header: Annotated[
        bool, typer.Option("--shape-header", help="Begin each grid with its size.")
    ] = False,
    row_numbers: Annotated[
        bool, typer.Option("--row-numbers", help="Begin each row with its number.")
    ] = False,
    spaces: Annotated[bool, typer.Option("--spaces", help="Write a space between cells.")] = False,
    chat: Annotated[bool, typer.Option("--chat", help="Use the model's chat template.")] = False,
    as_json: AsJson = False,
    root: Root = HERE,
) -> None:
    """Show the tokens of training samples, one per task, and the share that fits 1k to 16k tokens."""
    from core.curation.sources import sources_named
    from core.prompts.encoders import GridEncoding
    from core.prompts.lengths import WINDOWS, source_lengths
    from core.prompts.templates import PromptSettings

    encoding = GridEncoding(
        shape_header=shape_header, row_numbers=row_numbers, cell_separator="space" if spaces else "none"
    )
    prompt = PromptSettings(encoding=encoding, template="chat" if chat else "base")
    chosen = [source for one in sources or ["all"] for source in sources_named(root, one)]
    with progress_bar() as progress:
        found = [source_lengths(root, one, model, prompt, progress) for one in dict.fromkeys(chosen)]
    if as_json:
        print_records([one.record() for one in found], as_json=True)
        return
    header = ("source", "samples", "median", "longest", *(f"≤ {window:,}" for window in WINDOWS))
    print_texts(header, [_length_texts(one) for one in found])


def _length_texts(lengths: "Lengths") -> list[str]:
    from core.number_words import share_text
    from core.prompts.lengths import WINDOWS

    shares = [lengths.fitting(window) for window in WINDOWS]
    numbers = (lengths.median, lengths.longest[1] if lengths.longest else None)
    return [
        lengths.source,
        f"{len(lengths.tokens):,}",
        *("–" if number is None else f"{number:,.0f}" for number in numbers),
        *("–" if share is None else share_text(share) for share in shares),
    ]


@app.command()
def leaks(
    a: Annotated[str, typer.Argument(help="A source, the start of several (arc1), or all.")],
    b: Annotated[str, typer.Argument(help="The source that must not be given away.")],
    as_json: AsJson = False,
    root: Root = HERE,
) -> None:
    """Find tasks of A that give away tasks of B: same id, same family, or the same pairs up to symmetry
    and recolouring, forwards or reversed."""
    from dataclasses import asdict

    from core.curation.leaks import leaks_between
    from core.curation.sources import sources_named

    found = leaks_between(root, sources_named(root, a), sources_named(root, b))
    if not found and not as_json:
        say(f"No task of {a} gives away a task of {b}.")
        return
    print_records([asdict(leak) for leak in found], as_json=as_json)


@app.command()
def split(
    sources: Annotated[
        list[str] | None, typer.Argument(help="Sources, or the start of several; arc1 if absent.")
    ] = None,
    train: Annotated[int, typer.Option(help="Tasks on the list `train`.")] = 700,
    val: Annotated[int, typer.Option(help="Tasks on the list `val`.")] = 100,
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 0,
    name: Annotated[str, typer.Option(help="Name of the partition; made of sizes and seed if absent.")] = "",
    as_json: AsJson = False,
    root: Root = HERE,
) -> None:
    """Deal tasks out to the lists `train` and `val`, related tasks always to the same one."""
    from core.curation.partitions import split as deal
    from core.curation.sources import sources_named

    chosen = [source for one in sources or ["arc1"] for source in sources_named(root, one)]
    name = name or f"{train}-{val}-seed-{seed}"
    made = deal(root, name, list(dict.fromkeys(chosen)), {"train": train, "val": val}, seed)
    print_records(_list_records(made), as_json=as_json)


@app.command()
def partitions(as_json: AsJson = False, root: Root = HERE) -> None:
    """List the partitions and what stands on their lists."""
    from core.curation.partitions import list_partitions, partition_problems

    print_problems(partition_problems(root))
    records = [record for made in list_partitions(root) for record in _list_records(made)]
    if not records and not as_json:
        say("No partition yet. Run: python -m core data split arc1 --train 700 --val 100 --seed 7")
        return
    print_records(records, as_json=as_json)


def _list_records(made: "Partition") -> list[dict[str, Any]]:
    return [
        {"list": f"{made.name}/{name}", "source": source, "tasks": len(ids), "seed": made.seed}
        for name, members in made.lists.items()
        for source, ids in members.items()
    ]


@app.command()
def show(
    task_id: Annotated[str, typer.Argument(help="Id of the task.")],
    source: Annotated[str | None, typer.Option(help="Where to look; everywhere if absent.")] = None,
    reverse: Annotated[bool, typer.Option("--reversed", help="Show it from outputs to inputs.")] = False,
    as_json: AsJson = False,
    root: Root = HERE,
) -> None:
    """Show a task as coloured grids."""
    from core.curation.sources import find_task

    task = find_task(root, task_id, source)
    if reverse:
        task = task.reverse()
    if as_json:
        print_records(_pair_records(task), as_json=True)
    else:
        _draw(task)


def _pair_records(task: "Task") -> list[dict[str, Any]]:
    train_role = "pool" if task.is_pool else "train"
    roles = [train_role] * len(task.train) + ["test"] * len(task.test)
    places = [*range(len(task.train)), *range(len(task.test))]
    return [
        {
            "source": task.source,
            "task_id": task.task_id,
            "family": task.family,
            "role": role,
            "pair_index": place,
            "input": pair.input.tolist(),
            "output": None if pair.output is None else pair.output.tolist(),
        }
        for role, place, pair in zip(roles, places, task.pairs, strict=True)
    ]


def _draw(task: "Task") -> None:
    from rich.columns import Columns
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    panels = []
    for record, pair in zip(_pair_records(task), task.pairs, strict=True):
        body = [_picture(pair.input), Text(" → ")]
        body.append(Text("?") if pair.output is None else _picture(pair.output))
        sizes = [f"{g.shape[1]}×{g.shape[0]}" for g in (pair.input, pair.output) if g is not None]
        title = f"{record['role']} {record['pair_index']}"
        panels.append(Panel(Columns(body), title=title, subtitle=" → ".join(sizes), expand=False))
    console = Console()
    console.print(f"{task.source} {task.task_id} (family {task.family})", highlight=False)
    console.print(Columns(panels))


def _picture(grid: "Grid") -> Any:
    """The grid as text: two cells of width for each cell, the digit shown for readers without colours."""
    from rich.text import Text

    from core.arc.grids import ARC_COLOURS

    text = Text()
    for y, row in enumerate(grid.tolist()):
        for colour in row:
            ink = "#FFFFFF" if colour in (0, 1, 9) else "#000000"
            text.append(f"{colour} ", style=f"{ink} on {ARC_COLOURS[colour]}")
        if y < grid.shape[0] - 1:
            text.append("\n")
    return text
