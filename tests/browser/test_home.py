"""One experiment on every page, and the page of all of them, in a real browser."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from core.experiments.examples import FOLDER
from core.experiments.notes import read_notes
from core.synthetic.experiments import make_experiment
from tests.browser.conftest import Dashboard, check_contrast, serving

pytestmark = pytest.mark.browser

SKILLS = {"plain": 0.0, "longer": 2.0}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """A dashboard on a project with two experiments; a test that changes it leaves both in place."""
    root = tmp_path_factory.mktemp("two") / "project"
    for name in ("earlier", "later"):
        make_experiment(root, name, SKILLS, runs=2, evaluations=1, tasks=8, attempts=4)
    with serving(root, root.parent / "dashboard.log") as dashboard:
        yield dashboard


def box(page: Page) -> Locator:
    """The experiment in the navigation."""
    return page.get_by_role("combobox", name="experiment")


def follow(page: Page, name: str) -> None:
    page.get_by_test_id("stTopNav").get_by_role("link", name=name, exact=True).click()


def test_the_chosen_experiment_goes_along(page: Page, two: Dashboard) -> None:
    page.goto(f"{two.address}/results")
    expect(box(page)).to_have_value("later")
    box(page).click()
    page.get_by_role("option", name="earlier").click()
    page.wait_for_url("**experiment=earlier**")
    expect(page).to_have_title("Results · earlier · project")
    for name, heading in (("Compare", "longer"), ("Tasks", "attempts right"), ("Results", "solves more")):
        follow(page, name)
        page.wait_for_url(f"**/{name.lower()}?**experiment=earlier**")
        expect(page.get_by_role("heading", name=heading).first).to_be_visible()
        expect(page).to_have_title(f"{name} · earlier · project")
    follow(page, "Runs")
    expect(page.locator("tr[data-run]")).to_have_count(4)
    page.wait_for_url("**/runs?experiment=earlier**")
    follow(page, "SQL")
    expect(box(page)).to_have_value("earlier")
    compare_across(page, two)


def compare_across(page: Page, two: Dashboard) -> None:
    """A click on an answer of either experiment opens its own attempts, also after a reload."""
    page.goto(f"{two.address}/compare?experiment=later&with=earlier")
    lines = page.locator(".line")
    expect(lines).to_have_count(8)
    task = lines.nth(2).get_attribute("data-pick") or ""
    lines.nth(2).click()
    expect(page.get_by_role("heading", name=f"{task.rpartition('/')[2]}: ")).to_be_visible()
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    dialog = page.get_by_role("dialog")
    for label, variant in (("A", "plain"), ("B", "plain")):
        cards = page.locator(f".st-key-joint-{label}-picker .answer[data-pick]")
        votes = cards.first.locator("b").inner_text()
        cards.first.click()
        page.wait_for_url(f"**side={label}**")
        expect(dialog.get_by_text(re.compile(rf"^1 of .* of {variant} · train seed"))).to_be_visible()
        expect(dialog.locator(".answer b")).to_have_text(votes)
        expect(dialog.get_by_text("tokens of prompt")).to_be_visible()
        page.reload()
        expect(dialog.get_by_text("tokens of prompt")).to_be_visible()
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)


def test_back_steps_through_what_was_chosen(page: Page, two: Dashboard) -> None:
    page.goto(f"{two.address}/results?experiment=later&metric=accuracy")
    expect(page.locator("th.judged")).to_have_text("accuracy, %")
    page.get_by_role("combobox", name="metric").click()
    page.get_by_role("option", name="vote_2", exact=True).click()
    page.wait_for_url("**metric=vote_2**")
    expect(page.locator("th.judged")).to_have_text("vote_2, %")
    page.go_back()
    expect(page.locator("th.judged")).to_have_text("accuracy, %")
    box(page).click()
    page.get_by_role("option", name="earlier").click()
    page.wait_for_url("**experiment=earlier**noise_of=**")
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    page.go_back()
    expect(box(page)).to_have_value("later")
    page.wait_for_url("**experiment=later**metric=accuracy**")


@pytest.mark.parametrize(
    ("screen", "shown", "pill", "parameter"),
    [
        ("home", ".row[data-experiment]", "done (2)", "state=done"),
        ("compare", ".line", "B ahead", "show=wins"),
        ("tasks", ".answer[data-pick]", "right (", "kind=right"),
    ],
)
def test_back_takes_a_pill_back(
    screen: str, shown: str, pill: str, parameter: str, page: Page, two: Dashboard
) -> None:
    page.goto(f"{two.address}/{screen}?experiment=later")
    rows = page.locator(shown)
    expect(rows.first).to_be_visible()
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    before = rows.count()
    part = page.get_by_role("button", name=pill)
    pressed = page.get_by_role("button", name=pill, pressed=True)
    part.click()
    page.wait_for_url(f"**{parameter}**")
    expect(pressed).to_have_count(1)
    page.go_back()
    page.wait_for_url(lambda url: parameter not in url)
    expect(pressed).to_have_count(0)
    expect(rows).to_have_count(before)
    part.click()
    page.wait_for_url(f"**{parameter}**")


def test_a_missing_thing_named_by_an_address_is_reported(page: Page, two: Dashboard) -> None:
    page.goto(f"{two.address}/compare?experiment=latter")
    expect(page.get_by_text("There is no experiment 'latter'. Did you mean 'later'?")).to_be_visible()
    expect(page.locator(".js-plotly-plot")).to_have_count(0)
    page.get_by_role("button", name="Open later").click()
    expect(page.get_by_role("heading", name="longer")).to_be_visible()
    page.goto(f"{two.address}/tasks?experiment=later&task=nowhere")
    expect(page.get_by_text("There is no task 'nowhere' here.")).to_be_visible()
    expect(page.locator(".answer-line")).to_have_count(0)


def test_home_shows_all_and_brings_back_what_was_put_away(page: Page, two: Dashboard) -> None:
    page.goto(two.address)
    page.wait_for_url("**/home**")
    rows = page.locator(".row[data-experiment]")
    expect(rows).to_have_count(2)
    later = page.locator('.row[data-experiment="later"]')
    expect(later).to_contain_text("points of accuracy")
    expect(later).to_contain_text("2 variants × 2 runs")
    check_contrast(page)
    earlier = page.locator('.row[data-experiment="earlier"]')
    earlier.get_by_role("button", name="pin").click()
    expect(rows.first).to_have_attribute("data-experiment", "earlier")
    assert read_notes(two.root, "earlier").pinned
    search = page.get_by_role("textbox", name="search")
    search.fill("earl")
    search.press("Enter")
    expect(rows).to_have_count(1)
    search.fill("")
    search.press("Enter")
    expect(rows).to_have_count(2)
    later.get_by_role("button", name="delete").click()
    expect(rows).to_have_count(1)
    assert not Path(two.root / "runs" / "later").exists()
    page.get_by_role("button", name="Archive, trash (1)").click()
    page.get_by_role("button", name="Restore").click()
    expect(rows).to_have_count(2)
    page.locator('.row[data-experiment="later"] a').click()
    page.wait_for_url("**/results?experiment=later**")


def test_an_empty_home_offers_the_demo(page: Page, own_dashboard: Dashboard) -> None:
    own_dashboard.start()
    page.goto(f"{own_dashboard.address}/home")
    expect(page.get_by_role("button", name="Start the demo")).to_be_enabled()


def test_an_example_opens_by_one_click(page: Page, own_dashboard: Dashboard) -> None:
    make_experiment(own_dashboard.root, "known", runs=2, evaluations=1, tasks=4)
    (own_dashboard.root / FOLDER).mkdir(parents=True)
    shutil.move(own_dashboard.root / "runs" / "known", own_dashboard.root / FOLDER / "known")
    own_dashboard.start()
    page.goto(f"{own_dashboard.address}/home")
    page.get_by_role("button", name="Open the example: known").click()
    page.wait_for_url("**/results?**experiment=known**")
    expect(page.locator("table.results")).to_be_visible()
