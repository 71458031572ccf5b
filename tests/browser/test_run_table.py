"""The table of runs in a real browser: groups that fold, rows that are sorted, selected and shown."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.experiments.listing import list_runs
from core.runs.layout import Run
from core.storage.files import append_records
from core.synthetic.experiments import make_experiment
from tests.browser.conftest import Dashboard, check_contrast, serving

pytestmark = pytest.mark.browser

NAME = "many"
RUNS = 15


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """A project with 30 finished runs that reported their losses."""
    root = tmp_path_factory.mktemp("runs") / "project"
    make_experiment(root, NAME, {"plain": 0, "longer": 2}, runs=RUNS, evaluations=1, tasks=6, attempts=4)
    for run in list_runs(root, NAME):
        reports = [{"time": 100.0 + step, "stage": "train", "step": step, "total": 9, "loss": 9 / step,
                    "learning_rate": 0.1} for step in range(1, 10)]  # fmt: skip
        append_records(run.progress_file, reports)
        run.log_file.write_text(f"{run.name} begins\n/lib/x.py:1: UserWarning: loud\n{run.name} ends\n")
    with serving(root, tmp_path_factory.mktemp("log") / "dashboard.log") as dashboard:
        yield dashboard


def test_runs_are_grouped_selected_and_shown(page: Page, served: Dashboard) -> None:
    page.goto(f"{served.address}/runs?experiment={NAME}")
    groups, rows = page.locator("tr.group"), page.locator("tr[data-run]")
    expect(groups).to_have_count(2)
    expect(rows).to_have_count(0)  # many runs are folded
    expect(groups.first.locator("td.state")).to_have_text(f"{RUNS} of {RUNS} done")
    expect(page.locator(".js-plotly-plot .legendtext")).to_have_text(
        [f"plain (n = {RUNS})", f"longer (n = {RUNS})"]
    )
    squares = groups.first.locator(".strip button")
    expect(squares).to_have_count(RUNS)  # and each run is there as a square
    squares.nth(3).click()
    page.wait_for_url("**show=plain%2F3**")
    expect(page.get_by_text("Log of plain/3")).to_be_visible()
    check_contrast(page)
    groups.nth(1).click()
    expect(rows).to_have_count(RUNS)
    expect(rows.nth(1)).to_have_attribute("data-run", "longer/1")
    page.get_by_role("checkbox", name="select longer/1", exact=True).click()
    page.get_by_role("checkbox", name="select longer/4", exact=True).click(modifiers=["Shift"])
    expect(page.get_by_text("4 selected")).to_be_visible()
    expect(page.locator(".js-plotly-plot .legendtext")).to_have_count(4)
    page.get_by_role("button", name="clear selection").click()
    expect(page.locator('tr[aria-selected="true"]')).to_have_count(0)
    rows.nth(2).click()
    page.wait_for_url("**show=longer%2F2**")
    expect(page.get_by_text("Log of longer/2")).to_be_visible()
    expect(page.locator(".st-key-log")).to_contain_text("longer/2 ends")
    expect(page.locator(".st-key-log")).not_to_contain_text("UserWarning")
    page.locator("th.score button").click()
    scores = [float(text) for text in page.locator("tr[data-run] td.score").all_inner_texts()]
    assert len(scores) == RUNS and scores == sorted(scores, reverse=True)


def test_one_run_is_thrown_away_and_comes_back(page: Page, served: Dashboard) -> None:
    folder = Run(served.root, NAME, "longer", 0).folder
    before = sorted(Path(path).name for path in folder.rglob("*"))
    page.goto(f"{served.address}/runs?experiment={NAME}&run=longer/0")
    page.get_by_role("button", name="Put away").click()
    page.get_by_role("button", name="Delete the selected run").click()
    expect(page.get_by_text(f"{2 * RUNS - 1} of {2 * RUNS - 1} runs done, 1 missing")).to_be_visible()
    assert not folder.exists()
    page.get_by_role("button", name="Restore from the trash").click()
    expect(page.get_by_text(f"{2 * RUNS} of {2 * RUNS} runs done")).to_be_visible()
    assert sorted(path.name for path in folder.rglob("*")) == before
