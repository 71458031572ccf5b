"""Curating in a real browser: no key lost, none on the wrong task, whatever happens to page and server."""

import io
import statistics
from collections.abc import Callable
from functools import partial

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from core.arc.grids import ARC_COLOURS, Grid
from core.curation.flags import add_flag, all_flags, latest_flags
from core.curation.sources import load_tasks
from core.importing.import_source import import_bundle
from dashboard.components.deck_actions import person_note
from tests.browser.conftest import Dashboard, Watch, check_contrast, wait_to_see
from tests.browser.deck_page import (
    SOURCE,
    decisions,
    expected,
    open_deck,
    press,
    shown_task,
    wait_for_deck,
    wait_until_saved,
)
from tests.patience import patience, slowness

pytestmark = pytest.mark.browser


def test_a_key_flags_the_task_on_the_screen_and_shows_the_next(page: Page, dashboard: Dashboard) -> None:
    open_deck(page, dashboard)
    first = shown_task(page)
    page.keyboard.press("f")
    assert shown_task(page) != first
    wait_until_saved(page)
    assert decisions(dashboard.root) == [(first, "yes")]
    assert page.locator(".strip button").count() == 1


def test_a_button_does_what_its_key_does(page: Page, dashboard: Dashboard) -> None:
    open_deck(page, dashboard)
    first = shown_task(page)
    page.locator('[data-do="no"]').click()
    page.keyboard.press("s")
    wait_until_saved(page)
    assert decisions(dashboard.root)[0] == (first, "no")
    assert [value for _, value in decisions(dashboard.root)] == ["no", "unsure"]
    check_contrast(page)


def test_undo_restores_what_held_and_returns_to_the_task(page: Page, dashboard: Dashboard) -> None:
    open_deck(page, dashboard, "?show=all")
    first = shown_task(page)
    page.keyboard.press("f")
    page.keyboard.press("k")
    page.keyboard.press("x")
    page.keyboard.press("u")
    assert shown_task(page) == first
    page.keyboard.press("u")
    wait_until_saved(page)
    assert decisions(dashboard.root) == [(first, value) for value in ("yes", "no", "yes", "none")]
    expect(page.locator(".flag")).to_have_text("not reviewed")


def test_undo_and_notes_leave_what_another_said_to_the_other(page: Page, dashboard: Dashboard) -> None:
    first, second = list(load_tasks(dashboard.root, SOURCE))[:2]
    add_flag(dashboard.root, first, SOURCE, "yes", "ada", "by turns")
    add_flag(dashboard.root, second, SOURCE, "yes", "ada")
    open_deck(page, dashboard, f"?show=all&task={first}")
    expect(page.locator('[data-text="note"]')).to_have_text("ada: by turns")
    page.keyboard.press("x")
    page.keyboard.press("n")
    page.locator('[data-choice="note"]').fill("symmetric, too")
    page.keyboard.press("Enter")  # the second task has no judgement of this person yet, so nothing is said
    page.keyboard.press("k")
    page.keyboard.press("u")
    assert shown_task(page) == first
    expect(page.locator(".flag")).to_have_attribute("data-value", "yes")
    wait_until_saved(page)
    mine = [mark for mark in all_flags(dashboard.root) if mark["by"] != "ada"]
    assert [(mark["task_id"], mark["value"]) for mark in mine] == [(first, "no"), (first, "none")]
    assert [person_note(mark["note"]) for mark in mine] == ["", ""]
    assert [mark["value"] for mark in latest_flags(dashboard.root)] == ["yes", "yes"]


def test_two_hundred_keys_at_twenty_a_second(page: Page, dashboard: Dashboard) -> None:
    open_deck(page, dashboard)
    redraws = []
    keys = ("ffxsxfffxx" * 20)[:200]
    for start in range(0, len(keys), 20):
        press(page, keys[start : start + 20])
        redraws.append(float(page.locator(".deck").get_attribute("data-redraw") or "nan"))
    wait_until_saved(page)
    assert decisions(dashboard.root) == expected(dashboard.root, keys)
    assert shown_task(page) == list(load_tasks(dashboard.root, SOURCE))[200]
    assert statistics.median(redraws) < 50 * patience()


