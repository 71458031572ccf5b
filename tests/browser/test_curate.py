"""Curating in a real browser: no key lost, none on the wrong task, whatever happens to page and server."""

import io
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from core.arc.grids import ARC_COLOURS, Grid
from core.curation.flags import add_flag, all_flags, flags_path, latest_flags
from core.curation.sources import load_tasks
from core.importing.import_source import import_bundle
from dashboard.components.ledger import person_note
from tests.browser.conftest import Dashboard, Watch, check_contrast, wait_to_see
from tests.patience import patience, slowness

pytestmark = pytest.mark.browser

BELOW_THE_FIRST = """card => {
    const [first, own] = [card.parentElement.querySelector(".card"), card].map(
        one => one.getBoundingClientRect());
    return first.x === own.x && own.y > first.y;
}"""
"""Whether a card stands in the first column, below the first row: both places of one moment."""
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
