"""Tables as people read them: a header and lines of text, beside the records they come from.

In come flat records of this room, out come `Table`s, which a verb prints, a page offers as files and a lab
note shows. Each knows the command that gives the same.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.results import exports
from core.results.number_format import UNKNOWN, difference, percent, spread_text

if TYPE_CHECKING:
    from core.results.differences import TaskDifference

Records = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Table:
    """Lines of text below a header, whose first `names` columns are words; `records` hold it unrounded."""

    header: list[str]
    rows: list[list[str]]
    records: list[Mapping[str, Any]]
    names: int = 1
    command: str = ""

    @property
    def markdown(self) -> str:
        """In GitHub's Markdown."""
        return exports.markdown(self.header, self.rows, self.names)

    @property
    def latex(self) -> str:
        """A `tabular` of the package booktabs."""
        return exports.latex(self.header, self.rows, self.names)

    @property
    def csv(self) -> str:
        """The records, unrounded."""
        return exports.csv_text(self.records, self.header)


def command(*words: str, **options: Any) -> str:
    """A line for the shell: `command("results", "demo", metric=["vote_2"], scope=None)`; None is left out."""
    parts = ["python", "-m", "core", *map(shlex.quote, words)]
    for name, value in options.items():
        for one in value if isinstance(value, list | tuple) else [value]:
            if one is not None:
                parts += [f"--{name.replace('_', '-')}", shlex.quote(str(one))]
    return " ".join(parts)


def unless(value: str, default: str) -> str | None:
    """An option's value; None where it is the default and need not be said."""
    return None if value == default else value


def results_table(records: Records, line: str = "") -> Table:
    """A line per variant, a column per metric (records of `core.results.tables.records_of`)."""
    return Table(*exports.table_of(records), list(records), 1, line)


def comparison_table(records: Records, a: str, b: str, line: str = "") -> Table:
    """A line per metric and scope (records of `core.results.verdicts.compare_records`)."""
    header = ["metric", "generalises over", f"{b} − {a}, points", "p", f"verdict on {b}", "runs needed"]
    rows = [
        [
            record["metric"],
            record["scope"],
            difference(record["difference"], record["low"], record["high"]),
            p_value(record["p"]),
            record["verdict"],
            UNKNOWN if record["runs_needed"] is None else f"{record['runs_needed']:,}",
        ]
        for record in records
    ]
    return Table(header, rows, list(records), 2, line)


def p_value(p: float | None) -> str:
    """A p without digits that nobody can believe."""
    if p is None:
        return UNKNOWN
    return f"{p:.2g}" if p >= 0.0001 else "< 0.0001"


def components_table(records: Records, line: str = "") -> Table:
    """A line per component of the spread (records of `core.results.verdicts.spread_records`)."""
    header = ["variant", "metric", "component", "std in points", "degrees of freedom"]
    rows = [
        [record["variant"], record["metric"], record["component"], *spread_text(record)] for record in records
    ]
    return Table(header, rows, list(records), 3, line)


def plan_table(records: Records, line: str = "") -> Table:
    """A line per plan (records of `core.preflight.planning.plan_records`)."""
    header = ["metric", "difference in points", "runs per variant", "evaluations per run", "power"]
    rows = [
        [
            record["metric"],
            UNKNOWN if record["difference"] is None else f"{100 * record['difference']:.2g}",
            UNKNOWN if record["runs_per_variant"] is None else f"{record['runs_per_variant']:,}",
            str(record["evaluations_per_run"]),
            UNKNOWN if record["power"] is None else f"{record['power']:.2f}",
        ]
        for record in records
    ]
    return Table(header, rows, list(records), 1, line)


def tasks_table(found: "Sequence[TaskDifference]", a: str, b: str, metric: str, line: str = "") -> Table:
    """A line per task on which two variants are compared."""
    header = ["task", "source", "who is right", f"A: {a}, %", f"B: {b}, %", "B − A, points"]
    rows = [
        [one.task_id, one.source, one.words, percent(one.a), percent(one.b), percent(one.difference, 1, True)]
        for one in found
    ]
    records = [
        {
            "source": one.source,
            "task_id": one.task_id,
            "metric": metric,
            "a": one.a,
            "b": one.b,
            "difference": one.difference,
            "right_a": one.right_a,
            "attempts_a": one.attempts_a,
            "right_b": one.right_b,
            "attempts_b": one.attempts_b,
            "words": one.words,
        }
        for one in found
    ]
    return Table(header, rows, list(records), 3, line)


def answers_table(records: Records, line: str = "") -> Table:
    """A line per distinct answer (records of `core.results.answers.answer_record`)."""
    header = ["variant", "train", "eval", "test", "votes", "logprob per token", "answer", "cells off", "size"]
    return Table(header, [_answer(record) for record in records], list(records), 1, line)


def free_table(names: Sequence[str], records: Records, line: str = "") -> Table:
    """Any records: columns of numbers stand to the right from the first on that holds nothing else."""
    numeric = [all(isinstance(one.get(name), int | float | None) for one in records) for name in names]
    words = max((place + 1 for place, is_number in enumerate(numeric) if not is_number), default=0)
    rows = [[_free(record.get(name)) for name in names] for record in records]
    return Table(list(names), rows, list(records), words, line)


def _free(value: Any) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:.6g}".replace("-", "−") if isinstance(value, float) else str(value)


def _answer(record: Mapping[str, Any]) -> list[str]:
    from core.results.answers import KINDS

    lines = (record["output"] or "").split("\n")
    logprob, off = record["logprob_per_token"], record["cells_off"]
    return [
        record["variant"],
        *(
            UNKNOWN if record[name] is None else str(record[name])
            for name in ("train_seed", "eval_seed", "test_index")
        ),
        f"{record['votes']} of {record['attempts']}",
        UNKNOWN if logprob is None else f"{logprob:.3f}",
        KINDS[record["kind"]],
        UNKNOWN if off is None else str(off),
        f"{len(lines[0])}×{len(lines)}" if record["output"] else UNKNOWN,
    ]
