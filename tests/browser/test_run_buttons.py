"""The buttons of the Runs page in a real browser, with stages that take moments and everything else real."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Locator, Page, expect

from core.experiments.archive import freed_by
from core.launching.launch import prepare
from core.machine.processes import start_of
from core.runs.done import STAGES
from core.runs.layout import Run
from core.runs.state import RunState, state_of, write_state
from core.specs.spec import find_spec, read_spec
from core.storage.files import write_json
from tests.browser.conftest import Dashboard
from tests.browser.test_launch import cell
from tests.patience import patience, wait_for
from tests.pipeline.trivial import TRIVIAL_WORK, end_all, trivial_root, witnessed
from tests.training.tiny import tiny_spec

pytestmark = pytest.mark.browser


@pytest.fixture
def served(shared: Dashboard) -> Iterator[Dashboard]:
    """The dashboard; what a test started does not work on the next one's runs."""
    yield shared
    end_all(shared.root)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """A project and its dashboard for all tests of this module, each with an experiment of its own."""
    root = trivial_root(tmp_path_factory.mktemp("buttons") / "project")
    dashboard = Dashboard(root, root.parent / "dashboard.log", module="tests.browser.trivial_dashboard")
    dashboard.start()
    yield dashboard
    dashboard.stop()


def prepared(root: Path, name: str, **changes: object) -> list[Run]:
    """An experiment whose run folders are as a launch leaves them, and nothing works on."""
    path = root / "data" / "experiments" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(tiny_spec(name=name, **changes)))
    return prepare(root, read_spec(path), ["launch"], fresh_work=True, work=TRIVIAL_WORK.name)


def stopped(run: Run) -> None:
    """As a stop leaves a run."""
    write_json(run.stop_file, {"time": 0})
    write_state(run, RunState("cancelled", "train", 2, 6))


def open_runs(page: Page, dashboard: Dashboard, name: str) -> None:
    page.goto(f"{dashboard.address}/runs?experiment={name}")
    expect(page.locator("tr[data-run]").first).to_be_visible()


def button(page: Page, key: str) -> Locator:
    return page.locator(f".st-key-{key} button")


def in_popover(page: Page, name: str) -> Locator:
    return page.get_by_test_id("stPopoverBody").get_by_role("button", name=name)


def test_retry_is_for_the_failed_and_resume_for_the_selected(page: Page, served: Dashboard) -> None:
    failed, cancelled, other = prepared(served.root, "goes-on", train_seeds=[0, 1, 2])
    write_state(failed, RunState("failed", "train", 3, 6, error="The train process ended with SIGKILL."))
    stopped(cancelled)
    stopped(other)
    open_runs(page, served, "goes-on")
    expect(cell(page, "plain/0", "note")).to_have_text("The train process ended with SIGKILL.")
    expect(cell(page, "plain/1", "state")).to_have_text("cancelled")
    button(page, "retry").click()
    expect(cell(page, "plain/0", "state")).to_have_text("done")
    expect(cell(page, "plain/0", "note")).to_have_text("")
    expect(button(page, "retry")).to_be_disabled()
    assert state_of(failed).state == "done" and cancelled.stop_file.exists()
    page.get_by_role("checkbox", name="select plain/1").check()
    page.wait_for_url("**run=plain%2F1**")
    button(page, "resume").click()
    expect(cell(page, "plain/1", "state")).to_have_text("done")
    for key in ("stop", "resume", "retry"):
        expect(button(page, key)).to_be_disabled()
    assert state_of(cancelled).state == "done" and not cancelled.stop_file.exists()
    expect(cell(page, "plain/2", "state")).to_have_text("cancelled")
    assert other.stop_file.exists() and not (other.folder / "witness.jsonl").exists()
    for run in (failed, cancelled):
        assert [len(witnessed(run, "end", stage)) for stage in STAGES] == [1, 1, 1]


def test_a_clone_with_changes_is_launched(page: Page, served: Dashboard) -> None:
    prepared(served.root, "first-try")
    original = (served.root / "runs/first-try/experiment.yaml").read_text()
    open_runs(page, served, "first-try")
    page.get_by_role("button", name="Clone").click()
    name = page.get_by_label("Name of the clone")
    expect(name).to_have_value("first-try-2")
    name.fill("with-more-steps")
    name.press("Enter")
    in_popover(page, "Clone").click()
    page.get_by_role("link", name="Change and launch it").click()
    page.wait_for_url("**/launch?spec=with-more-steps")
    expect(page.get_by_label("name", exact=True)).to_have_value("with-more-steps")
    page.get_by_role("tab", name="YAML").click()
    editor = page.locator(".st-key-yaml textarea")
    expect(editor).to_have_value(re.compile("steps: 6"))
    editor.fill(editor.input_value().replace("steps: 6", "steps: 9"))
    editor.press("Control+Enter")
    page.get_by_text("Replace data/experiments/with-more-steps.yaml").click()
    page.get_by_role("button", name="Launch", exact=True).click()
    page.wait_for_url("**/runs?experiment=with-more-steps**")
    expect(cell(page, "plain/0", "state")).to_have_text("done")
    root = served.root
    cloned = read_spec(root / "runs" / "with-more-steps" / "experiment.yaml")
    assert cloned.recipe_of("plain").training.steps == 9
    assert cloned == read_spec(find_spec(root, "with-more-steps")), "the changed spec is kept"
    assert (root / "runs/first-try/experiment.yaml").read_text() == original