def test_a_task_is_drawn_within_a_frame(page: Page, dashboard: Dashboard) -> None:
    """By the processor time of the page's scripts, for a processor as slow as it is just then."""
    open_deck(page, dashboard, "?show=all")
    watched = page.context.new_cdp_session(page)
    watched.send("Performance.enable", {"timeDomain": "threadTicks"})

    def scripting() -> float:
        metrics = watched.send("Performance.getMetrics")["metrics"]
        return next(1000 * one["value"] for one in metrics if one["name"] == "ScriptDuration")

    spent, slow = [], slowness()
    for _ in range(40):
        before = scripting()
        page.keyboard.press("j")
        spent.append(scripting() - before)
    assert 0 < statistics.quantiles(spent, n=20)[-1] < 16 * max(slow, slowness()), "95 % of the tasks"


def test_a_reload_in_the_middle_loses_and_doubles_nothing(page: Page, dashboard: Dashboard) -> None:
    open_deck(page, dashboard)
    keys = "fxsxf" * 8
    press(page, keys[:20])
    page.reload()
    wait_for_deck(page)
    press(page, keys[20:])
    wait_until_saved(page)
    assert sorted(decisions(dashboard.root)) == sorted(expected(dashboard.root, keys))


def test_two_tabs_do_not_disturb_each_other(new_tab: Callable[[], Page], dashboard: Dashboard) -> None:
    ids = list(load_tasks(dashboard.root, SOURCE))
    left, right = new_tab(), new_tab()
    open_deck(left, dashboard)
    open_deck(right, dashboard, f"?show=all&task={ids[50]}")
    for _ in range(5):
        press(left, "fx")
        press(right, "ss")
    for tab in (left, right):
        wait_until_saved(tab)
        expect(tab.locator('[data-text="done"]')).to_have_text("20 / 400 reviewed")
    wanted = expected(dashboard.root, "fx" * 5) + expected(dashboard.root, "s" * 10, first=50)
    assert sorted(decisions(dashboard.root)) == sorted(wanted)


def test_a_killed_server_loses_nothing(page: Page, own_dashboard: Dashboard, watch: Watch) -> None:
    import_bundle(own_dashboard.root, "arc1")
    own_dashboard.start()
    open_deck(page, own_dashboard)
    press(page, "fxs")
    wait_until_saved(page)
    press(page, "ff")
    own_dashboard.kill()
    assert decisions(own_dashboard.root)[:3] == expected(own_dashboard.root, "fxs")
    press(page, "xxs")
    assert int(page.locator(".saved").get_attribute("data-pending") or "0") >= 3
    own_dashboard.start()
    wait_until_saved(page)
    assert decisions(own_dashboard.root) == expected(own_dashboard.root, "fxsffxxs")
    watch.errors.clear()  # the refused connections while the server was dead


def test_a_server_that_came_back_twice_before_a_key_saves_it(
    page: Page, own_dashboard: Dashboard, watch: Watch
) -> None:
    import_bundle(own_dashboard.root, "arc1")
    own_dashboard.start()
    open_deck(page, own_dashboard)
    lost = page.get_by_test_id("stConnectionStatus")
    for _ in range(2):  # the first time, Streamlit's page runs again by itself; the second it would not
        own_dashboard.kill()
        expect(lost).to_be_visible()
        own_dashboard.start()
        expect(lost).to_be_hidden()
        expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    press(page, "fx")
    wait_until_saved(page)
    assert decisions(own_dashboard.root) == expected(own_dashboard.root, "fx")
    watch.errors.clear()  # the refused connections while the server was dead


