"""Tables as people read them: a header and lines of text, beside the records they come from.

In come flat records of this room, out come `Table`s, which a verb prints, a page offers as files and a lab
note shows. Each knows the command that gives the same.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from core.checks.leak_warnings import seen_labels, seen_sentence
from core.reports import exports
from core.results.number_format import (
    UNKNOWN,
    difference,
    difference_with_unit,
    p_text,
    p_value,
    percent,
    scale_of,
    spread_text,
    table_texts,
    titled,
    unit_words,
)
from core.spread.verdict import tells

if TYPE_CHECKING:
    from core.results.differences import TaskDifference
    from core.results.loading import Scores

Records = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Table:
    """Lines of text below a header, whose first `names` columns are words; `records` hold it unrounded.

    The caption says, wherever the table goes, what its numbers are.
    """

    header: list[str]
    rows: list[list[str]]
    records: list[Mapping[str, Any]]
    names: int = 1
    command: str = ""
    caption: str = ""
    notes: tuple[str, ...] = ()
    """Sentences that stand below the table where it is read here."""

    @property
    def markdown(self) -> str:
        """In GitHub's Markdown."""
        return exports.markdown(self.header, self.rows, self.names, self.caption)

    @property
    def latex(self) -> str:
        """A `table` for the package booktabs."""
        return exports.latex(self.header, self.rows, self.names, self.caption)

    @property
    def csv(self) -> str:
        """The records, unrounded."""
        return exports.csv_text(self.records, self.header)


def with_test_time(table: Table, scores: "Scores") -> Table:
    """The table with what a reader must know of variants that were trained at test time: a sentence below it,
    and in every record a field `test_time`, of its own variant or of all. As it is where there is none."""
    labels = seen_labels(scores)
    if not labels:
        return table
    sentence = seen_sentence(labels)
    records: list[Mapping[str, Any]] = [
        {**record, "test_time": labels.get(record["variant"]) if "variant" in record else sentence}
        for record in table.records
    ]
    captioned = sentence in table.caption
    caption = table.caption if captioned else f"{table.caption} {sentence}".strip()
    return replace(table, records=records, caption=caption, notes=(*table.notes, sentence))


def command(*words: str, **options: Any) -> str:
    """A line for the shell: `command("results", "demo", metric=["vote_2"], scope=None)`; None is left out."""
    parts = ["python", "-m", "core", *map(shlex.quote, words)]
    for name, value in options.items():
        for one in value if isinstance(value, list | tuple) else [value]:
            if one is not None:
                parts += [f"--{name.replace('_', '-')}", shlex.quote(str(one))]
    return " ".join(parts)


def unless(value: str, default: str) -> str | None:
    """An option's value; None where it is the default and is not written."""
    return None if value == default else value


def results_command(
    scores: "Scores", metric: str | list[str], aggregation: str, scope: str, baseline: str, **options: Any
) -> str:
    """The line that prints a table of results; what the verb takes by itself is left out."""
    return command(
        *("results", scores.experiment.name),
        metric=metric,
        aggregation=unless(aggregation, "by_task"),
        scope=unless(scope, "recipe"),
        baseline=unless(baseline, scores.experiment.baseline),
        **options,
    )


def results_table(
    records: Records, line: str = "", caption: str = "", marks: Mapping[str, str] | None = None
) -> Table:
    """A line per variant, a column per metric, and n and verdict by the first one (records of
    `core.results.table_records.records_of`).

    Each column has one number of decimals. A cell that rests on other runs than n says on how many. `marks`
    stand behind the names of variants and are explained in the caption.
    """
    units = {record["metric"]: record["unit"] for record in records}
    main = next(iter(units), "")
    judged = {record["variant"]: record for record in records if record["metric"] == main}
    texts = table_texts(records)
    for record in records:
        if record["n"] != judged[record["variant"]]["n"]:
            texts[record["variant"], record["metric"]] += f" (n = {record['n']})"
    header = ["variant", *(titled(metric, unit) for metric, unit in units.items()), "n"]
    rows = [
        [
            f"{variant} {(marks or {}).get(variant, '')}".strip(),
            *(texts[variant, name] for name in units),
            str(record["n"]),
        ]
        for variant, record in judged.items()
    ]
    if any(record["verdict"] for record in judged.values()):
        unit = unit_words(units[main], of_difference=True)
        header += [", ".join(filter(None, (f"{main} against the baseline", unit))), "verdict"]
        for row, record in zip(rows, judged.values(), strict=True):
            row += verdict_cells(record)
    return Table(header, rows, list(records), 1, line, caption)


