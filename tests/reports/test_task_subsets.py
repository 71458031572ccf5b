"""Results of parts of the tasks: each part holds its own tasks alone, and all of them together are all."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import UserError
from core.reports.task_subsets import BY, compared_parts, part_records, parts_of, parts_table, restricted
from core.results.loading import load_scores
from core.results.reading import Reading
from core.results.run_values import evaluation_values
from tests.results.test_run_values import NAME


def test_parts_hold_every_task_once(project: Path) -> None:
    scores = load_scores(project, NAME)
    for by in ("source", "size"):
        parts = parts_of(project, scores, by)
        assert sorted(task for part in parts.values() for task in part.tasks) == sorted(scores.tasks)
    assert list(parts_of(project, scores, "source")) == ["toy/evaluation"]
    assert set(BY) == {"source", "concept", "size"}


def test_a_part_has_the_values_of_its_tasks(project: Path) -> None:
    scores = load_scores(project, NAME)
    chosen = scores.tasks[3:11]
    whole = evaluation_values(scores, "vote_2")
    found = evaluation_values(restricted(scores, chosen), "vote_2")
    np.testing.assert_allclose(found, whole[:, 3:11])


def test_records_and_table_of_parts(project: Path) -> None:
    scores = load_scores(project, NAME)
    records = part_records(project, scores, "size", Reading(("accuracy", "vote_2")))
    parts = len(parts_of(project, scores, "size"))
    assert len(records) == 2 * parts * len(scores.variants)
    assert not any(record["main"] for record in records)
    table = parts_table(records, "size")
    assert len(table.rows) == parts * len(scores.variants) and len(table.rows[0]) == len(table.header)
    compared = compared_parts(project, scores, "source", "plain", "twice-as-long", Reading(("accuracy",)))
    assert [one["verdict"] for one in compared] == ["better"]


def test_concepts_are_those_of_concept_arc(project: Path) -> None:
    scores = load_scores(project, NAME)
    with pytest.raises(UserError, match="Only tasks of concept-arc"):
        parts_of(project, scores, "concept")
    names = ["AboveBelow1", "AboveBelow10", "TopBottom2D9", "CopyMinimal"]
    tasks = [("concept-arc", name) for name in names] + list(scores.tasks[4:])
    renamed = dict(zip(scores.tasks, tasks, strict=True))
    outputs = tuple((*renamed[source, task], test) for source, task, test in scores.outputs)
    found = parts_of(project, replace(scores, tasks=tuple(tasks), outputs=outputs), "concept")
    assert {label: len(part.tasks) for label, part in found.items()} == {
        "AboveBelow": 2, "Copy": 1, "TopBottom2D": 1, "no concept": len(tasks) - 4,
    }  # fmt: skip
    assert list(found)[-1] == "no concept"
