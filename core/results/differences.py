"""Where two variants differ: task by task, in their settings, and in one sentence.

In come the scores of an experiment and the records of its runs; out come tasks sorted by difference, the
settings that are not the same, and the paired test of these checkpoints under its own label.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.experiments.experiment import known_folder
from core.results.loading import SHARE, Floats, Scores
from core.results.number_format import UNKNOWN, difference_with_unit, p_text
from core.results.run_values import check_variants, measured, variant_values
from core.results.verdicts import verdict_rows
from core.runs.layout import record_of_variant
from core.runs.run_record import read_record_file
from core.scoring.metrics import form_of_one_task
from core.spread.companion_tests import (
    Improvement,
    PairedTasks,
    paired_tasks,
    probability_of_improvement,
)
from core.spread.scopes import task_means
from core.spread.verdict import BETTER, WORSE, tells

SHOWN = {
    "wins": "B ahead",
    "losses": "A ahead",
    "only_b": "A wrong, B right",
    "only_a": "A right, B wrong",
    "ties": "ties",
}
"""Kinds of tasks to list; a task may be of several."""

ORDERS = {
    "difference": "the largest difference first, whoever is ahead",
    "B ahead": "the tasks on which B is furthest ahead first",
    "A ahead": "the tasks on which A is furthest ahead first",
    "task": "by source and id",
}

_ROUNDING = 1e-12


@dataclass(frozen=True)
class TaskDifference:
    """A metric's mean over the runs of a and of b on one task, and how many attempts were right."""

    source: str
    task_id: str
    a: float
    b: float
    right_a: int
    right_b: int
    attempts_a: int
    attempts_b: int
    unit: str = SHARE
    higher_is_better: bool = True

    @property
    def difference(self) -> float:
        """b − a; 0 where they differ by rounding alone."""
        change = self.b - self.a
        return 0.0 if abs(change) <= _ROUNDING else change

    @property
    def lead(self) -> float:
        """How far b is ahead: the difference, turned round where less is better."""
        return self.difference if self.higher_is_better else -self.difference

    @property
    def words(self) -> str:
        """Who is right: "A right, B wrong" where only one of them ever is."""
        if self.right_a and self.right_b:
            return "both right" if self._always else "both right sometimes"
        if self.right_a or self.right_b:
            return "A right, B wrong" if self.right_a else "A wrong, B right"
        return "both wrong"

    @property
    def _always(self) -> bool:
        return self.right_a == self.attempts_a and self.right_b == self.attempts_b


def task_differences(
    scores: Scores, a: str, b: str, metric: str, aggregation: str = "by_task"
) -> list[TaskDifference]:
    """All tasks, the largest difference (in either direction) first.

    A task's value is the mean over its outputs also where the table counts each output alike (`by_output`).
    Raises `UserError` for an unknown variant, and for results without tasks.
    """
    check_variants(scores, a, b)
    first, second = _values_per_task(scores, a, b, metric, form_of_one_task(aggregation))
    counts = {
        (variant, name): _counted(scores, variant, name)
        for variant in (a, b)
        for name in ("correct", "attempts")
    }
    found = [
        TaskDifference(
            *task,
            float(first[place]),
            float(second[place]),
            int(counts[a, "correct"][place]),
            int(counts[b, "correct"][place]),
            int(counts[a, "attempts"][place]),
            int(counts[b, "attempts"][place]),
            scores.unit(metric),
            scores.higher_is_better(metric),
        )
        for place, task in enumerate(scores.tasks)
    ]
    return sorted_by(found, "difference")


def kept(found: Sequence[TaskDifference], kinds: Sequence[str]) -> list[TaskDifference]:
    """The tasks of any of these kinds (`SHOWN`); all where none is named."""
    return [one for one in found if not kinds or not _kinds(one).isdisjoint(kinds)]


def _kinds(one: TaskDifference) -> set[str]:
    kinds = {"ties" if one.lead == 0 else "wins" if one.lead > 0 else "losses"}
    if one.right_b and not one.right_a:
        kinds.add("only_b")
    if one.right_a and not one.right_b:
        kinds.add("only_a")
    return kinds


def sorted_by(found: Sequence[TaskDifference], order: str) -> list[TaskDifference]:
    """The tasks in one of `ORDERS`; equal ones by source and id."""
    keys: dict[str, Callable[[TaskDifference], tuple[float, ...]]] = {
        "difference": lambda one: (-abs(one.lead), -one.lead),
        "B ahead": lambda one: (-one.lead,),
        "A ahead": lambda one: (one.lead,),
        "task": lambda _: (),
    }
    return sorted(found, key=lambda one: (*keys[order](one), one.source, one.task_id))


