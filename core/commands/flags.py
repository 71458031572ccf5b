"""`flags …`: judgements of tasks, such as whether a task can be reversed."""

from pathlib import Path
from typing import Annotated

import typer

from core.commands.printing import HERE, AsJson, Root, print_records, say
from core.machine.account import account
from core.number_words import amount

app = typer.Typer(no_args_is_help=True)


@app.command()
def add(
    task_id: Annotated[str, typer.Argument(help="Id of the task.")],
    value: Annotated[str, typer.Argument(help="yes, no or unsure; none withdraws what this person said.")],
    source: Annotated[str | None, typer.Option(help="Source of the task; found by its id if absent.")] = None,
    by: Annotated[str, typer.Option(help="Who says so; your user name if absent.")] = "",
    note: Annotated[str, typer.Option(help="Why, in a few words.")] = "",
    flag: Annotated[str, typer.Option(help="What is judged.")] = "reversible",
    root: Root = HERE,
) -> None:
    """Flag a task."""
    from core.curation.flags import add_flag
    from core.curation.sources import find_task

    place = source or find_task(root, task_id).source
    mark = add_flag(root, task_id, place, value, by or account(), note, flag)
    say(f"{mark['source']} {mark['task_id']}: {mark['flag']} {mark['value']}")


@app.command("list")
def list_(
    source: Annotated[str | None, typer.Option(help="Only flags of this source.")] = None,
    flag: Annotated[str, typer.Option(help="What is judged.")] = "reversible",
    disputed: Annotated[bool, typer.Option("--disputed", help="Only tasks on which people differ.")] = False,
    as_json: AsJson = False,
    root: Root = HERE,
) -> None:
    """List the flags that hold."""
    from core.curation.flags import disagreements, latest_flags

    marks = latest_flags(root, source, flag)
    if disputed:
        marks = [mark for group in disagreements(root, flag) for mark in group]
        marks = [mark for mark in marks if source in (None, mark["source"])]
    if not marks and not as_json:
        say("No flag yet. Run: python -m core flags add TASK_ID yes")
        return
    shown = [{**mark, "time": mark["time"][:16].replace("T", " ")} for mark in marks]
    columns = ("task_id", "source", "value", "by", "time", "note")
    print_records(marks if as_json else shown, as_json=as_json, columns=columns)


@app.command()
def agreement(
    source: Annotated[str | None, typer.Option(help="Only tasks of this source.")] = None,
    flag: Annotated[str, typer.Option(help="What is judged.")] = "reversible",
    as_json: AsJson = False,
    root: Root = HERE,
) -> None:
    """Say how far people agree, and each with a second pass: Krippendorff's alpha with its 95 % interval."""
    from dataclasses import asdict

    from core.curation.agreement import agreements

    found = agreements(root, flag, source)
    if not found and not as_json:
        say("No task was judged by two people. Import the flags of others with: flags import FILE")
        return
    print_records([asdict(one) for one in found], as_json=as_json)


@app.command()
def export(
    target: Annotated[Path, typer.Argument(help="File to write, as JSON lines.")], root: Root = HERE
) -> None:
    """Write the flags that hold to a file."""
    from core.curation.flags import export_flags

    say(f"{amount(export_flags(root, target), 'flags')} written to {target}")


@app.command("import")
def import_(
    origin: Annotated[
        Path,
        typer.Argument(
            help="What `flags export` wrote, a CSV of ids and judgements, or a list of the ids judged yes."
        ),
    ],
    source: Annotated[
        str | None, typer.Option(help="Source of tasks named by id alone; found by the id if absent.")
    ] = None,
    others: Annotated[
        str | None, typer.Option(help="Judge all other tasks of these sources so, such as no.")
    ] = None,
    by: Annotated[str, typer.Option(help="Who judged, where the file does not say; you if absent.")] = "",
    flag: Annotated[str, typer.Option(help="What is judged, where the file does not say.")] = "reversible",
    root: Root = HERE,
) -> None:
    """Add the flags of a file to those here; of several about a task the latest judgement holds."""
    from core.curation.flags import import_flags

    found = import_flags(root, origin, by=by or account(), source=source, flag=flag, others=others)
    say(found.summary)


@app.command()
def suggest(
    sources: Annotated[
        list[str] | None, typer.Argument(help="Sources, or the start of several; all if absent.")
    ] = None,
    limit: Annotated[int, typer.Option(help="How many to show; 0 shows all.")] = 20,
    show_quality: Annotated[
        bool, typer.Option("--quality", help="Show how well suggestions agree with the flags instead.")
    ] = False,
    as_json: AsJson = False,
    root: Root = HERE,
) -> None:
    """Say how likely tasks without a flag are reversible, and why; the least certain first."""
    from dataclasses import asdict

    from core.curation.sources import sources_named
    from core.reversibility.suggestions import quality
    from core.reversibility.suggestions import suggest as suggestions

    if show_quality:
        measured = asdict(quality(root))
        given = measured.pop("reasons")
        print_records([measured, *given] if as_json else [measured], as_json=as_json, columns=list(measured))
        if not as_json and given:
            print_records(given, as_json=False)
        return
    chosen = [source for one in sources or ["all"] for source in sources_named(root, one)]
    found = suggestions(root, list(dict.fromkeys(chosen)))
    columns = ("source", "task_id", "probability", "reasons")
    records = [{name: getattr(one, name) for name in columns} for one in found[: limit or None]]
    print_records(records, as_json=as_json)
    if not as_json:
        say(_quality_in_words(root))


def _quality_in_words(root: Path) -> str:
    from core.reversibility.suggestions import FEWEST, quality

    found = quality(root)
    if found.auc is None or found.prior_auc is None:
        return f"How good these are is unknown below {FEWEST} flags of yes and of no; they rest on the prior."
    return (
        f"AUC {found.auc:.2f} on flags not seen before ({found.flags} flags, cross-validated);"
        f" the prior alone {found.prior_auc:.2f}."
    )
