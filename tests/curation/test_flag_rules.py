"""Which flags turn a task around, and that a mixture takes the rule that its source names."""

from pathlib import Path

import pytest

from core.curation.flag_rules import RULES, FlagRule, flagged
from core.curation.flags import add_flags, latest_flags
from core.curation.sources import load_tasks
from core.curation.stored import load_stored
from core.errors import UserError
from core.mixing.mixtures import MixtureSettings, mixture_tasks
from core.settings import validated
from core.specs.spec import EvaluationSettings, evaluated_tasks
from core.synthetic.experiments import SOURCE, make_experiment

# By task: what ada, then bob, then cyd say last.
SAID = ("yyy", "yyn", "ynn", "y--", "nny", "yy?", "---", "n-y")
EXPECTED = {"latest": {0, 3, 4, 7}, "majority": {0, 1, 3, 5}, "unanimous": {0, 3}}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    make_experiment(root, runs=1, evaluations=1, tasks=10)
    words = {"y": "yes", "n": "no", "-": "none", "?": "unsure"}
    ids = list(load_stored(root, SOURCE))
    for place, by in enumerate(("ada", "bob", "cyd")):
        add_flags(
            root,
            [
                {"task_id": task_id, "source": SOURCE, "value": words[said[place]], "by": by}
                for task_id, said in zip(ids, SAID, strict=False)
            ],
        )
    return root


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_takes_its_tasks(project: Path, rule: str) -> None:
    ids = list(load_stored(project, SOURCE))
    assert flagged(project, SOURCE, FlagRule(rule)) == sorted(ids[place] for place in EXPECTED[rule])


def test_the_rule_latest_is_what_holds_without_one(project: Path) -> None:
    held = [mark["task_id"] for mark in latest_flags(project, SOURCE) if mark["value"] == "yes"]
    assert held == flagged(project, SOURCE, FlagRule())


def test_flags_of_one_person_alone(project: Path) -> None:
    ids = list(load_stored(project, SOURCE))
    by_ada = [task_id for task_id, said in zip(ids, SAID, strict=False) if said[0] == "y"]
    for rule in RULES:
        assert flagged(project, SOURCE, FlagRule(rule, ("ada",))) == sorted(by_ada)
    with pytest.raises(UserError, match=r"'adda' has flagged no task\. Did you mean 'ada'\?"):
        flagged(project, SOURCE, FlagRule("latest", ("adda",)))


def test_a_mixture_draws_what_its_rule_takes(project: Path) -> None:
    name = f"reversed:{SOURCE}"
    seen = {}
    for rule in RULES:
        settings = validated(MixtureSettings, {"sources": [{"source": name, "flag_rule": rule}]}, "mixture")
        seen[rule] = {task.task_id for task in mixture_tasks(project, settings)[name]}
        taken = flagged(project, SOURCE, FlagRule(rule))
        assert seen[rule] <= {f"{task_id}-reversed" for task_id in taken}
        assert seen[rule] == set(load_tasks(project, name, FlagRule(rule)))
    assert seen["unanimous"] < seen["majority"] and seen["latest"] - seen["majority"]


def test_a_rule_makes_the_evaluated_tasks_of_a_reversed_source(project: Path) -> None:
    name = f"reversed:{SOURCE}"
    for rule in RULES:
        evaluation = {"sources": [{"source": name, "flag_rule": rule}]}
        found = evaluated_tasks(project, validated(EvaluationSettings, evaluation, "evaluation"))
        assert {task.task_id for task in found} == set(load_tasks(project, name, FlagRule(rule)))


def test_what_a_rule_brings_in_is_held_against_leaks(project: Path) -> None:
    name = f"reversed:{SOURCE}"
    share = {"source": name, "flag_rule": "majority"}
    mixture = {"sources": [share], "exclude_leaks_with": [SOURCE]}
    settings = validated(MixtureSettings, mixture, "mixture")
    assert mixture_tasks(project, settings)[name] == []  # each gives away the task it was turned from


def test_a_rule_of_a_source_that_is_not_reversed_is_refused() -> None:
    with pytest.raises(UserError, match="flag_rule and flags_by choose the tasks of a reversed: source"):
        validated(MixtureSettings, {"sources": [{"source": SOURCE, "flag_rule": "majority"}]}, "mixture")
