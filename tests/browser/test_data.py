"""The data page and the suggestions in a real browser: numbers, pictures and sentences as core says them."""

import base64
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from core.arc.grids import ARC_COLOURS, Grid
from core.curation.flags import add_flags, flags_path
from core.curation.sources import load_tasks
from core.mixing.mixtures import MixtureSettings, load_mixture
from core.number_words import share_text
from core.prompts.encoders import GridEncoding
from core.prompts.lengths import EMBEDDED, embedded_count, source_lengths
from core.prompts.templates import PromptSettings
from core.reversibility.suggestions import judge, suggest
from tests.browser.conftest import Dashboard, check_contrast, wait_to_see

pytestmark = pytest.mark.browser

TRAINING, EVALUATION = "arc1/training", "arc1/evaluation"


@pytest.fixture
def flagged(dashboard: Dashboard) -> Iterator[Dashboard]:
    """ARC-1 with six flags of each value, so that suggestions learn from them."""
    ids = list(load_tasks(dashboard.root, TRAINING))[:12]
    values = ["yes", "no"] * 6
    add_flags(
        dashboard.root,
        [
            {"task_id": task_id, "source": TRAINING, "value": value, "by": "me"}
            for task_id, value in zip(ids, values, strict=True)
        ],
    )
    yield dashboard
    flags_path(dashboard.root).unlink(missing_ok=True)


def open_data(page: Page, dashboard: Dashboard, query: str = "") -> None:
    page.goto(f"{dashboard.address}/data{query}")
    expect(page.locator("button[data-a]").first).to_be_visible()
    expect(page.locator(".drawn")).to_have_count(12)


def pictured(picture: Locator) -> list[list[int]]:
    """The colours of a grid's picture, one pixel per cell."""
    address = picture.get_attribute("src") or ""
    image = Image.open(io.BytesIO(base64.b64decode(address.split(",", 1)[1]))).convert("RGB")
    numbers = {colour: index for index, colour in enumerate(ARC_COLOURS)}
    at = lambda x, y: "#{:02X}{:02X}{:02X}".format(*image.getpixel((x, y)))  # noqa: E731
    return [[numbers[at(x, y)] for x in range(image.width)] for y in range(image.height)]


def grids_of(root: Path, source: str, task_id: str) -> list[Grid]:
    pairs = load_tasks(root, source)[task_id].pairs
    return [grid for pair in pairs for grid in (pair.input, pair.output) if grid is not None]


def test_sources_and_shares_stand_there_before_anything_is_chosen(page: Page, dashboard: Dashboard) -> None:
    open_data(page, dashboard)
    rows = page.locator(".data-table.sources tbody tr")
    assert [re.split(r"\s", text)[:3] for text in rows.all_inner_texts()] == [
        [TRAINING, "400", "400"],
        [EVALUATION, "400", "400"],
    ]
    found = source_lengths(dashboard.root, TRAINING, EMBEDDED, PromptSettings())
    cells = page.locator(".data-table.fits tbody tr").first.locator("td").all_inner_texts()
    shares = [share_text(found.fitting(window) or 0) for window in (1024, 2048, 4096, 8192, 16384)]
    assert [cell.strip() for cell in cells] == [
        TRAINING,
        "400",
        f"{found.median:,.0f}",
        f"{max(found.tokens):,}",
        *shares,
    ]
    expect(page.locator(".js-plotly-plot .scatterlayer .trace")).to_have_count(2)
    check_contrast(page)


def test_the_prompt_is_in_the_address_and_lengthens_the_samples(page: Page, dashboard: Dashboard) -> None:
    open_data(page, dashboard)
    page.get_by_role("button", name="spaces").click()
    spaced = PromptSettings(encoding=GridEncoding(cell_separator="space"))
    found = source_lengths(dashboard.root, TRAINING, EMBEDDED, spaced)
    longest = page.locator(".data-table.fits tbody tr").first.locator("td").nth(3)
    expect(longest).to_have_text(f"{max(found.tokens):,}")
    page.wait_for_url("**prompt=spaces**")
    page.reload()
    expect(longest).to_have_text(f"{max(found.tokens):,}")


def test_a_cell_opens_the_leaking_tasks_side_by_side(page: Page, dashboard: Dashboard) -> None:
    open_data(page, dashboard)
    cell = page.locator(f'button[data-a="{TRAINING}"][data-b="{EVALUATION}"]')
    expect(cell).to_have_text("20.5 %")
    cell.click()
    title = page.get_by_text("same family, 3 pairs in common")
    expect(title).to_be_visible()
    page.wait_for_url("**leak=**")
    box = page.locator('[data-testid="stVerticalBlock"]').filter(has=title).last
    expected = [
        grid.tolist()
        for source, task_id in ((TRAINING, "40853293"), (EVALUATION, "070dd51e"))
        for grid in grids_of(dashboard.root, source, task_id)
    ]
    pictures = box.locator(".arc-cells img")
    expect(pictures).to_have_count(len(expected))
    wait_to_see(lambda: [pictured(picture) for picture in pictures.all()] == expected)
    page.reload()
    expect(page.get_by_text("50a16a69")).to_be_visible()


def test_the_draws_are_those_of_a_training_with_that_seed(page: Page, dashboard: Dashboard) -> None:
    open_data(page, dashboard, f"?mix={EVALUATION}&seed=5")
    settings = MixtureSettings.model_validate({"sources": [{"source": EVALUATION}]})
    mixture = load_mixture(dashboard.root, settings, 5)
    first = mixture.sample(0)
    drawn = page.locator(".drawn").first
    expect(drawn.locator("code")).to_have_text(first.task_id)
    expect(drawn).to_contain_text(f"{embedded_count(first, PromptSettings()):,} tokens")
    expected = [
        grid.tolist() for pair in first.pairs for grid in (pair.input, pair.output) if grid is not None
    ]
    pictures = drawn.locator(".arc-cells img")
    wait_to_see(lambda: [pictured(picture) for picture in pictures.all()] == expected)
    seed = page.get_by_label("seed")
    seed.fill("6")
    seed.press("Enter")
    expect(drawn.locator("code")).to_have_text(load_mixture(dashboard.root, settings, 6).sample(0).task_id)
    page.wait_for_url("**seed=6**")


def test_the_deck_shows_how_likely_and_why(page: Page, flagged: Dashboard) -> None:
    page.goto(f"{flagged.address}/curate?source={TRAINING}&show=suggested")
    expect(page.locator(".suggestion")).to_contain_text("reversible")
    queue = suggest(flagged.root, [TRAINING])
    expect(page.locator('[data-text="place"]')).to_have_text(f"1 of {len(queue)} in “suggested”")
    known = judge(flagged.root, TRAINING)
    seen = []
    for _ in range(4):
        task_id = page.locator(".deck").get_attribute("data-task") or ""
        seen.append(task_id)
        chance = known[task_id].probability
        sentence = (
            "nearly even" if 0.455 < chance < 0.545 else f"likely {'' if chance > 0.5 else 'not '}reversible"
        )
        expect(page.locator(".suggestion")).to_contain_text(sentence)
        expect(page.locator(".suggestion")).to_contain_text(known[task_id].reasons)
        page.keyboard.press("j")
    assert seen == [one.task_id for one in queue[:4]]
