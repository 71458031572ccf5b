"""Results in a real browser: every run is a dot, the table is text, the address brings a selection back."""

from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Locator, Page, expect
from playwright.sync_api import TimeoutError as TookTooLong

from core.results.curves import solved
from core.results.loading import load_scores
from core.results.number_format import table_texts
from core.synthetic.experiments import SKILLS, make_experiment
from tests.browser.conftest import NAME, Dashboard, check_contrast, wait_to_see
from tests.result_table import result_records

pytestmark = pytest.mark.browser

RUNS = 3 * len(SKILLS)
COLOURS = "dots => dots.map(dot => getComputedStyle(dot).fill)"
PLACES = """dots => dots.map(dot => {
    const box = dot.getBoundingClientRect();
    return [Math.round(box.x), Math.round(box.y)];
})"""

# What the server sends waits until `release` is called, as it would for a browser that has much to draw.
HELD = """
const Socket = WebSocket;
window.held = null;
window.hold = () => { window.held = new Promise((done) => { window.release = done; }); };
window.WebSocket = class extends Socket {
    addEventListener(kind, listener, options) {
        if (kind !== "message") return super.addEventListener(kind, listener, options);
        let before = Promise.resolve();
        super.addEventListener(kind, (event) => {
            before = before.then(() => window.held).then(() => listener.call(this, event));
        }, options);
    }
    set onmessage(listener) { this.addEventListener("message", listener); }
};"""


def open_results(page: Page, results: Dashboard, query: str = "") -> None:
    """Open the page and wait for its first chart, which takes seconds on a server that has just started."""
    page.goto(f"{results.address}/results{query}")
    expect(dots(page)).to_have_count(RUNS)


def dots(page: Page) -> Locator:
    """The marks of runs in the first chart."""
    return page.locator(".js-plotly-plot").first.locator(".scatterlayer .points path")


def choose(page: Page, label: str, option: str) -> None:
    """Choose in a box once the page is drawn, for drawing anew closes an open list."""
    expect(page.locator('[data-testid="stStatusWidget"]')).to_have_count(0)
    box, wanted = (
        page.get_by_role("combobox", name=label),
        page.get_by_role("option", name=option, exact=True),
    )
    box.click()
    with suppress(TookTooLong):
        wanted.click(timeout=10_000)
        return
    box.press("Escape")
    box.click()
    wanted.click()


def test_the_answer_stands_there_before_anything_is_chosen(page: Page, results: Dashboard) -> None:
    open_results(page, results)
    table = page.locator("table.results")
    records = result_records(results.root, NAME)
    assert len(records) == 4 * len(SKILLS)
    texts = table_texts(records)
    for record in records:
        expect(table).to_contain_text(texts[record["variant"], record["metric"]].split(" ")[0])
    lines = table.locator("tbody tr")
    expect(lines.nth(0)).to_contain_text("twice-as-long")
    expect(lines.nth(0)).to_contain_text("better")
    expect(lines.nth(1)).to_contain_text("cannot tell")
    expect(lines.nth(2)).to_contain_text("baseline")
    assert "95 % interval" in (lines.nth(0).locator("td").nth(1).get_attribute("title") or "")
    page.wait_for_url(f"**experiment={NAME}**")
    check_contrast(page)


def test_the_charts_are_drawn(page: Page, results: Dashboard) -> None:
    open_results(page, results, f"?experiment={NAME}")
    wait_to_see(lambda: len(set(dots(page).evaluate_all(COLOURS))) == len(SKILLS))
    wait_to_see(lambda: len(set(map(tuple, dots(page).evaluate_all(PLACES)))) == RUNS)
    curves = page.locator(".js-plotly-plot").nth(1)
    expect(curves.locator(".scatterlayer .trace .js-line")).to_have_count(2 * len(SKILLS))
    cells = page.locator("canvas")
    box = cells.bounding_box()
    assert box is not None
    cells.click(position={"x": box["width"] * 0.5 / 40, "y": box["height"] - 3})
    page.wait_for_url("**/tasks?**of=twice-as-long**")
    scores = load_scores(results.root, NAME)
    expect(page.get_by_role("heading", name=f"{solved(scores).tasks[0][1]}: ")).to_be_visible()


def test_the_address_brings_the_selection_back(page: Page, results: Dashboard) -> None:
    page.add_init_script(HELD)
    open_results(page, results)
    choose(page, "metric", "vote_2")
    expect(page.locator("th.judged")).to_have_text("vote_2, %")
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    page.evaluate("hold()")  # two choices, of which the second comes before the answer to the first
    choose(page, "scope", "new_tasks")
    page.get_by_role("radio", name="vote_2").or_(page.get_by_role("button", name="vote_2")).first.click()
    page.wait_for_url("**curve=vote_2**")
    page.evaluate("release()")
    expect(page.get_by_text("on new tasks of the same kind")).to_be_visible()
    expect(page.get_by_text("one of the two most voted answers")).to_be_visible()
    page.wait_for_url(lambda url: "curve=vote_2" in url and "scope=new_tasks" in url)
    address = page.url
    assert all(part in address for part in (f"experiment={NAME}", "metric=vote_2", "scope=new_tasks"))
    page.goto("about:blank")
    page.goto(address)
    expect(page.locator("th.judged")).to_have_text("vote_2, %")
    expect(page.get_by_text("on new tasks of the same kind")).to_be_visible()
    expect(page.get_by_text("one of the two most voted answers")).to_be_visible()
    expect(dots(page)).to_have_count(RUNS)