def _counted(scores: Scores, variant: str, name: str) -> np.ndarray[Any, Any]:
    places = [place for run in scores.runs[variant].values() for place in run]
    return np.bincount(
        scores.task_index, weights=scores.columns[name][places].sum(axis=0), minlength=len(scores.tasks)
    )


def these_checkpoints(
    scores: Scores, a: str, b: str, metric: str, aggregation: str = "by_task"
) -> PairedTasks:
    """The paired test over tasks of the trained models at hand; it says nothing of the recipes.

    With `by_output` the test is that of the mean over outputs; a task is won by its own mean all the same.
    """
    higher = scores.higher_is_better(metric)
    tested, counted = (
        paired_tasks(*_values_per_task(scores, a, b, metric, how), higher_is_better=higher)
        for how in (aggregation, form_of_one_task(aggregation))
    )
    return replace(tested, wins=counted.wins, losses=counted.losses, ties=counted.ties)


def _values_per_task(scores: Scores, a: str, b: str, metric: str, aggregation: str) -> tuple[Floats, Floats]:
    values = variant_values(scores, metric, aggregation)
    return task_means(values[a]), task_means(values[b])


def improvement(scores: Scores, a: str, b: str, metric: str, aggregation: str = "by_task") -> Improvement:
    """The chance that another training of b beats another one of a; unknown for results without single
    runs.
    """
    found = measured(scores, metric, aggregation)
    if scores.experiment.summaries:
        return probability_of_improvement([], [])
    first, second = found.per_run[a], found.per_run[b]
    return probability_of_improvement(first, second, higher_is_better=found.higher_is_better)


def first_pair(scores: Scores, metric: str) -> tuple[str, str]:
    """What to compare before anybody chose: the baseline, and the best of the other evaluated variants."""
    baseline = scores.experiment.baseline
    rows = [row for row in verdict_rows(scores, metric) if row.summary.n and row.variant != baseline]
    return baseline, rows[0].variant if rows else baseline


def headline(a: str, b: str, record: dict[str, Any]) -> str:
    """One sentence: which is better, by how much, or why nobody can tell.

    `record` is one of `core.results.verdicts.compare_records` at scope "recipe".
    """
    metric = record["metric"]
    if record["difference"] is None:
        return f"Nothing is known about {metric} of {a} or {b} yet."
    points = difference_with_unit(record)
    if record["verdict"] in (BETTER, WORSE):
        return f"{b} is {record['verdict']} than {a}: {points} of {metric}, more than luck in training."
    if record["p"] is None:
        return (
            f"These runs can't tell {b} from {a}: {points} of {metric}, and nothing says how large the"
            f" noise between"
            " trainings is. Add train seeds."
        )
    sentence = f"These runs can't tell {b} from {a}: {points} of {metric} may be luck of the training."
    if tells(record["p_alone"], record["level"]):
        sentence += (
            f" Alone it would count ({p_text(record['p_alone'])}), but {record['comparisons']} comparisons"
            f" stand"
            " side by side here."
        )
    return sentence


def differing_settings(root: Path, scores: Scores, a: str, b: str) -> list[dict[str, Any]]:
    """The settings of two recipes that are not the same: setting, a, b; None where one has no such setting.

    Read from the records of their runs, where each wrote what it resolved.
    """
    first, second = (_settings(root, scores.experiment.name, variant) for variant in (a, b))
    return [
        {"setting": name, "a": first.get(name), "b": second.get(name)}
        for name in dict.fromkeys([*first, *second])
        if first.get(name) != second.get(name)
    ]


def _settings(root: Path, experiment: str, variant: str) -> dict[str, Any]:
    path = record_of_variant(known_folder(root, experiment), variant)
    return dict(flat_settings(read_record_file(path).get("recipe", {}), "")) if path else {}


def flat_settings(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by dotted name. A source of a mixture is one setting, under its own name instead of its place,
    whose value tells what is set of it."""
    if isinstance(value, dict) and value:
        for key, below in value.items():
            yield from flat_settings(below, f"{name}.{key}".lstrip("."))
    elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        for place, one in enumerate(value):
            label = one.get("source") or one.get("name") or place
            rest = {key: below for key, below in one.items() if key not in ("source", "name")}
            parts = [
                (key, below) for key, below in flat_settings(rest) if below not in (None, False, "", {}, [])
            ]
            texts = [f"{key.replace('_', ' ')} {setting_text(below)}".strip() for key, below in parts]
            yield f"{name}[{label}]", ", ".join(texts) or "yes"
    else:
        yield name, value


def setting_text(value: Any) -> str:
    """A setting's value as people write it; a dash where the recipe has no such setting."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(setting_text(one) for one in value) or "none"
    return str(value)
