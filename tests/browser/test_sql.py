"""The SQL page and "How to read this" in a browser: an answer at once, errors in a sentence."""

import re

import pytest
from playwright.sync_api import Page, expect

from core.synthetic.experiments import SKILLS
from tests.browser.conftest import Dashboard, check_contrast

pytestmark = pytest.mark.browser

RUNS = 3 * len(SKILLS)
ENDLESS = "WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t) SELECT count(*) FROM t"


def run(page: Page, text: str) -> None:
    page.get_by_role("textbox", name="query").first.fill(text)
    page.get_by_role("button", name="Run").click()


def test_a_question_is_answered_saved_and_found_again(page: Page, results: Dashboard) -> None:
    page.goto(f"{results.address}/sql")
    expect(page.get_by_text(f"{RUNS} rows")).to_be_visible()
    expect(page.locator(".js-plotly-plot .scatterlayer .points path")).to_have_count(RUNS)
    expect(page.locator("table.columns").first).to_contain_text("votes_above")
    check_contrast(page)

    run(page, "SELECT source, count(*) AS pairs FROM pairs GROUP BY source")
    expect(page.get_by_text("1 row", exact=True)).to_be_visible()
    page.wait_for_url("**query=SELECT**")
    page.get_by_placeholder("name to save it under").fill("pairs-per-source")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved as data/queries/pairs-per-source.sql.")).to_be_visible()
    saved = results.root / "data" / "queries" / "pairs-per-source.sql"
    assert saved.read_text().startswith("SELECT source")

    page.goto(f"{results.address}/sql?saved=pairs-per-source")
    expect(page.get_by_role("textbox", name="query").first).to_have_value(saved.read_text())
    with page.expect_download() as download:
        page.get_by_test_id("stDownloadButton").filter(has_text="CSV").click()
    lines = download.value.path().read_text().splitlines()
    assert lines == ["source,pairs", "toy/evaluation,160"]


def test_the_query_behind_the_last_chart_stands_there(page: Page, results: Dashboard) -> None:
    page.goto(f"{results.address}/results?metric=vote_2")
    expect(page.locator(".js-plotly-plot").nth(1)).to_be_visible()
    expect(page.locator("canvas").first).to_be_visible()
    editor = page.get_by_role("textbox", name="query").first
    page.get_by_test_id("stTopNavLink").filter(has_text="SQL").click()
    expect(editor).to_have_value(re.compile("^-- vote_2 in percent of every training"))
    expect(page.get_by_text(f"{RUNS} rows")).to_be_visible()
    page.get_by_test_id("stTopNavLink").filter(has_text="Compare").click()
    expect(page.locator(".js-plotly-plot .bars path").first).to_be_visible()
    page.get_by_test_id("stTopNavLink").filter(has_text="SQL").click()
    expect(editor).to_have_value(re.compile("^-- accuracy on every task in percent"))
    expect(page.get_by_text("40 rows")).to_be_visible()
    page.get_by_test_id("stTopNavLink").filter(has_text="Results").click()
    page.get_by_role("button", name="SQL").nth(2).click()
    expect(editor).to_have_value(re.compile("^-- right attempts of every training"))
    expect(page.get_by_text(f"{40 * RUNS} rows")).to_be_visible()


def test_an_error_fetches_no_picture(page: Page, results: Dashboard) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{results.address}/sql?query=SELECT error('![x](http://127.0.0.1:9/stolen) **bold**')")
    expect(page.get_by_role("alert")).to_contain_text("![x](http://127.0.0.1:9/stolen) **bold**")
    assert len(asked) > 3 and not [url for url in asked if "stolen" in url.split("?")[0]]


def test_errors_are_sentences_and_an_endless_query_can_be_cancelled(page: Page, results: Dashboard) -> None:
    page.goto(f"{results.address}/sql?query=SELECT%20*%20FROM%20read_text('/etc/passwd')")
    expect(page.get_by_role("alert")).to_contain_text("reads the project's own tables only")
    run(page, "COPY scores TO 'x.csv'")
    expect(page.get_by_role("alert")).to_contain_text("Only one SELECT is answered")
    run(page, ENDLESS)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("alert")).to_contain_text("was cancelled")
    run(page, "SELECT range AS i FROM range(20000)")
    expect(page.get_by_role("alert")).to_contain_text("only the first 10,000 rows")


def test_how_to_read_this_counts_the_trap(page: Page, results: Dashboard) -> None:
    page.goto(f"{results.address}/how_to_read?word=expected_vote_2")
    expect(page.locator(".words .asked")).to_contain_text("expected_vote_k")
    expect(page.locator(".words .asked")).to_be_in_viewport()
    expect(page.get_by_text("p = 0.00002")).to_be_visible()
    expect(page.get_by_text("p = 0.11")).to_be_visible()
    expect(page.locator(".js-plotly-plot .scatterlayer .points path")).to_have_count(15)
    links = page.get_by_test_id("stTopNavLink").all_inner_texts()
    assert links[-1] == "How to read this"
    check_contrast(page)
