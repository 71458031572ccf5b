"""Results of parts of the evaluated tasks: by source, by ConceptARC's concept, by size.

In come scores, out come for each part the scores of its tasks alone, and the records and tables of all parts.
A part is judged as a table of its own, so verdicts of parts are exploratory: each is wrong in up to 5 of 100
cases, and several stand side by side.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from core.arc.tasks import Task
from core.curation.sources import load_tasks
from core.errors import UserError
from core.reports.text_tables import Records, Table, verdict_cells
from core.results.loading import Scores
from core.results.number_format import column_texts, difference, titled, unit_words
from core.results.reading import PLAIN, Reading
from core.results.table_records import records_of
from core.results.verdicts import compare_records

BY: dict[str, str] = {
    "source": "the source that a task is from",
    "concept": "the concept of ConceptARC that a task is about",
    "size": "the longest side of any grid of a task, in cells",
}
"""Every way to part the tasks, with what it goes by."""
SIDES = (5, 10, 15, 20, 30)
NO_CONCEPT, GONE = "no concept", "size unknown"

_CONCEPT = re.compile(r"(.+?[A-Za-z])(?:Minimal|\d{1,2})")

TaskName = tuple[str, str]


def parts_of(root: Path, scores: Scores, by: str) -> dict[str, Scores]:
    """The scores of each part's tasks alone, parts in order.

    Raises `UserError` for results without tasks, and where no task has a concept.
    """
    if by not in BY:
        raise UserError(f"Results can't be parted by '{by}'. Known: {', '.join(BY)}.")
    if not scores.columns:
        raise UserError(
            f"'{scores.experiment.name}' has no values per task. Choose an experiment that was scored here."
        )
    named: dict[str, list[TaskName]] = {}
    labels = _labels(root, scores.tasks, by)
    for label in sorted(set(labels.values()), key=_order(by)):
        named[label] = [task for task in scores.tasks if labels[task] == label]
    if by == "concept" and set(named) == {NO_CONCEPT}:
        raise UserError("Only tasks of concept-arc have a concept. Part the results by source or by size.")
    return {label: restricted(scores, tasks) for label, tasks in named.items()}


def restricted(scores: Scores, tasks: Sequence[TaskName]) -> Scores:
    """The scores of some of the tasks alone."""
    wanted = set(tasks)
    places = [place for place, output in enumerate(scores.outputs) if output[:2] in wanted]
    kept = [task for task in scores.tasks if task in wanted]
    number = {task: place for place, task in enumerate(kept)}
    outputs = tuple(scores.outputs[place] for place in places)
    return replace(
        scores,
        outputs=outputs,
        tasks=tuple(kept),
        task_index=np.array([number[output[:2]] for output in outputs], dtype=np.int64),
        columns={name: values[:, places] for name, values in scores.columns.items()},
    )


def _labels(root: Path, tasks: Sequence[TaskName], by: str) -> dict[TaskName, str]:
    if by == "source":
        return {task: task[0] for task in tasks}
    known: dict[TaskName, Task] = {}
    for source in dict.fromkeys(source for source, _ in tasks):
        try:
            found = load_tasks(root, source)
        except UserError:
            continue  # a source that is gone; its tasks are named as such
        known |= {(source, name): task for name, task in found.items()}
    label = _concept if by == "concept" else _size
    return {task: label(task, known.get(task)) for task in tasks}


def _concept(name: TaskName, task: Task | None) -> str:
    found = _CONCEPT.fullmatch(name[1] if task is None else task.family)
    return found[1] if found and "concept-arc" in name[0] else NO_CONCEPT


def _size(_: TaskName, task: Task | None) -> str:
    if task is None:
        return GONE
    grids = [grid for pair in (*task.train, *task.test) for grid in (pair.input, pair.output)]
    longest = max(max(grid.shape) for grid in grids if grid is not None)
    low = 1
    for high in SIDES:
        if longest <= high:
            return f"{low} to {high} cells"
        low = high + 1
    return f"from {low} cells"


def _order(by: str) -> Callable[[str], tuple[bool, int, str]]:
    """Sizes by number, all else by name; what has no label comes last."""

    def key(label: str) -> tuple[bool, int, str]:
        number = re.search(r"\d+", label) if by == "size" else None
        return label in (NO_CONCEPT, GONE), int(number[0]) if number else 0, label

    return key


def part_records(
    root: Path,
    scores: Scores,
    by: str,
    reading: Reading = PLAIN,
) -> list[dict[str, Any]]:
    """The records of `core.results.table_records.records_of` for each part, with `part`, its number of
    `tasks`, and no main metric."""
    return [
        {"part": label, "tasks": len(part.tasks), **record, "main": False}
        for label, part in parts_of(root, scores, by).items()
        for record in records_of(part, reading)
    ]


def compared_parts(
    root: Path,
    scores: Scores,
    by: str,
    a: str,
    b: str,
    reading: Reading = PLAIN,
) -> list[dict[str, Any]]:
    """Variant b against a in each part, by the judged metric: the records of `compare_records` at scope
    "recipe", with `part` and `tasks`."""
    reading = replace(reading, metrics=(reading.judged_metric(scores),))
    return [
        {"part": label, "tasks": len(part.tasks), **record, "main": False}
        for label, part in parts_of(root, scores, by).items()
        for record in compare_records(part, a, b, reading, ["recipe"])
    ]


def parts_table(records: Records, by: str, line: str = "", caption: str = "") -> Table:
    """A line per part and variant, a column per metric with one number of decimals, the verdict by the first
    (records of `part_records`)."""
    units = {record["metric"]: record["unit"] for record in records}
    columns = {
        metric: column_texts([record for record in records if record["metric"] == metric]) for metric in units
    }
    first = next(iter(units), "")
    header = [by, "tasks", "variant", *(titled(metric, unit) for metric, unit in units.items()), "n"]
    unit = unit_words(units.get(first, "share"), of_difference=True)
    header += [", ".join(filter(None, (f"{first} against the baseline", unit))), "verdict"]
    rows = []
    for place, record in enumerate(one for one in records if one["metric"] == first):
        cells = [columns[metric][place] for metric in units]
        names = record["part"], str(record["tasks"]), record["variant"]
        rows.append([*names, *cells, str(record["n"]), *verdict_cells(record)])
    return Table(header, rows, list(records), 3, line, caption)


def compared_parts_table(
    records: Records, by: str, a: str, b: str, line: str = "", level: float = 0.95
) -> Table:
    """A line per part (records of `compared_parts`)."""
    header = [by, "tasks", "metric", f"{b} − {a}", f"verdict on {b}"]
    rows = [
        [record["part"], str(record["tasks"]), titled(record["metric"], record["unit"]), *_told(record)]
        for record in records
    ]
    return Table(header, rows, list(records), 3, line, exploratory(level))


def exploratory(level: float = 0.95) -> str:
    """What verdicts of parts are worth."""
    return (
        "Each part is judged as a table of its own, so its verdicts are exploratory: where nothing differs,"
        f" up to {100 * (1 - level):.2g} of 100 such tables show some difference."
    )


def _told(record: Any) -> list[str]:
    text = difference(record["difference"], record["low"], record["high"], record["unit"])
    return [text, record["verdict"]]
