"""What stands in the deck's queue: search, gallery, filters, sizes and addresses, in a real browser."""

import pytest
from playwright.sync_api import Page, expect

from core.curation.flags import all_flags
from core.curation.sources import load_tasks
from tests.browser.conftest import Dashboard
from tests.browser.deck_page import (
    SOURCE,
    decisions,
    open_deck,
    press,
    shown_task,
    wait_for_deck,
    wait_until_saved,
)

pytestmark = pytest.mark.browser

BELOW_THE_FIRST = """card => {
    const [first, own] = [card.parentElement.querySelector(".card"), card].map(
        one => one.getBoundingClientRect());
    return first.x === own.x && own.y > first.y;
}"""
"""Whether a card stands in the first column, below the first row: both places of one moment."""


def test_a_task_is_found_by_address_by_id_and_in_the_gallery(page: Page, dashboard: Dashboard) -> None:
    ids = list(load_tasks(dashboard.root, SOURCE))
    open_deck(page, dashboard, f"?source={SOURCE}&show=all&task={ids[7]}")
    assert shown_task(page) == ids[7]
    page.keyboard.press("/")
    page.keyboard.type(ids[120])
    page.keyboard.press("Enter")
    assert shown_task(page) == ids[120]
    page.wait_for_url(f"**task={ids[120]}**")
    page.keyboard.press("g")
    assert page.locator(".card").count() == 100
    page.wait_for_url("**gallery=2**")
    page.reload()
    expect(page.locator(".card")).to_have_count(100)
    page.locator(f'.card[data-open="{ids[130]}"]').click()
    assert shown_task(page) == ids[130]
    assert decisions(dashboard.root) == []


def test_an_id_that_is_not_found_leaves_no_key_to_flag_another_task(page: Page, dashboard: Dashboard) -> None:
    first, second, third = list(load_tasks(dashboard.root, SOURCE))[:3]
    open_deck(page, dashboard, f"?show=all&task={first}")
    box = page.locator('[data-choice="search"]')
    for wanted in (second, third):  # the second time, the box still holds the first id
        page.keyboard.press("/")
        page.keyboard.type(wanted)
        page.keyboard.press("Enter")
        expect(page.locator(".deck")).to_have_attribute("data-task", wanted)
        expect(box).not_to_be_focused()
    before = decisions(dashboard.root)
    page.keyboard.press("/")
    page.keyboard.type("zz")
    page.keyboard.press("Enter")
    page.keyboard.press("f")
    expect(box).to_be_focused()
    expect(box).to_have_value("zzf")
    expect(page.locator(".notice")).to_have_text(f"“zz” is not in {SOURCE}, nor in another source. ")
    wait_until_saved(page)
    assert decisions(dashboard.root) == before
    elsewhere = list(load_tasks(dashboard.root, "arc1/evaluation"))[7]
    box.fill(elsewhere)
    page.keyboard.press("Enter")
    expect(page.locator(".notice")).to_contain_text(f"{elsewhere} is in arc1/evaluation.")
    page.keyboard.press("Enter")
    expect(page.locator(".deck")).to_have_attribute("data-source", "arc1/evaluation")
    expect(page.locator(".deck")).to_have_attribute("data-task", elsewhere)
    assert decisions(dashboard.root) == before


