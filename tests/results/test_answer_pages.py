"""Compare and Tasks: the next step where nothing is to be seen, sentences for what is gone, addresses."""

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.arc.tasks import Pair
from core.curation.stored import SourceInfo, store_source
from core.exchange.import_scores import import_results
from core.results.loading import load_scores
from core.synthetic.experiments import SOURCE, make_experiment, make_tasks
from tests.dashboard.alone import page_alone
from tests.patience import slowness
from tests.results.test_run_values import REPOSITORY
from tests.shown import as_read

NAME = "my-question"
A, B = "plain", "twice-as-long"


def said(page: AppTest) -> str:
    kinds = (page.subheader, page.info, page.error, page.code, page.markdown, page.caption)
    return "\n".join(as_read(element.value) for kind in kinds for element in kind)


def button_of(page: AppTest) -> str:
    """The label of the only button of a page that leads to another one."""
    (found,) = [one.label for one in page.button if str(one.key).startswith("go to ")]
    return found


@pytest.mark.parametrize("screen", ["compare", "tasks"])
def test_empty_pages_show_the_next_step(screen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert button_of(page_alone(tmp_path, screen, monkeypatch)) == "Go to Launch"
    make_experiment(tmp_path, runs=1, evaluations=1, tasks=2)
    for path in (tmp_path / "runs").rglob("scores.parquet"):
        path.unlink()
    assert button_of(page_alone(tmp_path, screen, monkeypatch)) == "See its runs"
    file = REPOSITORY / "data" / "experiments" / "lab-note" / "results.csv"
    import_results(tmp_path, file, "lab-note", percent=True)
    page = page_alone(tmp_path, screen, monkeypatch, experiment="lab-note")
    assert "they hold numbers, but no tasks" in said(page)


def test_compare_needs_two_variants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_experiment(tmp_path, runs=2, evaluations=1, tasks=4, skills={A: 0, B: 1})
    page = page_alone(tmp_path, "compare", monkeypatch, a=B, b=B)
    assert f"A and B are both {B}" in said(page).replace("\\", "")
    shutil.rmtree(tmp_path / "runs" / NAME / B)
    assert "Only one variant is evaluated" in said(page_alone(tmp_path, "compare", monkeypatch))


def test_gone_predictions_are_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_experiment(tmp_path, runs=1, evaluations=1, tasks=3)
    for path in (tmp_path / "runs").rglob("predictions.parquet"):
        path.unlink()
    for screen in ("compare", "tasks"):
        assert "predictions.parquet is gone" in said(page_alone(tmp_path, screen, monkeypatch))


@pytest.mark.parametrize(
    ("screen", "query"), [("compare", {}), ("tasks", {}), ("compare", {"with": "other"})]
)
def test_answers_are_held_against_the_tasks_as_they_are_now(
    screen: str, query: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("other", NAME):
        make_experiment(tmp_path, name, runs=1, evaluations=1, tasks=3, skills={A: 9, B: 9})
    page = page_alone(tmp_path, screen, monkeypatch, experiment=NAME, **query)
    assert "badge right" in cards(page)
    turned = [replace(task, test=tuple(map(inverted, task.test))) for task in make_tasks(3)]
    store_source(tmp_path, SourceInfo(SOURCE, "made up", "2", "none", "0"), turned)
    page.run(timeout=60)
    assert not page.exception
    assert "badge right" not in cards(page) and "cells off" in cards(page)


def inverted(pair: Pair) -> Pair:
    """The pair with every colour of its output changed."""
    assert pair.output is not None
    return Pair(pair.input, (pair.output + 1) % 10)


def cards(page: AppTest) -> str:
    """What the lists of answers show."""
    return "\n".join(str(part.proto) for part in page.get("bidi_component"))


@pytest.mark.parametrize("screen", ["compare", "tasks"])
def test_a_choice_in_the_address_is_shown_at_once(
    screen: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = load_scores(project, NAME)
    task = "/".join(scores.tasks[17])
    page = page_alone(project, screen, monkeypatch, experiment=NAME, task=task)
    assert page.selectbox(key="chosen task").value == task
    assert f"{scores.tasks[17][1]}: " in said(page)
    seconds = []
    for _ in range(3):
        began = time.process_time()
        page.run(timeout=60)
        seconds.append(time.process_time() - began)
    assert min(seconds) < 0.3 * slowness()
