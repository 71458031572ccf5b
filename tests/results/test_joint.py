"""Two experiments in one table where they were evaluated alike, and the reason where they were not."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from core.__main__ import app
from core.errors import UserError
from core.results.answers import answers_of
from core.results.joint import evaluation_differences, home_of, joined, joint_answers
from core.results.loading import load_scores
from core.results.reading import Reading
from core.results.verdicts import compare_records, verdict_rows
from core.runs.layout import Run, spec_path
from core.storage.files import read_json, write_json
from core.synthetic.experiments import make_experiment

SKILLS = {"plain": 0.0, "longer": 1.0}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("first", "second"):
        make_experiment(tmp_path, name, SKILLS, runs=2, evaluations=1, tasks=6)
    return tmp_path


def test_equal_evaluations_are_judged_as_one_table(root: Path) -> None:
    first, second = load_scores(root, "first"), load_scores(root, "second")
    both = joined(root, first, second)
    assert both.variants == ["plain", "longer", "plain (second)", "longer (second)"]
    rows = {row.variant: row for row in verdict_rows(both, "accuracy")}
    alone = {row.variant: row for row in verdict_rows(second, "accuracy")}
    assert rows["longer (second)"].summary.mean == alone["longer"].summary.mean
    (record,) = compare_records(both, "longer", "longer (second)", Reading(("accuracy",)), ["recipe"])
    assert record["comparisons"] == 6 and record["verdict"] == "cannot tell"


def test_marks_of_both_experiments_stand_in_a_joint_table(root: Path) -> None:
    for seed in (0, 1):
        record = Run(root, "second", "longer", seed).folder / "run.json"
        leak = {"source_a": "a", "task_a": "t", "source_b": "toy", "task_b": "u", "kind": "same pairs"}
        write_json(record, {**read_json(record), "leaks": [leak]})
    result = CliRunner().invoke(
        app, ["results", "first", "--with", "second", "--format", "markdown", "--root", str(root)]
    )
    assert "longer (second) ‡" in result.stdout and "longer ‡" not in result.stdout
    assert "In second: ‡" in result.stdout


def test_answers_of_a_joint_table_are_those_of_the_experiments(root: Path) -> None:
    both = joined(root, load_scores(root, "first"), load_scores(root, "second"))
    for variant, home in (("longer", "first"), ("longer (second)", "second")):
        of = [one for one in load_scores(root, home).evaluations if one.variant == "longer"]
        expected = answers_of(root, home, of, *both.tasks[0], unit="variant")
        found = joint_answers(root, both, "second", variant, *both.tasks[0])
        assert home_of(both, "second", variant) == (home, "longer", of)
        assert {one.variant for one in found} == {"longer"} and len(found) == len(expected) > 0
        for one, same in zip(found, expected, strict=True):
            assert (one.votes, one.kind, one.example) == (same.votes, same.kind, same.example)


def test_what_differs_is_said_and_refuses_the_verdict(root: Path) -> None:
    first, second = load_scores(root, "first"), load_scores(root, "second")
    path = spec_path(root, "second")
    spec = yaml.safe_load(path.read_text())
    spec["evaluation"]["inference"]["temperature"] = 0.123
    path.write_text(yaml.safe_dump(spec))
    (said,) = evaluation_differences(root, first, second)
    assert said.startswith("temperature: ") and said.endswith("against 0.123")
    make_experiment(root, "third", SKILLS, runs=2, evaluations=1, tasks=4)
    third = load_scores(root, "third")
    with pytest.raises(UserError, match=r"not evaluated alike \(tasks: 6 against 4, 4 in common.*no verdict"):
        joined(root, first, third)
    more = replace(second, columns={**second.columns, "attempts": second.columns["attempts"] * 2})
    assert any(said.startswith("attempts at each") for said in evaluation_differences(root, first, more))
    with pytest.raises(UserError, match="itself"):
        joined(root, first, first)
