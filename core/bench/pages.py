"""The pages on a large experiment: how long the server takes, cold and warm, and how much memory it needs.

A real server is started, and `dashboard.page_latency` asks it over its websocket as a browser does: the time
runs from the question to the message that the page is finished, whatever else the machine does. Warm: the
page was asked for before. Cold: a new server that has shown the page of a small experiment, so that libraries
are loaded, but never saw the large one. The cold start of the whole dashboard is watched in a real Chromium.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from core.bench.bench_context import Workshop, peak_megabytes
from core.bench.registry import Benchmark, Measured, Row
from core.errors import UserError
from core.runs.layout import runs_folder
from core.synthetic.large_projects import HUNDRED, SMALL, THOUSAND, hundred_runs, thousand_runs

CODE = Path(__file__).parents[2]
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
SECONDS_TO_START = 90
MOST_COLD = 3

PAGES = {
    "Home": "home",
    "Results": "results?experiment={}",
    "Results with votes over k": "results?experiment={}&curve=vote_2",
    "Compare": "compare?experiment={}",
    "Tasks": "tasks?experiment={}",
    "Runs": "runs?experiment={}",
}
LARGE = "of 100 runs × 400 tasks × 64 attempts"


def _rows(page: str) -> tuple[Row, Row]:
    what = f"Seconds on the clock from the question for the page {page} {LARGE}, to its last message"
    return (
        Row(f"{page}, warm", "s", f"{what}; requested before.", wanted="< 0.3"),
        Row(f"{page}, cold", "s", f"{what}; a server that never saw the experiment.", wanted="< 1.5"),
    )


SPENT = "What the server's processors spent on the page that needs most, others on the machine not counted."
WARM_PROCESSOR = Row("dearest page, warm, processor time", "s", SPENT, wanted="< 0.3")
COLD_PROCESSOR = Row("dearest page, cold, processor time", "s", SPENT, wanted="< 1.5")
MEMORY = Row("memory of the dashboard", "MB", f"Peak, after all pages {LARGE}.", wanted="< 600")
START = Row("start of the dashboard to the first chart", "s", "In Chromium, four runs.", wanted="< 4")
RUNS_PAGE = Row("Runs at 1,000 runs, warm", "s", "Server time of the page Runs.", wanted="< 1")
HOME = Row("Home with an experiment of 1,000 runs, warm", "s", "Server time of the page Home.", wanted="< 1")
MANY = Row("Results at 1,000 runs, warm", "s", "Server time of the page Results.")
MANY_COLD = Row("Results at 1,000 runs, cold", "s", "Server time of the page Results.")
LIST = Row("list of 1,000 runs", "s", "`runs list`: states, stages and progress.", wanted="< 1")
LOADED = Row("scores of 1,000 runs", "s", "All scores read and put in order.")
FILES = Row("files of 1,000 runs", "files", "Runs with one evaluation each, without weights.")


@contextmanager
def served(root: Path) -> Iterator[tuple[int, int]]:
    """A dashboard on a project: its port and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "dashboard.serve", "--server.port", str(port)],
        cwd=CODE,
        env={**os.environ, "ARC_WORKBENCH_ROOT": str(root)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield port, process.pid
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)
    raise UserError(f"The dashboard did not answer within {SECONDS_TO_START} s. Is the machine very busy?")


def timed_pages(port: int, pid: int, addresses: list[str]) -> list[dict[str, Any]]:
    """What `dashboard.page_latency` measured. Raises `UserError` where a page showed an exception."""
    _wait_for(port)
    command = [sys.executable, "-m", "dashboard.page_latency", str(port), str(pid), *addresses]
    finished = subprocess.run(command, cwd=CODE, capture_output=True, text=True, check=True)
    records: list[dict[str, Any]] = json.loads(finished.stdout)
    for record in records:
        if record["exceptions"]:
            raise UserError(f"The page {record['address']} failed: {record['exceptions'][0]}")
    return records


