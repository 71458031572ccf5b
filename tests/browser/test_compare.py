"""Compare and Tasks in a real browser: the answer stands there at once, a click opens it, and it is kept."""

import io
import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from core.results.answers import ordered
from core.results.curves import solved
from core.results.differences import task_differences
from core.results.loading import load_scores
from core.synthetic.experiments import SKILLS
from tests.browser.conftest import NAME, Dashboard, check_contrast, wait_to_see

pytestmark = pytest.mark.browser

A, B = "plain", "twice-as-long"
BLUE, VERMILION = (0, 114, 178), (213, 94, 0)


def pixels(part: Locator) -> set[tuple[int, ...]]:
    """The colours that a part of the page shows."""
    picture = Image.open(io.BytesIO(part.screenshot())).convert("RGB")
    return {tuple(pixel) for pixel in np.asarray(picture).reshape(-1, 3).tolist()}


def test_compare_names_the_settings_that_differ(page: Page, results: Dashboard) -> None:
    page.goto(f"{results.address}/compare")
    expect(page.get_by_role("heading", name=f"{B} is better than {A}")).to_be_visible()
    found = task_differences(load_scores(results.root, NAME), A, B, "accuracy")
    lines = page.locator(".line")
    expect(lines).to_have_count(len(found))
    expect(lines.first).to_contain_text(found[0].task_id)
    expect(lines.first).to_contain_text(found[0].words)
    wait_to_see(lambda: len(pixels(lines.first.locator("img").first)) >= 3)
    expect(page.locator(".js-plotly-plot .bars path")).to_have_count(len(found))
    expect(page.get_by_text("These checkpoints", exact=True)).to_be_visible()
    expect(page.get_by_text("not the recipes: another training may turn it round").first).to_be_visible()
    settings = page.locator("table.settings tr")
    expect(settings).to_have_count(2)
    expect(settings.nth(1)).to_contain_text("training.steps")
    check_contrast(page)

    wins = sum(one.difference > 0 for one in found)
    page.get_by_text(f"B ahead ({wins})").click()
    expect(lines).to_have_count(wins)
    chosen = [one for one in found if one.difference > 0][4]
    lines.nth(4).click()
    expect(page.get_by_role("heading", name=f"{chosen.task_id}: {chosen.words}")).to_be_visible()
    expect(lines.nth(4)).to_have_attribute("aria-current", "true")
    owners = page.locator(".answer-owner")
    expect(owners.first).to_contain_text(f"{A} {chosen.right_a} of {chosen.attempts_a} attempts right")
    expect(owners.last).to_contain_text(f"{B} {chosen.right_b} of {chosen.attempts_b} attempts right")
    page.wait_for_url(f"**task=toy%2Fevaluation%2F{chosen.task_id}**")
    address = page.url
    assert f"a={A}" in address and f"b={B}" in address and "show=wins" in address
    page.goto("about:blank")
    page.goto(address)
    expect(page.get_by_role("heading", name=f"{chosen.task_id}: {chosen.words}")).to_be_visible()
    expect(lines).to_have_count(wins)


def test_tasks_shows_the_answers_of_a_task(page: Page, results: Dashboard) -> None:
    page.goto(f"{results.address}/tasks?of=all+runs&order=easiest")
    canvas = page.locator("canvas")
    expect(canvas).to_be_visible()
    expect(page.get_by_text("40 tasks × 9 runs")).to_be_visible()
    wait_to_see(lambda: BLUE in pixels(canvas))  # a task that a run always solved
    wait_to_see(lambda: any(red > 180 and blue < 120 for red, _, blue in pixels(canvas)))  # sometimes: orange
    expect(page.locator(".answer-line")).to_have_count(3 * len(SKILLS))
    expect(page.locator(".badge.right").first).to_have_text("right")
    check_contrast(page)

    box = canvas.bounding_box()
    assert box is not None
    canvas.click(position={"x": box["width"] * 20.5 / 40, "y": 5})
    scores = load_scores(results.root, NAME)
    task_id = ordered(scores, solved(scores), "easiest").tasks[20][1]
    expect(page.get_by_role("heading", name=f"{task_id}: ")).to_be_visible()
    page.wait_for_url(f"**{task_id}**")
    expect(page.locator(".mark")).to_have_attribute("style", re.compile("left: 50%"))
    masks = page.locator(".mask")
    expect(masks.first).to_be_visible()
    wait_to_see(lambda: VERMILION in pixels(masks.first))

    page.get_by_role("button", name="≤ 5 cells off").click()
    expect(page.locator(".badge.right")).to_have_count(0)
    expect(page.locator(".badge.near").first).to_contain_text("off")
    page.wait_for_url("**kind=near**")
    page.locator(".answer[data-pick]").first.click()
    expect(page.get_by_text("100 tokens of prompt, 20 of answer")).to_be_visible()
    page.wait_for_url("**attempt=1**")
    expect(page.locator("pre", has_text=re.compile(r"^[0-9\s]+$"))).to_be_visible()
    dialog = page.get_by_role("dialog")
    shown = dialog.locator(".answer b").inner_text()
    page.keyboard.press("j")
    page.wait_for_url(re.compile(r"answer=.*%2F(?!1&)[^&]*&attempt=1"))
    expect(dialog.get_by_text("1 of ")).to_be_visible()
    assert shown.endswith(("vote", "votes"))
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.wait_for_url(lambda url: "answer=" not in url)


def test_the_map_opens_a_task_each_time_it_is_clicked(page: Page, results: Dashboard) -> None:
    scores = load_scores(results.root, NAME)
    name = solved(scores).tasks[25]
    heading = page.get_by_role("heading", name=f"{name[1]}: ")
    for _ in range(2):
        page.goto(f"{results.address}/results") if page.url == "about:blank" else follow(page, "Results")
        canvas = page.locator("canvas")
        box = canvas.bounding_box()
        assert box is not None
        canvas.click(position={"x": box["width"] * 25.5 / 40, "y": box["height"] - 3})
        page.wait_for_url("**/tasks?**of=**")
        expect(heading).to_be_visible()
    page.get_by_role("combobox", name="task").click()
    page.get_by_role("option").first.click()
    expect(heading).to_have_count(0)
    page.go_back()
    expect(heading).to_be_visible()
    expect(page.get_by_role("combobox", name="experiment")).to_have_count(1)


def follow(page: Page, name: str) -> None:
    page.get_by_test_id("stTopNav").get_by_role("link", name=name, exact=True).click()
