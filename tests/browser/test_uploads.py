"""What people have already, sent through the pages: predictions become scores, judgements become flags."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.curation.flags import add_flag, latest_flags
from core.curation.sources import load_tasks
from tests.browser.conftest import Dashboard
from tests.made_once import copy_of_arc1

pytestmark = pytest.mark.browser

SOURCE = "arc1/evaluation"
JUDGED = "arc1/training"


def send(page: Page, key: str, name: str, text: str) -> None:
    """Lay a file of this text into the field of that key."""
    file = {"name": name, "mimeType": "text/plain", "buffer": text.encode()}
    field = page.locator(f'.st-key-{key} input[type="file"]')
    expect(field).to_be_enabled()
    field.set_input_files(file)  # type: ignore[arg-type]


def test_what_people_have_is_sent_through_the_pages(
    page: Page, own_dashboard: Dashboard, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy_of_arc1(tmp_path_factory, own_dashboard.root)
    own_dashboard.start()
    send_predictions(page, own_dashboard)
    send_judgements(page, own_dashboard)


def send_predictions(page: Page, served: Dashboard) -> None:
    """One right answer and one bad grid: a foreign task is refused, then both are scored and shown, and a
    second click has nothing to import. What lies in the page's other field for a file stays there."""
    tasks = iter(load_tasks(served.root, SOURCE).values())
    solved, missed = next(tasks), next(tasks)
    right = [{"attempt_1": pair.output.tolist()} for pair in solved.test if pair.output is not None]
    page.goto(f"{served.address}/results")
    page.get_by_text("Import a table of results").click()
    send(page, "scores-file", "printed.csv", "variant,mean,std,n\nplain,.4,.01,4\n")
    expect(page.get_by_label("baseline")).to_be_visible()
    page.get_by_text("Import predictions").click()
    send(page, "predictions-file", "theirs.json", json.dumps({"ffffffff": right}))
    expect(page.locator(".st-key-predictions-file")).to_contain_text("theirs.json")
    button = page.locator(".st-key-predictions-import button")
    page.locator(".st-key-predictions-experiment input").fill("guesses")
    button.click()  # at once: the field hands its text on when it loses the keyboard
    expect(page.get_by_text("Still lacking: a variant.")).to_be_visible()
    page.locator(".st-key-predictions-variant input").fill("theirs")
    button.click()
    expect(page.get_by_text("theirs.json: the source has no task 'ffffffff'")).to_be_visible()
    answers = {solved.task_id: right, missed.task_id: [{"attempt_1": [[1], [2, 3]]}]}
    send(page, "predictions-file", "again.json", json.dumps(answers))
    expect(page.locator(".st-key-predictions-file")).to_contain_text("again.json")
    expect(page.locator(".st-key-scores-file")).to_contain_text("printed.csv")
    expect(page.get_by_label("baseline").first).to_be_visible()
    button.click()
    expect(page.get_by_text("1 bad and counted as unanswered")).to_be_visible()
    expect(page.locator("table.results")).to_contain_text("theirs")
    page.wait_for_url("**experiment=guesses**")
    expect(page.locator(".st-key-predictions-file")).not_to_contain_text("again.json")
    scores = served.root / "runs" / "guesses" / "theirs" / "train-0" / "eval-0" / "scores.parquet"
    assert scores.exists()


def send_judgements(page: Page, served: Dashboard) -> None:
    """A table with an unknown task changes nothing; good ones become flags, and the deck shows them."""
    first, second = list(load_tasks(served.root, JUDGED))[:2]
    add_flag(served.root, second, JUDGED, "no", "ann")
    page.goto(f"{served.address}/curate?source={JUDGED}")
    done = page.locator('[data-text="done"]')
    expect(done).to_have_text("1 / 400 reviewed")
    page.get_by_text("Flags as a file").click()
    with page.expect_download() as taken:
        page.locator(".st-key-flags-export button").click()
    assert json.loads(Path(taken.value.path()).read_text())["task_id"] == second
    send(page, "flags-file", "labels.csv", f"task_id,value\n{first},yes\nffffffff,no\n")
    expect(page.locator(".st-key-flags-file")).to_contain_text("labels.csv")
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    button = page.locator(".st-key-flags-import button")
    button.click()
    expect(page.get_by_text("labels.csv, line 3")).to_be_visible()
    assert len(latest_flags(served.root)) == 1
    send(page, "flags-file", "better.csv", f"task_id,value\n{first},yes\n{second},yes\n")
    expect(page.locator(".st-key-flags-file")).to_contain_text("better.csv")
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    button.click()
    expect(
        page.get_by_text("2 judgements read, 2 added, 0 were here already, 1 flag changed.")
    ).to_be_visible()
    expect(done).to_have_text("2 / 400 reviewed")
    expect(page.locator(".st-key-flags-file")).not_to_contain_text("better.csv")
    assert {flag["task_id"]: flag["value"] for flag in latest_flags(served.root)} == {
        first: "yes",
        second: "yes",
    }