def verdict_cells(record: Mapping[str, Any]) -> list[str]:
    """The difference from the baseline with its interval, and the verdict, of a record of results."""
    if record["verdict"] is None:
        return ["", "baseline" if record["variant"] == record["baseline"] else "not compared"]
    ends = record["verdict_low"], record["verdict_high"]
    return [difference(record["verdict_difference"], *ends, record["unit"]), record["verdict"]]


def comparison_table(records: Records, a: str, b: str, line: str = "", caption: str = "") -> Table:
    """A line per metric and scope (records of `core.results.verdicts.compare_records`)."""
    header = ["metric", "generalises over", f"{b} − {a}", "p", f"verdict on {b}", ""]
    rows = [
        [
            record["metric"] if record["main"] else f"{record['metric']} (exploratory)",
            record["scope"],
            difference_with_unit(record),
            p_value(record["p"]),
            record["verdict"],
            _reason(record),
        ]
        for record in records
    ]
    return Table(header, rows, list(records), 2, line, caption)


def _reason(record: Mapping[str, Any]) -> str:
    """Why nobody can tell where the pair alone would have."""
    alone = record["p_alone"]
    if record["verdict"] != "cannot tell" or alone is None or not tells(alone, record["level"]):
        return ""
    return f"{p_text(alone)} alone, but {record['comparisons']} comparisons"


def components_table(records: Records, line: str = "") -> Table:
    """A line per component of the spread (records of `core.results.noise.spread_records`)."""
    header = ["variant", "metric", "component", "std", "degrees of freedom"]
    rows = [
        [record["variant"], record["metric"], _component(record), *spread_text(record)] for record in records
    ]
    return Table(header, rows, list(records), 3, line)


def _component(record: Mapping[str, Any]) -> str:
    """A component, with the sources that can't be told from it."""
    return f"{record['component']}, {record['includes']} in it" if record["includes"] else record["component"]


def plan_table(records: Records, line: str = "") -> Table:
    """A line per plan (records of `core.preflight.run_plan.plan_records`)."""
    header = [
        *("metric", "difference", "runs per variant", "possible", "evaluations per run", "tasks", "attempts"),
        *("variants", "power"),
    ]
    return Table(header, [_plan_cells(record) for record in records], list(records), 1, line)


def _plan_cells(record: Mapping[str, Any]) -> list[str]:
    def size(value: float | None) -> str:
        return UNKNOWN if value is None else f"{scale_of(record['unit']) * value:.2g}"

    def count(value: float | None) -> str:
        return UNKNOWN if value is None else f"{value:,.0f}"

    # Runs are whole numbers, differences are not.
    of_runs = any(isinstance(record[end], int) for end in ("low", "high"))
    ends = [(count if of_runs else size)(record[end]) for end in ("low", "high")]
    words = unit_words(record["unit"], of_difference=True)
    return [
        record["metric"],
        f"{size(record['difference'])} {words}".strip(),
        count(record["runs_per_variant"]),
        f"{' to '.join(ends)} {'runs' if of_runs else words}".strip(),
        *(count(record[name]) for name in ("evaluations_per_run", "tasks", "attempts", "variants")),
        UNKNOWN if record["power"] is None else f"{record['power']:.2f}",
    ]


def tasks_table(found: "Sequence[TaskDifference]", a: str, b: str, metric: str, line: str = "") -> Table:
    """A line per task on which two variants are compared."""
    unit = found[0].unit if found else "share"
    of_difference = ", ".join(filter(None, ("B − A", unit_words(unit, of_difference=True))))
    header = [
        "task",
        "source",
        "who is right",
        titled(f"A: {a}", unit),
        titled(f"B: {b}", unit),
        of_difference,
    ]
    rows = [
        [
            one.task_id,
            one.source,
            one.words,
            percent(one.a, unit=unit),
            percent(one.b, unit=unit),
            percent(one.difference, 1, True, unit),
        ]
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