def measure_pages(workshop: Workshop) -> Iterator[Measured]:
    """Every page warm and cold, and the memory of the server that showed them all."""
    root = hundred_runs(workshop.folder, workshop.notify)
    cold: dict[str, list[dict[str, Any]]] = {page: [] for page in PAGES}
    for page, address in PAGES.items():
        workshop.notify(f"{page}, cold")
        for _ in range(min(workshop.repeats, MOST_COLD)):
            with served(root) as (port, pid):
                timed_pages(port, pid, [address.format(SMALL)])
                # In a session of its own: a page that is open keeps the experiment that was chosen on it.
                cold[page] += timed_pages(port, pid, [address.format(HUNDRED)])
    with served(root) as (port, pid):
        warm = {}
        for page, address in PAGES.items():
            workshop.notify(f"{page}, warm")
            warm[page] = timed_pages(port, pid, [address.format(HUNDRED)] * (1 + workshop.repeats))[1:]
        memory = peak_megabytes(pid)
    for found, place in ((warm, 0), (cold, 1)):
        for page, records in found.items():
            yield Measured(_rows(page)[place].name, median(one["seconds"] for one in records))
        spent = [median(one["processor_seconds"] for one in records) for records in found.values()]
        yield Measured((WARM_PROCESSOR, COLD_PROCESSOR)[place].name, max(spent))
    yield Measured(MEMORY.name, memory)


def measure_start(workshop: Workshop) -> Iterator[Measured]:
    """From the start of the process to the first chart in Chromium; nothing where there is no Chromium."""
    found = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if found is None:
        workshop.notify("no Chromium is installed, so the start is not measured")
        return
    from playwright.sync_api import sync_playwright

    root = hundred_runs(workshop.folder, workshop.notify)
    workshop.notify("start of the dashboard")
    seconds = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(min(workshop.repeats, MOST_COLD)):
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            began = time.perf_counter()
            with served(root) as (port, _):
                _wait_for(port)
                page.goto(f"http://127.0.0.1:{port}/results?experiment={SMALL}")
                page.locator(".js-plotly-plot .main-svg").first.wait_for(timeout=1000 * SECONDS_TO_START)
                seconds.append(time.perf_counter() - began)
                page.close()
        browser.close()
    yield Measured(START.name, median(seconds))


def measure_many(workshop: Workshop) -> Iterator[Measured]:
    """A thousand runs: files, the list, the scores, and the pages that show them."""
    from core.experiments.listing import run_records
    from core.results.loading import load_scores

    root = thousand_runs(workshop.folder, workshop.notify)
    yield Measured(FILES.name, sum(path.is_file() for path in runs_folder(root).rglob("*")))
    workshop.notify("list of 1,000 runs")
    yield Measured(LIST.name, workshop.seconds(lambda: run_records(root, THOUSAND)))
    workshop.notify("scores of 1,000 runs")
    yield Measured(LOADED.name, workshop.seconds(lambda: load_scores(root, THOUSAND)))
    workshop.notify("pages at 1,000 runs")
    with served(root) as (port, pid):
        times = 1 + workshop.repeats
        addresses = [PAGES[page].format(THOUSAND) for page in ("Runs", "Results", "Home")]
        shown = timed_pages(port, pid, [address for address in addresses for _ in range(times)])
    seconds = [one["seconds"] for one in shown]
    runs, results, home = (seconds[place * times : (place + 1) * times] for place in range(3))
    yield Measured(RUNS_PAGE.name, median(runs[1:]))
    yield Measured(MANY_COLD.name, results[0])
    yield Measured(MANY.name, median(results[1:]))
    yield Measured(HOME.name, median(home[1:]))


def _page_rows() -> tuple[Row, ...]:
    by_page = [_rows(page) for page in PAGES]
    warm, cold = ([rows[place] for rows in by_page] for place in (0, 1))
    return (*warm, WARM_PROCESSOR, *cold, COLD_PROCESSOR, MEMORY)


BENCHMARKS = (
    Benchmark("pages", _page_rows(), measure_pages),
    Benchmark("start", (START,), measure_start),
    Benchmark("thousand", (FILES, LIST, LOADED, RUNS_PAGE, MANY_COLD, MANY, HOME), measure_many),
)