def test_a_search_keeps_the_place_in_the_queue(page: Page, dashboard: Dashboard) -> None:
    ids = list(load_tasks(dashboard.root, SOURCE))
    open_deck(page, dashboard)
    place = page.locator('[data-text="place"]')
    press(page, "fxf")
    expect(place).to_have_text("4 of 400 in “unreviewed”")

    def look_up(task_id: str) -> None:
        page.keyboard.press("/")
        page.keyboard.type(task_id)
        page.keyboard.press("Enter")
        expect(page.locator(".deck")).to_have_attribute("data-task", task_id)

    look_up(ids[1])  # decided already, and looked at again
    expect(place).to_have_text("looked up: J goes back to 4 of 400 in “unreviewed”")
    page.keyboard.press("j")
    assert shown_task(page) == ids[3]
    look_up(ids[200])  # ahead in the queue
    page.keyboard.press("Escape")
    assert shown_task(page) == ids[3]
    look_up(ids[300])
    page.keyboard.press("s")  # decided here, and back
    assert shown_task(page) == ids[3]
    page.keyboard.press("u")
    assert shown_task(page) == ids[300]
    page.keyboard.press("x")
    page.locator(f'.strip button[data-open="{ids[0]}"]').click()
    assert shown_task(page) == ids[0]
    page.reload()
    wait_for_deck(page)
    expect(page.locator(".deck")).to_have_attribute("data-task", ids[0])
    page.keyboard.press("j")
    assert shown_task(page) == ids[3]
    wait_until_saved(page)
    assert dict(decisions(dashboard.root)) == {
        ids[0]: "yes",
        ids[1]: "no",
        ids[2]: "yes",
        ids[300]: "no",
    }


def test_the_gallery_answers_the_keys_that_the_help_names(page: Page, dashboard: Dashboard) -> None:
    ids = list(load_tasks(dashboard.root, SOURCE))
    open_deck(page, dashboard, f"?show=all&task={ids[98]}")
    page.keyboard.press("?")
    for words in ("mark a card there; F X S flag it", "opens it", "turn its pages"):
        expect(page.locator(".help")).to_contain_text(words)
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    marked = page.locator(".card.marked")
    expect(marked).to_have_attribute("data-open", ids[98])
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")  # over the end of the page
    expect(marked).to_have_attribute("data-open", ids[100])
    expect(page.locator(".gallery nav span")).to_have_text("page 2 of 4")
    page.keyboard.press("ArrowDown")
    expect(marked).not_to_have_attribute("data-open", ids[100])
    columns = ids.index(marked.get_attribute("data-open") or "") - 100
    assert 3 <= columns <= 12
    assert marked.evaluate(BELOW_THE_FIRST)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    expect(marked).to_have_attribute("data-open", ids[99])
    page.keyboard.press("f")
    page.keyboard.press("x")
    expect(marked).to_have_attribute("data-open", ids[101])
    page.keyboard.press("u")  # the mark goes back to what is judged anew
    expect(marked).to_have_attribute("data-open", ids[100])
    page.keyboard.press("s")
    page.keyboard.press("u")
    wait_until_saved(page)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    assert shown_task(page) == ids[100]
    page.keyboard.press("g")
    page.keyboard.press("Escape")
    assert shown_task(page) == ids[100]
    assert dict(decisions(dashboard.root)) == {ids[99]: "yes", ids[100]: "none"}


def test_an_address_that_names_nothing_is_reported(page: Page, dashboard: Dashboard) -> None:
    notice = page.locator(".notice")
    open_deck(page, dashboard, "?show=all&task=zzzz")
    expect(notice).to_have_text(f"{SOURCE} has no task “zzzz”.")
    page.keyboard.press("j")
    expect(notice).to_be_hidden()
    open_deck(page, dashboard, "?source=arc9/training")
    sentence = f"There is no source “arc9/training” here, so {SOURCE} is shown. Choose another one above."
    expect(notice).to_have_text(sentence)
    page.keyboard.press("f")
    wait_until_saved(page)
    expect(notice).to_be_hidden()