def test_an_experiment_is_archived_and_comes_back_and_another_is_deleted_for_good(
    page: Page, served: Dashboard
) -> None:
    root = served.root
    prepared(root, "stays")
    (run,) = prepared(root, "put-aside")
    before = (run.folder / "run.json").read_bytes()
    open_runs(page, served, "put-aside")
    page.get_by_role("button", name="Put away").click()
    in_popover(page, "Archive").click()
    page.wait_for_url("**/home**")
    expect(page.get_by_test_id("stPopoverBody")).to_have_count(0)  # a second click puts nothing else away
    archived = root / "runs" / ".archive" / "put-aside"
    assert not run.folder.exists() and (archived / "plain/train-0/run.json").read_bytes() == before
    # A tick of the page left behind that arrives within the change of pages empties the new one (Streamlit).
    page.goto(f"{served.address}/home")
    page.get_by_role("button", name="Archive, trash").click()
    in_popover(page, "Restore").click()
    wait_for(run.folder.exists, 60)
    assert (run.folder / "run.json").read_bytes() == before and not archived.exists()

    (run.folder / "adapter").mkdir()
    (run.folder / "adapter" / "adapter_model.safetensors").write_bytes(b"weights" * 450_000)
    open_runs(page, served, "put-aside")
    page.get_by_role("button", name="Put away").click()
    expect(page.get_by_text("moves put-aside with 1 run (3.0 MB) to the trash")).to_be_visible()
    in_popover(page, "Delete").click()
    page.wait_for_url("**/home**")
    expect(page.get_by_test_id("stPopoverBody")).to_have_count(0)
    (thrown,) = (root / "runs" / ".trash").iterdir()
    assert thrown.name.startswith("put-aside-") and not run.folder.exists() and freed_by(thrown) > 3_150_000
    page.goto(f"{served.address}/home")
    page.get_by_role("button", name="Archive, trash").click()
    expect(page.get_by_text("The trash holds 3.0 MB. Emptying it cannot be undone.")).to_be_visible()
    expect(in_popover(page, "Empty the trash")).to_be_disabled()
    page.get_by_text("Yes, delete for good").click()
    in_popover(page, "Empty the trash").click()
    expect(page.get_by_text("The trash holds")).to_have_count(0)
    assert not (root / "runs" / ".trash").exists() and (root / "runs" / "stays").exists()


def test_a_hung_process_is_shown_and_retry_ends_it(
    page: Page, served: Dashboard, sleeper: subprocess.Popen[bytes]
) -> None:
    """And an experiment that somebody deletes elsewhere makes room for the next one."""
    (run,) = prepared(served.root, "hangs")
    write_state(
        run,
        replace(RunState.running_here("train"), pid=sleeper.pid, start_time=start_of(sleeper.pid), step=3),
    )
    beat(run, seconds_ago=20)
    open_runs(page, served, "hangs")
    expect(cell(page, "plain/0", "state")).to_have_text(re.compile("training"))
    expect(cell(page, "plain/0", "note")).to_contain_text("No sign of life for")
    expect(button(page, "stop")).to_be_enabled()
    beat(run, seconds_ago=61)
    expect(cell(page, "plain/0", "state")).to_have_text("failed")
    expect(cell(page, "plain/0", "note")).to_contain_text("The process gives no sign of life any more.")
    expect(button(page, "stop")).to_be_enabled()
    button(page, "retry").click()
    assert sleeper.wait(30 * patience()) != 0
    expect(cell(page, "plain/0", "state")).to_have_text("done")
    shutil.rmtree(served.root / "runs" / "hangs")
    expect(page.get_by_text("There is no experiment 'hangs'.")).to_be_visible()


def beat(run: Run, seconds_ago: float) -> None:
    run.heartbeat.write_text(f"{time.monotonic() - seconds_ago:.3f} {time.time() - seconds_ago:.3f}\n")
