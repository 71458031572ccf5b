"""From a spec to finished runs in a real browser: the cost, the progress, and that nothing stops it."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from playwright.sync_api import Page, expect

from core.arc.tasks import Task, parse_task
from core.curation.stored import SourceInfo, store_source
from core.experiments.listing import list_runs
from core.machine.processes import start_of
from core.runs.layout import Run
from core.runs.state import RunState, state_of, write_state
from core.specs.edit import as_yaml
from core.storage.files import append_records, write_json
from tests.browser.conftest import Dashboard, Watch, check_contrast, serving
from tests.patience import patience, wait_for
from tests.training.tiny import copy_task, tiny_spec

pytestmark = pytest.mark.browser

BEYOND = """box => {
    const [outer, inner] = [box, box.firstElementChild].map(one => one.getBoundingClientRect());
    return [outer.top - inner.top, inner.bottom - outer.bottom];
}"""
"""How many pixels of what a box holds lie above and below what is seen."""
SECONDS_TO_FIRST_STEP, SECONDS_TO_STOP = 20.0, 20.0


def other_task(number: int) -> Task:
    """A task of 3 × 3 grids in which nothing of the copied ones is found."""
    rng = np.random.default_rng(100 + number)
    pairs = [{"input": a, "output": b} for a, b in rng.integers(0, 10, (3, 2, 3, 3)).tolist()]
    record = {"train": pairs[:2], "test": pairs[2:]}
    return parse_task(record, task_id=f"{100 + number:08x}", source="asked")


def project(root: Path, *, name: str = "trial", model: bool = True, **changes: Any) -> None:
    """A project with two sources of small tasks, a spec, and (not to be run) a model."""
    trained = [copy_task(number) for number in range(4)]
    for source, tasks in (("toy", trained), ("asked", [other_task(number) for number in range(4)])):
        store_source(root, SourceInfo(source, "made up", "1", "none", "0"), tasks)
    inference = {"engine": "transformers", "attempts": 1, "max_model_len": 128, "max_output_tokens": 8}
    spec = tiny_spec(
        name=name,
        question="Do more steps help?",
        evaluation={"sources": [{"source": "asked"}], "inference": inference},
        eval_seeds=[0],
        allow_leaks=False,
        **{"variants": {"plain": None, "longer": {"training": {"steps": 12}}}, **changes},
    )
    folder = root / "data" / "experiments"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.yaml").write_text("# by hand\n" + as_yaml(spec))
    if model:
        place = root / "data" / "models" / "tiny"
        place.mkdir(parents=True, exist_ok=True)
        (place / "config.json").write_text("{}")
        (place / "model.safetensors").write_bytes(b"")


@pytest.fixture(scope="module")
def drafting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """A dashboard for all tests that launch nothing, each with a spec of its own."""
    root = tmp_path_factory.mktemp("drafting") / "project"
    root.mkdir()
    with serving(root, root.parent / "dashboard.log") as dashboard:
        yield dashboard


def launched(root: Path) -> list[Run]:
    """Folders of four runs, as a launch leaves them, of which the first has made ten of twelve steps."""
    project(root)
    folder = root / "runs" / "trial"
    folder.mkdir(parents=True)
    spec = root / "data" / "experiments" / "trial.yaml"
    (folder / "experiment.yaml").write_text(
        spec.read_text().replace("train_seeds: [0]", "train_seeds: [0, 1]")
    )
    runs = [Run(root, "trial", variant, seed) for variant in ("plain", "longer") for seed in (0, 1)]
    for run in runs:
        write_json(run.folder / "run.json", {})
        write_state(run, RunState("queued", "train"))
    report(runs[0], *range(1, 11))
    return runs


def report(run: Run, *steps: int) -> None:
    append_records(
        run.folder / "progress.jsonl",
        [
            {"stage": "train", "step": step, "total": 12, "loss": 3 / step, "tokens_per_second": 1234.5}
            for step in steps
        ],
    )


def cell(page: Page, run: str, kind: str) -> Any:
    return page.locator(f'tr[data-run="{run}"] td.{kind}')


def test_an_empty_project_is_led_to_its_first_launch(page: Page, own_dashboard: Dashboard) -> None:
    own_dashboard.start()
    page.goto(f"{own_dashboard.address}/runs")
    page.get_by_role("button", name="Go to Launch").click()
    page.get_by_role("button", name="Start with an example").click()
    expect(page.get_by_label("name", exact=True)).to_have_value("demo")
    page.get_by_role("button", name="Import arc1").click()
    expect(page.get_by_role("button", name="Import arc1")).to_have_count(0)
    expect(page.get_by_text("There is no base model")).to_have_count(0)  # it ships with the project
    assert (own_dashboard.root / "data" / "sources" / "arc1" / "training.parquet").exists()


def test_the_form_and_the_text_are_one_spec(page: Page, drafting: Dashboard) -> None:
    project(drafting.root, name="form")
    page.goto(f"{drafting.address}/launch?spec=form")
    numbers = page.locator(".costs .number")
    expect(numbers).to_have_text(["2", "4", "8", "≈ 4,703", "not measured yet", "not measured yet"])
    expect(page.get_by_text("No leak: none of the 4 evaluated tasks")).to_be_visible()
    page.get_by_text("What differs between the variants, all in all").click()
    expect(page.locator("table.differences tr").nth(1)).to_have_text("training › steps612")
    check_contrast(page)
    seeds = page.get_by_role("textbox", name="train seeds")
    seeds.fill("0, 1, 2")
    seeds.press("Enter")
    expect(numbers.first).to_have_text("6")
    page.get_by_role("tab", name="YAML").click()
    editor = page.locator(".st-key-yaml textarea")
    expect(editor).to_have_value(re.compile(r"train_seeds: \[0, 1, 2\]"))
    editor.fill(editor.input_value().replace("steps: 12", "stepz: 12"))
    editor.press("Control+Enter")
    expect(page.get_by_text("Did you mean 'steps'?").last).to_be_visible()  # the first is in the other tab
    expect(page.get_by_role("button", name="Launch", exact=True)).to_have_count(0)
    page.get_by_role("button", name="Discard changes").click()
    expect(editor).to_have_value(re.compile("# by hand"))
    expect(numbers.first).to_have_text("2")


def test_what_is_typed_is_never_lost_and_a_draft_outlives_the_page(page: Page, drafting: Dashboard) -> None:
    project(drafting.root, name="typed")
    page.goto(f"{drafting.address}/launch?spec=typed")
    seeds = page.get_by_role("textbox", name="train seeds")
    seeds.fill("0-2, x")
    seeds.press("Enter")
    expect(page.get_by_text("'x' is no seed. Write 0-4").first).to_be_visible()
    page.reload()
    expect(seeds).to_have_value("0-2, x")
    expect(page.get_by_role("button", name="Launch", exact=True)).to_have_count(0)
    seeds.fill("0-4")
    seeds.press("Enter")
    expect(page.locator(".costs .number").first).to_have_text("10")
    name = page.get_by_label("name", exact=True)
    name.fill("+wrong")
    name.press("Enter")
    expect(page.get_by_text("can't be a folder's name").first).to_be_visible()
    expect(name).to_have_value("+wrong")
    page.reload()
    expect(page.get_by_label("name", exact=True)).to_have_value("+wrong")
    expect(page.get_by_role("textbox", name="train seeds")).to_have_value("0-4")
    page.get_by_role("button", name="Discard changes").click()
    expect(page.get_by_label("name", exact=True)).to_have_value("typed")
    page.get_by_role("combobox", name="duplicate").click()
    page.get_by_role("option", name="longer").click()
    expect(page.locator(".costs .number").first).to_have_text("3")


def test_an_experiment_begins_with_a_question(page: Page, own_dashboard: Dashboard) -> None:
    project(own_dashboard.root, name="another")
    project(own_dashboard.root)
    own_dashboard.start()
    page.goto(f"{own_dashboard.address}/launch?spec=trial")
    page.get_by_role("button", name="New experiment").click()
    page.get_by_role("combobox", name="begin with").click()
    page.get_by_role("option", name="how noisy is my recipe?").click()
    page.get_by_role("button", name="Begin", exact=True).click()
    page.wait_for_url("**spec=trial-2**")
    expect(page.get_by_role("button", name="Begin", exact=True)).to_have_count(0)
    expect(page.get_by_label("name", exact=True)).to_have_value("trial-2")
    expect(page.get_by_role("textbox", name="train seeds")).to_have_value("0-4")
    expect(page.locator(".costs .number").first).to_have_text("5")


def test_a_leak_or_another_spec_must_be_confirmed(page: Page, drafting: Dashboard) -> None:
    project(drafting.root, name="leaking")
    page.goto(f"{drafting.address}/launch?spec=leaking")
    page.get_by_role("tab", name="YAML").click()
    editor = page.locator(".st-key-yaml textarea")
    expect(editor).to_have_value(re.compile("# by hand"))
    editor.fill(editor.input_value().replace("source: asked", "source: toy"))
    editor.press("Control+Enter")
    expect(page.get_by_text("gives away 4 of 4 evaluated tasks").first).to_be_visible()
    launch = page.get_by_role("button", name="Launch", exact=True)
    expect(launch).to_be_disabled()
    page.get_by_text("allow leaks").click()
    expect(page.get_by_role("switch", name="allow leaks")).to_be_checked()
    expect(launch).to_be_disabled()
    page.get_by_text("Replace data/experiments/leaking.yaml").click()
    expect(launch).to_be_enabled()
    assert "source: asked" in (drafting.root / "data" / "experiments" / "leaking.yaml").read_text()


def test_runs_are_shown_as_they_go_and_nothing_moves(page: Page, own_dashboard: Dashboard) -> None:
    runs = launched(own_dashboard.root)
    own_dashboard.start()
    page.goto(f"{own_dashboard.address}/runs")
    rows = page.locator("tr[data-run]")
    expect(rows).to_have_count(4)
    expect(page.get_by_text("Nothing works on the queued runs.")).to_be_visible()
    names = ["plain/0", "plain/1", "longer/0", "longer/1"]
    assert [row.get_attribute("data-run") for row in rows.all()] == names
    expect(page.locator(".js-plotly-plot .legendtext")).to_have_text(["plain (n = 1)"])
    places = [row.bounding_box() for row in rows.all()]
    page.get_by_role("checkbox", name="select longer/0").check()
    page.wait_for_url("**run=longer%2F0**")
    expect(page.get_by_text("The loss is drawn here")).to_be_visible()
    report(runs[2], 1, 2, 3)
    write_state(runs[2], RunState.running_here("train", step=3, total=12, eta_seconds=65.0))
    write_state(
        runs[1], RunState("failed", "train", error="The loss of step 7 is nan. Lower the learning rate.")
    )
    lines = [f"Step {step} went on." for step in range(1, 60)]
    (runs[1].folder / "log.txt").write_text("\n".join([*lines, "Step 60 went wrong.\n"]))
    expect(cell(page, "longer/0", "step")).to_have_text("3 / 12")
    expect(cell(page, "longer/0", "loss")).to_have_text("1.000")
    expect(cell(page, "longer/0", "left")).to_have_text("–")  # nothing tells the stages behind
    expect(cell(page, "plain/1", "note")).to_contain_text("Lower the learning rate")
    expect(page.locator(".js-plotly-plot .legendtext")).to_have_text(["longer · 0"])
    expect(page.get_by_text("Nothing works on the queued runs.")).to_have_count(0)
    assert [row.bounding_box() for row in rows.all()] == places
    page.reload()
    expect(page.locator('tr[aria-selected="true"]')).to_have_count(1)
    rows.nth(1).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Step 60 went wrong.")).to_be_visible()
    above, below = page.locator(".st-key-log pre").evaluate(BEYOND)
    assert above > 100 and below < 5, "the end of the log is seen, not its beginning"


def test_an_experiment_is_stopped_and_then_thrown_away(
    page: Page, own_dashboard: Dashboard, sleeper: subprocess.Popen[bytes]
) -> None:
    runs = launched(own_dashboard.root)
    alive = replace(
        RunState.running_here("train"), pid=sleeper.pid, start_time=start_of(sleeper.pid), step=10, total=12
    )
    write_state(runs[0], alive)
    own_dashboard.start()
    page.goto(f"{own_dashboard.address}/runs?experiment=trial")
    expect(page.locator(".st-key-resume button")).to_be_disabled()
    page.get_by_text("tell me when it is done").click()  # this browser grants nobody a notification
    expect(page.get_by_text("this browser allows no notifications")).to_be_visible()
    page.locator(".st-key-stop button").click()
    assert sleeper.wait(20 * patience()) != 0
    expect(cell(page, "plain/0", "state")).to_have_text("cancelled")
    expect(page.locator(".st-key-stop button")).to_be_disabled()
    expect(page.locator(".st-key-resume button")).to_be_enabled()
    page.get_by_role("button", name="Put away").click()
    page.get_by_test_id("stPopoverBody").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("button", name="Start the demo")).to_be_visible()
    assert [path.name[:6] for path in (own_dashboard.root / "runs" / ".trash").iterdir()] == ["trial-"]


def test_the_end_of_the_dashboard_does_not_end_a_run(
    page: Page, own_dashboard: Dashboard, watch: Watch
) -> None:
    root = own_dashboard.root
    project(root, model=False, variants={"plain": None})
    own_dashboard.start()
    page.goto(f"{own_dashboard.address}/launch?spec=trial")
    page.get_by_role("button", name="Make base model 'tiny'").click()
    page.get_by_role("button", name="Launch", exact=True).click()
    run = Run(root, "trial", "plain", 0)
    wait_for((run.folder / "progress.jsonl").exists, 60)
    page.wait_for_url("**/runs?experiment=trial**")
    own_dashboard.kill()
    watch.errors.clear()
    assert state_of(run).state in ("running", "queued")
    wait_for(lambda: state_of(run).state == "done", 120)
    assert (run.eval_folder(0) / "scores.parquet").exists()
    assert json.loads((run.folder / "run.json").read_text())["command"][-2:] == ["launch", "trial"]
    assert len(list_runs(root, "trial")) == 1
    own_dashboard.start()
    page.goto(f"{own_dashboard.address}/runs?experiment=trial")
    expect(cell(page, "plain/0", "state")).to_have_text("done")
    watch.errors.clear()  # the refused connections while the server was dead


def test_a_launch_shows_its_first_step_soon_and_a_stop_frees_the_machine_soon(
    page: Page, own_dashboard: Dashboard
) -> None:
    """A real training of the model that ships with the project: from click to sight, and to silence."""
    root = own_dashboard.root
    training = {"steps": 5000, "samples_per_step": 4, "max_seq_len": 512, "lora": {"rank": 4}}
    recipe = {"base_model": "arc-tiny", "mixture": {"sources": [{"source": "toy"}]}, "training": training}
    project(root, model=False, variants={"plain": None}, recipe=recipe)
    own_dashboard.start()
    page.goto(f"{own_dashboard.address}/launch?spec=trial")
    button = page.get_by_role("button", name="Launch", exact=True)
    expect(button).to_be_enabled()
    began = time.monotonic()
    button.click()
    expect(cell(page, "plain/0", "step")).to_have_text(re.compile(r"^\d"))
    to_first_step = time.monotonic() - began
    run = Run(root, "trial", "plain", 0)
    assert state_of(run).state == "running" and len(stages_of(root)) >= 1
    page.locator(".st-key-stop button").click()
    to_silence = wait_for(lambda: not stages_of(root), 90)
    expect(cell(page, "plain/0", "state")).to_have_text("cancelled")
    assert any((run.folder / "checkpoint").glob("step-*")), "it goes on from where it was"
    print(f"first step after {to_first_step:.1f} s, silence after {to_silence:.1f} s")
    assert to_first_step < SECONDS_TO_FIRST_STEP * patience()
    assert to_silence < SECONDS_TO_STOP * patience()


def stages_of(root: Path) -> list[psutil.Process]:
    """The processes that work on runs of a project."""
    found = psutil.process_iter(["cmdline"])
    return [one for one in found if {str(root), "--stage"} <= set(one.info["cmdline"] or [])]