def test_the_table_downloads_as_markdown(page: Page, results: Dashboard, tmp_path: Path) -> None:
    open_results(page, results)
    with page.expect_download() as download:
        page.get_by_role("button", name="Markdown").click()
    download.value.save_as(tmp_path / "table.md")
    text = (tmp_path / "table.md").read_text()
    assert text.startswith("| variant | accuracy, % | correct_pixels, % | vote_2, % | unanswered, % | n |")
    assert "| twice-as-long | 47.2 ± 2.3 |" in text and "| better |" in text
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_text("| twice-as-long | 47.2 ± 2.3 |").first).to_be_visible()
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.get_by_role("button", name="SVG").first.click()
    download.value.save_as(tmp_path / "chart.svg")
    assert (tmp_path / "chart.svg").read_text().startswith("<svg")
    page.get_by_role("button", name="Command").click()
    expect(page.get_by_text(f"python -m core results {NAME}")).to_be_visible()


def test_a_run_that_ends_appears_and_moves_nothing(
    page: Page, own_dashboard: Dashboard, tmp_path: Path
) -> None:
    root = own_dashboard.root
    make_experiment(root, "growing", {"plain": 0, "longer": 1}, runs=2, evaluations=1, tasks=6)
    last = root / "runs" / "growing" / "longer" / "train-1" / "eval-0" / "scores.parquet"
    kept = last.read_bytes()
    last.unlink()
    own_dashboard.start()
    page.goto(f"{own_dashboard.address}/results?experiment=growing&metric=correct_pixels")
    expect(dots(page)).to_have_count(3)
    expect(page.get_by_text("3 of 4 runs evaluated").first).to_be_visible()
    control = page.get_by_role("combobox", name="metric")
    before = control.bounding_box()
    last.write_bytes(kept)
    expect(dots(page)).to_have_count(4)
    expect(control).to_have_value("correct_pixels")
    assert control.bounding_box() == before
    assert "metric=correct_pixels" in page.url
    borrow_noise(page, own_dashboard)
    send_a_table(page, own_dashboard)
    plan_a_launch(page, own_dashboard)


def borrow_noise(page: Page, served: Dashboard) -> None:
    """Single runs are judged with the noise of the experiment that is chosen in the box."""
    make_experiment(served.root, "single", {"plain": 0, "longer": 1}, runs=1, evaluations=1, tasks=6)
    page.goto(f"{served.address}/results?experiment=single&metric=correct_pixels")
    expect(page.locator("table.results")).to_contain_text("2 runs or more each are needed")
    page.get_by_text("Borrow the noise").click()
    choose(page, "noise between trainings from", "growing")
    expect(page.get_by_text("Judged with the noise between runs of 'growing'.")).to_be_visible()
    expect(page.locator("table.results")).not_to_contain_text("are needed")
    page.wait_for_url("**noise_of=growing**")


def send_a_table(page: Page, served: Dashboard) -> None:
    """A table of mean, std and n: a wrong one is refused at its place, a right one becomes an experiment, and
    is replaced only where that was ticked."""
    page.get_by_text("Import a table of results").click()

    def send(text: str) -> None:
        file = {"name": "printed.csv", "mimeType": "text/csv", "buffer": text.encode()}
        page.locator('.st-key-scores-file input[type="file"]').set_input_files(file)  # type: ignore[arg-type]

    send("variant,mean,std,n\nplain,much,1,3\n")
    expect(page.get_by_text("printed.csv, line 2: mean 'much' is no number")).to_be_visible()
    send("variant,mean,std,n\nplain,40,1.5,4\nours,46,1.5,4\n")
    expect(page.locator(".st-key-scores-import button")).to_be_enabled()
    page.get_by_label("name of the experiment").fill("printed")
    page.get_by_label("name of the experiment").press("Enter")
    page.locator(".st-key-scores-import button").click()
    expect(page.get_by_text("Import it as percent (--percent)")).to_be_visible()
    page.get_by_text("the numbers are percent").click()
    expect(page.get_by_text("Import it as percent (--percent)")).to_have_count(0)
    page.locator(".st-key-scores-import button").click()
    expect(page.get_by_text("2 rows imported as printed.")).to_be_visible()
    expect(page.locator("table.results")).to_contain_text("46.0 ± 1.5")
    page.wait_for_url("**experiment=printed**")


def plan_a_launch(page: Page, served: Dashboard) -> None:
    """Launch says what the design can show, from the noise of an experiment that was evaluated alike."""
    spec = yaml.safe_load((served.root / "runs" / "growing" / "experiment.yaml").read_text())
    place = served.root / "data" / "experiments"
    place.mkdir(parents=True, exist_ok=True)
    (place / "again.yaml").write_text(yaml.safe_dump({**spec, "name": "again"}))
    page.goto(f"{served.address}/launch?spec=again")
    page.get_by_role("button", name="Make base model 'tiny'").click()
    expect(page.get_by_text("found in 4 of 5 cases")).to_be_visible()
    expect(page.get_by_text("Noise between runs as in 'growing'")).to_be_visible()