def test_size_bounds_and_orders_the_queue(page: Page, dashboard: Dashboard) -> None:
    tasks = load_tasks(dashboard.root, SOURCE)
    grids = {
        task_id: [grid for pair in task.pairs for grid in (pair.input, pair.output) if grid is not None]
        for task_id, task in tasks.items()
    }
    cells = {task_id: sum(grid.size for grid in found) for task_id, found in grids.items()}
    small = [task_id for task_id, found in grids.items() if max(max(grid.shape) for grid in found) <= 5]
    assert 5 <= len(small) <= 50
    open_deck(page, dashboard, "?show=all")
    page.locator('[data-choice="side"]').select_option("5")
    expect(page.locator('[data-text="place"]')).to_have_text(f"1 of {len(small)} in “all”")
    assert shown_task(page) == small[0]
    page.locator('[data-choice="order"]').select_option("largest")
    assert shown_task(page) == max(small, key=lambda task_id: cells[task_id])
    page.wait_for_url("**side=5**order=largest**")
    page.reload()
    wait_for_deck(page)
    expect(page.locator('[data-text="place"]')).to_have_text(f"1 of {len(small)} in “all”")
    page.locator('[data-choice="side"]').select_option("any")
    page.locator('[data-choice="order"]').select_option("smallest")
    assert cells[shown_task(page)] == min(cells.values())


def test_filters_choose_the_queue(page: Page, dashboard: Dashboard) -> None:
    ids = list(load_tasks(dashboard.root, SOURCE))
    open_deck(page, dashboard)
    press(page, "fxf")
    press(page, "kn")
    page.locator('[data-choice="note"]').fill("odd")
    page.keyboard.press("Enter")
    expect(page.locator('[data-text="note"]')).to_have_text("odd")
    wait_until_saved(page)
    assert all_flags(dashboard.root)[-1]["note"].endswith(" odd")
    page.reload()
    wait_for_deck(page)
    expect(page.locator(".strip button")).to_have_count(3)  # the last ones, also after a reload
    page.keyboard.press("u")  # which takes back what was decided before it
    assert shown_task(page) == ids[2]
    expect(page.locator(".strip button")).to_have_count(2)
    wait_until_saved(page)
    assert decisions(dashboard.root)[-1] == (ids[2], "none")
    page.keyboard.press("f")
    wait_until_saved(page)
    page.reload()
    wait_for_deck(page)
    page.locator('[data-choice="show"]').select_option("second pass")
    expect(page.locator('[data-text="place"]')).to_have_text("1 of 1 in “second pass”")
    expect(page.locator('[data-text="flag"]')).to_have_text("judge it anew")
    expect(page.locator(".strip button")).to_have_count(0)
    page.keyboard.press("f")
    wait_until_saved(page)
    assert all_flags(dashboard.root)[-1]["note"].startswith("second pass")
    page.locator('[data-choice="flag"]').fill("hard")
    page.locator('[data-choice="flag"]').press("Enter")
    expect(page.locator('[data-text="question"]')).to_have_text("Hard?")
    expect(page.locator('[data-text="done"]')).to_have_text("0 / 400 reviewed")
    page.locator('[data-choice="show"]').select_option("all")
    page.keyboard.press("f")
    wait_until_saved(page)
    assert all_flags(dashboard.root)[-1]["flag"] == "hard"
    page.locator('[data-choice="flag"]').fill("reversible")
    page.locator('[data-choice="flag"]').press("Enter")
    expect(page.locator('[data-text="question"]')).to_have_text("Reversible?")
    page.locator('[data-choice="show"]').select_option("yes")
    expect(page.locator('[data-text="place"]')).to_have_text("1 of 2 in “yes”")
    assert shown_task(page) == ids[0]
    page.locator('[data-choice="show"]').select_option("disagreements")
    expect(page.locator(".end")).to_contain_text("No task")
    page.locator('[data-choice="source"]').select_option("arc1/evaluation")
    expect(page.locator('.deck[data-source="arc1/evaluation"]')).to_be_attached()
    page.locator('[data-do="everything"]').click()
    expect(page.locator('[data-text="place"]')).to_have_text("1 of 400 in “all”")
    page.keyboard.press("f")
    wait_until_saved(page)
    evaluation = next(iter(load_tasks(dashboard.root, "arc1/evaluation")))
    assert decisions(dashboard.root)[-1] == (evaluation, "yes")