def test_the_grids_are_painted_cell_by_cell(page: Page, dashboard: Dashboard) -> None:
    task = load_tasks(dashboard.root, SOURCE)["29c11459"]  # all ten colours, and wider than high
    open_deck(page, dashboard, "?show=all&task=29c11459")
    expect(page.locator(".suggestion")).not_to_have_text("judging …")  # as it comes, all is drawn again
    forwards = page.locator('[data-panel="forwards"] canvas')
    backwards = page.locator('[data-panel="reversed"] canvas')
    assert forwards.count() == backwards.count() == 2 * len(task.pairs)
    for pair_index, pair in enumerate(task.pairs):
        assert pair.output is not None
        for canvas, grid in (
            (forwards.nth(2 * pair_index), pair.input),
            (forwards.nth(2 * pair_index + 1), pair.output),
            (backwards.nth(2 * pair_index), pair.output),
            (backwards.nth(2 * pair_index + 1), pair.input),
        ):
            wait_to_see(partial(shows, canvas, grid))
    labels = page.locator('[data-panel="forwards"] figcaption').all_inner_texts()
    assert labels == ["11×5"] * 2 * len(task.pairs)


def test_digits_can_be_read_in_the_largest_grids(page: Page, dashboard: Dashboard) -> None:
    tasks = load_tasks(dashboard.root, SOURCE)
    task_id = next(name for name, task in tasks.items() if task.train[0].input.shape == (30, 30))
    open_deck(page, dashboard, f"?show=all&task={task_id}")
    expect(page.locator(".suggestion")).not_to_have_text("judging …")
    panel = page.locator('[data-panel="forwards"] .pairs')
    grid = panel.locator("canvas").first
    small = grid.bounding_box()
    page.keyboard.press("d")
    expect(grid).to_have_css("width", f"{30 * 13}px")
    large, around = grid.bounding_box(), panel.bounding_box()
    assert small and large and around
    assert small["width"] < 30 * 13
    assert large["x"] >= around["x"] and large["y"] >= around["y"], (
        "else no scrolling reaches its first cells"
    )
    page.keyboard.press("d")
    expect(grid).to_have_css("width", f"{small['width']:g}px")


def shows(canvas: Locator, grid: Grid) -> bool:
    """Whether the middle of each cell has its colour on the screen."""
    picture = Image.open(io.BytesIO(canvas.screenshot())).convert("RGB")
    height, width = grid.shape
    return all(
        "#{:02X}{:02X}{:02X}".format(
            *picture.getpixel(
                (int((x + 0.5) * picture.width / width), int((y + 0.5) * picture.height / height))
            )  # type: ignore[misc]
        )
        == ARC_COLOURS[grid[y, x]]
        for y in range(height)
        for x in range(width)
    )


def test_an_empty_project_offers_to_import(page: Page, own_dashboard: Dashboard) -> None:
    own_dashboard.start()
    page.goto(own_dashboard.address)
    page.get_by_role("button", name="Import ARC-1").click()
    wait_for_deck(page)
    expect(page.locator('[data-text="done"]')).to_have_text("0 / 400 reviewed")
    replace_a_source(page, own_dashboard)


def replace_a_source(page: Page, served: Dashboard) -> None:
    """A source that is here already is replaced after a question only, and a bar shows how far it is."""
    stored = served.root / "data" / "sources" / "arc1" / "training.parquet"
    before = stored.stat().st_mtime_ns
    page.goto(f"{served.address}/data")
    page.get_by_role("button", name="Import …").click()
    button = page.locator(".st-key-import button")
    expect(page.get_by_text("It is here already. Confirm above that it is replaced")).to_be_visible()
    expect(button).to_be_disabled()
    page.get_by_text("Replace arc1/evaluation, arc1/training").click()
    expect(button).to_be_enabled()
    assert stored.stat().st_mtime_ns == before
    button.click()
    expect(page.get_by_text("arc1/training: 400 tasks")).to_be_visible()
    assert stored.stat().st_mtime_ns > before
