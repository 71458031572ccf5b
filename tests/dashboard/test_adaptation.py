"""Test-time training on the pages: the adapted tasks of a run, and one task's losses in every run."""

import json
from pathlib import Path

import streamlit as st
from pytest import MonkeyPatch, fixture, raises

from core.errors import UserError
from core.results.loading import load_scores
from core.runs.adapted import adapted_groups
from core.runs.layout import Run
from core.synthetic.experiments import SOURCE, make_experiment, make_tasks
from dashboard.components.adaptation import MOST_GROUPS, run_adaptation, task_adaptation
from tests.shown import as_read

TASKS = [(SOURCE, task.task_id) for task in make_tasks(6)]


@fixture
def shown(monkeypatch: MonkeyPatch) -> list[str]:
    """What the pages write, as a person reads it."""
    texts: list[str] = []
    for name in ("markdown", "html", "caption"):
        monkeypatch.setattr(st, name, lambda text, **_: texts.append(as_read(text)))
    return texts


def _group(number: int, tasks: list[tuple[str, str]], **more: object) -> dict[str, object]:
    learned = {"demonstrations": 3, "loss_before": 1.25, "loss_after": 0.125, "steps": 40, "seconds": 61.0}
    return {"group": f"{number:04d}", "tasks": tasks, **learned, **more}


def _adapted(root: Path, variant: str, groups: list[dict[str, object]]) -> Run:
    run = Run(root, "question", variant, 0)
    (run.folder / "adapted.json").write_text(json.dumps(groups))
    return run


def test_a_run_names_its_adapted_tasks_and_their_losses(tmp_path: Path, shown: list[str]) -> None:
    make_experiment(tmp_path, "question", {"plain": 0.0}, runs=1, evaluations=1, tasks=6)
    nothing = {"loss_before": None, "loss_after": None, "steps": None, "seconds": None}
    run = _adapted(tmp_path, "plain", [_group(0, TASKS[:4]), _group(1, TASKS[4:5], **nothing)])
    run_adaptation(run, 6)
    assert "5 of 6 tasks adapted" in shown[0]
    assert f"{TASKS[0][1]}, {TASKS[1][1]}, {TASKS[2][1]} and 1 more" in shown[1]
    assert "1.250 → 0.125" in shown[1] and "nothing to learn from" in shown[1]


def test_a_run_that_goes_on_shows_the_groups_that_are_done(tmp_path: Path, shown: list[str]) -> None:
    make_experiment(tmp_path, "question", {"plain": 0.0}, runs=1, evaluations=1, tasks=6)
    run = Run(tmp_path, "question", "plain", 0)
    for number in range(MOST_GROUPS + 1):
        folder = run.folder / "adapt" / f"{number:04d}"
        folder.mkdir(parents=True)
        (folder / "group.json").write_text(json.dumps(_group(number, [("made", f"task{number:03d}")])))
    (run.folder / "adapt" / "0003" / "group.json").write_text("{")
    run_adaptation(run, None)
    assert "100 of – tasks adapted" in shown[0]
    assert "task002" in shown[1] and "task003" not in shown[1]


def test_a_damaged_list_of_groups_is_not_taken_for_none(tmp_path: Path) -> None:
    make_experiment(tmp_path, "question", {"plain": 0.0}, runs=1, evaluations=1, tasks=6)
    run = Run(tmp_path, "question", "plain", 0)
    for damage in ("{}", "[1]", "[", json.dumps([_group(0, TASKS, seconds=-1)])):
        run.adapted_file.write_text(damage)
        with raises(UserError, match=r"adapted\.json is .*(Restore|restore)"):
            adapted_groups(run.folder)


def test_a_task_stands_beside_the_runs_without_adaptation(tmp_path: Path, shown: list[str]) -> None:
    make_experiment(tmp_path, "question", {"with": 0.5, "without": 0.0}, runs=1, evaluations=2, tasks=6)
    _adapted(tmp_path, "with", [_group(0, TASKS[:1])])
    scores = load_scores(tmp_path, "question")
    task_adaptation(tmp_path, scores, TASKS[0])
    right = {
        variant: int(scores.columns["correct"][list(seeds[0])][:, scores.task_index == 0].sum())
        for variant, seeds in scores.runs.items()
    }
    assert "with · 0" in shown[1] and "without · 0" in shown[1] and "1.250 → 0.125" in shown[1]
    assert f"{right['with']} of" in shown[1] and f"{right['without']} of" in shown[1]


def test_a_task_that_no_run_adapted_to_shows_nothing(tmp_path: Path, shown: list[str]) -> None:
    make_experiment(tmp_path, "question", {"plain": 0.0}, runs=1, evaluations=1, tasks=6)
    _adapted(tmp_path, "plain", [_group(0, TASKS[:1])])
    task_adaptation(tmp_path, load_scores(tmp_path, "question"), TASKS[1])
    assert shown == []


def test_many_runs_leave_the_answers_below_in_view(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    make_experiment(tmp_path, "question", {"plain": 0.0}, runs=12, evaluations=1, tasks=2)
    _adapted(tmp_path, "plain", [_group(0, TASKS[:2])])
    heights: list[int] = []
    container = st.container
    monkeypatch.setattr(st, "container", lambda **how: heights.append(how["height"]) or container(**how))
    task_adaptation(tmp_path, load_scores(tmp_path, "question"), TASKS[0])
    assert heights == [260]
