"""The lab note of an experiment in a real browser: numbers that stay right, and text that is not lost."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.experiments.notes import read_notes
from core.synthetic.experiments import make_experiment
from tests.browser.conftest import Dashboard

pytestmark = pytest.mark.browser

SKILLS = {"plain": 0.0, "longer": 2.0}
NOTE = "## Conclusion\n\nlonger hurts: {longer against plain, accuracy}, from {accuracy plain}.\n"


def follow(page: Page, name: str) -> None:
    """A click as long as a person's: a field hands its text on when the button goes down."""
    link = page.get_by_test_id("stTopNav").get_by_role("link", name=name, exact=True)
    link.click(delay=150)


def test_a_note_keeps_its_numbers_and_its_text(page: Page, own_dashboard: Dashboard, tmp_path: Path) -> None:
    root = own_dashboard.root
    make_experiment(root, "trial", SKILLS, runs=3, evaluations=1, tasks=20, attempts=4)
    own_dashboard.start()
    page.goto(f"{own_dashboard.address}/results")
    page.get_by_text("Lab note: none yet").click()
    field = page.get_by_role("textbox", name="note", exact=True)
    field.fill(NOTE)
    page.get_by_role("textbox", name="tags").fill("noise, first")
    follow(page, "Runs")
    expect(page.locator("tr[data-run]")).to_have_count(6)
    follow(page, "Results")
    page.get_by_text("Lab note: none yet").click()
    expect(field).to_have_value(NOTE)
    expect(page.get_by_text("Not saved yet.")).to_be_visible()
    assert read_notes(root, "trial").text == ""
    expect(page.locator('[data-testid="stStatusWidget"]')).to_have_count(0)
    page.locator(".st-key-save-note button").click()
    expect(page.get_by_text("Not saved yet.")).to_have_count(0)
    notes = read_notes(root, "trial")
    assert (notes.text, notes.tags) == (NOTE, ("noise", "first"))
    note = page.locator(".st-key-lab-note-trial")
    expect(note).to_contain_text("1 number to look at")
    wrong = note.locator("p", has_text="longer against plain, accuracy")
    expect(wrong).to_contain_text("The verdict is 'better'.")
    assert wrong.locator("span").first.evaluate("part => getComputedStyle(part).color") != wrong.evaluate(
        "part => getComputedStyle(part).color"
    )
    shown = notes.numbers["accuracy plain"]
    with page.expect_download() as taken:
        note.get_by_role("button", name="Markdown").locator("visible=true").first.click()
    frozen = tmp_path / "frozen.md"
    taken.value.save_as(frozen)
    assert shown in frozen.read_text() and "{accuracy" not in frozen.read_text()
    field.fill(NOTE.replace("hurts", "helps"))
    page.locator(".st-key-save-note button").click()
    expect(note).not_to_contain_text("to look at")
