"""Text from data is never live: no page makes a link or a picture of it, or asks a foreign server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.browser.conftest import Dashboard, serving
from tests.faults.markers import HOST, MARKER, marked_project
from tests.faults.project import pages

LIVE = f'a[href*="{HOST}"], img[src*="{HOST}"], *[style*="{HOST}"]'
SHOWING = ("data", "runs?experiment=my-question", "results?experiment=theirs")
"""Pages that show a marked text as it stands."""


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    root = marked_project(tmp_path_factory.mktemp("marked") / "project")
    with serving(root, tmp_path_factory.mktemp("log") / "dashboard.log") as dashboard:
        yield dashboard


def test_no_text_is_live_on_any_page(marked: Dashboard, context: BrowserContext) -> None:
    asked: list[str] = []
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    for address in [*pages(marked.root), "launch?spec=odd", "home"]:
        page.goto(f"{marked.address}/{address}")
        expect(page.get_by_test_id("stMain").get_by_test_id("stElementContainer").first).to_be_attached()
        if address in SHOWING:
            expect(page.locator("body")).to_contain_text(MARKER.split()[0])
        expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
        assert page.locator(LIVE).count() == 0, address
        # Plotly and deck draw links of their own kind.
        assert page.locator(f'svg a[*|href*="{HOST}"]').count() == 0, address
        assert page.locator(".stException").count() == 0, address
    assert not [url for url in asked if HOST in url]


def test_markdown_of_the_files_is_shown_as_it_stands(marked: Dashboard, context: BrowserContext) -> None:
    page = context.new_page()
    page.goto(f"{marked.address}/runs?experiment=my-question")
    expect(page.get_by_text("![a](https:").first).to_be_visible()


def test_the_product_writes_no_html_past_the_escaping(tmp_path: Path) -> None:
    """`innerHTML` stands only where the HTML is a constant, or escaped by the server."""
    folder = Path(__file__).resolve().parents[2] / "dashboard" / "components" / "static"
    found = {path.name: path.read_text().count("innerHTML") for path in folder.glob("*.js")}
    assert {name: count for name, count in found.items() if count} == {"deck_view.js": 3, "picker.js": 1}
