"""The curation deck as the tests of a browser use it."""

import json
import time
from pathlib import Path

from playwright.sync_api import Page, expect

from core.curation.flags import flags_path
from core.curation.sources import load_tasks
from tests.browser.conftest import Dashboard

SOURCE = "arc1/training"
VALUES = {"f": "yes", "x": "no", "s": "unsure"}
KEYS_PER_SECOND = 20


def open_deck(page: Page, dashboard: Dashboard, query: str = "") -> None:
    page.goto(f"{dashboard.address}/curate{query}")
    wait_for_deck(page)


def wait_for_deck(page: Page) -> None:
    expect(page.locator(".deck[data-loaded] .pair canvas").first).to_be_visible()


def shown_task(page: Page) -> str:
    return page.locator(".deck").get_attribute("data-task") or ""


def wait_until_saved(page: Page) -> None:
    expect(page.locator('.saved[data-pending="0"]')).to_be_attached()


def decisions(root: Path) -> list[tuple[str, str]]:
    path = flags_path(root)
    if not path.exists():
        return []
    lines = map(json.loads, path.read_text().splitlines())
    return [(line["task_id"], line["value"]) for line in lines]


def press(page: Page, keys: str) -> None:
    """Press the keys at a person's fastest pace."""
    began = time.monotonic()
    for number, key in enumerate(keys, 1):
        page.keyboard.press(key)
        ahead = number / KEYS_PER_SECOND - (time.monotonic() - began)
        if ahead > 0:
            page.wait_for_timeout(1000 * ahead)


def expected(root: Path, keys: str, first: int = 0) -> list[tuple[str, str]]:
    ids = list(load_tasks(root, SOURCE))[first:]
    return [(task_id, VALUES[key]) for task_id, key in zip(ids, keys, strict=False)]
