"""Compare and Tasks: the next step where nothing is to be seen, sentences for what is gone, addresses."""

import shutil
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.exchange.import_scores import import_results
from core.results.loading import load_scores
from core.synthetic.experiments import make_experiment
from tests.patience import slowness
from tests.results.test_tables import REPOSITORY
from tests.shown import as_read

NAME = "my-question"
A, B = "plain", "twice-as-long"


def open_page(screen: str, root: Path, monkeypatch: pytest.MonkeyPatch, **query: str) -> AppTest:
    monkeypatch.setenv("ARC_WORKBENCH_ROOT", str(root))
    page = AppTest.from_file(str(REPOSITORY / "dashboard" / "screens" / f"{screen}.py"))
    for name, value in query.items():
        page.query_params[name] = value
    page.run(timeout=60)
    assert not page.exception
    return page


def said(page: AppTest) -> str:
    kinds = (page.subheader, page.info, page.error, page.code, page.markdown, page.caption)
    return "\n".join(as_read(element.value) for kind in kinds for element in kind)


def button_of(page: AppTest) -> str:
    """The label of the only button of a page that leads to another one."""
    (found,) = [one.label for one in page.button if str(one.key).startswith("go to ")]
    return found


@pytest.mark.parametrize("screen", ["compare", "tasks"])
def test_empty_pages_show_the_next_step(screen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert button_of(open_page(screen, tmp_path, monkeypatch)) == "Go to Launch"
    make_experiment(tmp_path, runs=1, evaluations=1, tasks=2)
    for path in (tmp_path / "runs").rglob("scores.parquet"):
        path.unlink()
    assert button_of(open_page(screen, tmp_path, monkeypatch)) == "See its runs"
    file = REPOSITORY / "data" / "experiments" / "lab-note" / "results.csv"
    import_results(tmp_path, file, "lab-note", percent=True)
    page = open_page(screen, tmp_path, monkeypatch, experiment="lab-note")
    assert "they hold numbers, but no tasks" in said(page)


def test_compare_needs_two_variants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_experiment(tmp_path, runs=2, evaluations=1, tasks=4, skills={A: 0, B: 1})
    page = open_page("compare", tmp_path, monkeypatch, a=B, b=B)
    assert f"A and B are both {B}" in said(page).replace("\\", "")
    shutil.rmtree(tmp_path / "runs" / NAME / B)
    assert "Only one variant is evaluated" in said(open_page("compare", tmp_path, monkeypatch))


def test_gone_predictions_are_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_experiment(tmp_path, runs=1, evaluations=1, tasks=3)
    for path in (tmp_path / "runs").rglob("predictions.parquet"):
        path.unlink()
    for screen in ("compare", "tasks"):
        assert "predictions.parquet is gone" in said(open_page(screen, tmp_path, monkeypatch))


@pytest.mark.parametrize("screen", ["compare", "tasks"])
def test_a_choice_in_the_address_is_shown_at_once(
    screen: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = load_scores(project, NAME)
    task = "/".join(scores.tasks[17])
    page = open_page(screen, project, monkeypatch, experiment=NAME, task=task)
    assert page.selectbox(key="chosen task").value == task
    assert f"{scores.tasks[17][1]}: " in said(page)
    seconds = []
    for _ in range(3):
        began = time.process_time()
        page.run(timeout=60)
        seconds.append(time.process_time() - began)
    assert min(seconds) < 0.3 * slowness()
