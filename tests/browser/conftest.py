"""A project with real tasks, a dashboard that serves it, and a Chromium that complains about every error.

The server listens on a free port of this machine in a process group of its own, and is stopped by its id.
Tests wait for content, never for time.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlparse

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, expect, sync_playwright
from playwright.sync_api import TimeoutError as TookTooLong

from core.curation.flags import flags_path
from core.synthetic.experiments import make_experiment
from tests.made_once import copy_of_arc1
from tests.patience import patience, wait_for
from tests.served import is_healthy

REPOSITORY = Path(__file__).resolve().parents[2]
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_SECONDS = 60
NAME = "my-question"
PATIENCE_MS = 180_000  # a busy machine is slower than Playwright's usual 5 seconds
expect.set_options(timeout=PATIENCE_MS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test in a browser a second try, which the closing line counts: where a part of a page reruns
    by itself at the moment when the page changes, Streamlit now and then loses what it was to show (its
    issue 9921), and a click on a part that is just drawn anew is lost."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=1))


class Dashboard:
    """A `streamlit run` of the dashboard on one project; it can die and come back on the same port."""

    def __init__(self, root: Path, log: Path, *, module: str = "dashboard.serve") -> None:
        """`module` is what serves the pages, with the options of `streamlit run`."""
        self.root = root
        self.log = log
        self.module = module
        self.port = _free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module, "--server.port", str(self.port)],
                cwd=REPOSITORY,
                env={**os.environ, "ARC_WORKBENCH_ROOT": str(self.root)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        began = time.monotonic()
        while not is_healthy(self.address):
            if self.process.poll() is not None or time.monotonic() - began > START_SECONDS * patience():
                self.stop()
                pytest.fail(f"The dashboard did not start:\n{self.log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.1)

    def kill(self) -> None:
        """End the server as a crash would, without any farewell."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the server politely, then by force."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        os.killpg(self.process.pid, how)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)


LOW_CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")
"""A script that returns how many texts it saw, and those that are hard to read."""


def check_contrast(page: Page) -> None:
    """Every text of the page reaches 4.5 to 1 on its background, in the dark and in the light theme."""
    background = "getComputedStyle(document.querySelector('.stApp')).backgroundColor"
    for scheme, is_light in (("dark", False), ("light", True)):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(
            f"light => (parseInt({background}.match(/\\d+/)[0]) > 127) === light", arg=is_light
        )
        with suppress(TookTooLong):  # a part that is just drawn anew is dimmed
            page.wait_for_function(f"() => !({LOW_CONTRAST})().low.length", polling=250, timeout=10_000)
        found = page.evaluate(LOW_CONTRAST)
        assert found["seen"] >= 10 and found["low"] == [], f"{page.url}, {scheme}"


def wait_to_see(condition: Callable[[], bool]) -> None:
    """Look at the page until the condition holds; a look at a part that is just drawn anew is repeated."""

    def looked() -> bool:
        try:
            return condition()
        except Error:
            return False

    wait_for(looked, PATIENCE_MS / 1000)


@contextmanager
def serving(root: Path, log: Path) -> Iterator[Dashboard]:
    """A dashboard on `root` that writes to `log`, stopped at the end."""
    dashboard = Dashboard(root, log)
    dashboard.start()
    try:
        yield dashboard
    finally:
        dashboard.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium; where there is none, the browser tests are skipped with a warning."""
    found = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if found is None:
        reason = "No Chromium is installed, so NO BROWSER TEST RAN. Install it with: apt-get install chromium"
        warnings.warn(reason, stacklevel=1)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def _arc_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_arc1(tmp_path_factory, tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="session")
def _shared_dashboard(_arc_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with serving(_arc_project, tmp_path_factory.mktemp("log") / "dashboard.log") as dashboard:
        yield dashboard


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """A dashboard on a project with the finished experiment `my-question` (one server for all tests)."""
    root = tmp_path_factory.mktemp("results") / "project"
    make_experiment(root, NAME)
    with serving(root, tmp_path_factory.mktemp("log") / "dashboard.log") as dashboard:
        yield dashboard


@pytest.fixture
def dashboard(_shared_dashboard: Dashboard) -> Dashboard:
    """A running dashboard on a project with ARC-1 and without flags (one server for all tests)."""
    flags_path(_shared_dashboard.root).unlink(missing_ok=True)
    return _shared_dashboard


class Watch:
    """The tabs of a test and the errors that they report; a test that provokes some clears them."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self._tabs: list[Page] = []

    def over(self, page: Page) -> Page:
        """Watch a new tab."""
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        self._tabs.append(page)
        return page

    def close(self) -> None:
        """Note the exceptions that the tabs show, and close them."""
        while self._tabs:
            tab = self._tabs.pop()
            self.errors += tab.locator(".stException").all_inner_texts()
            tab.close()

    def _hear(self, message: ConsoleMessage) -> None:
        # A page's address below the server's is probed for a server of its own; Streamlit expects the 404.
        place = urlparse(message.location.get("url", "")).path
        probe = place.count("/") > 2 and place.endswith(("/_stcore/health", "/_stcore/host-config"))
        if message.type == "error" and not probe:
            self.errors.append(f"{message.text} ({place})")


@pytest.fixture
def watch() -> Watch:
    """The errors of this test's pages."""
    return Watch()


@pytest.fixture
def own_dashboard(tmp_path: Path, watch: Watch) -> Iterator[Dashboard]:
    """A dashboard for one test alone, on an empty project; the test starts it and may kill it."""
    dashboard = Dashboard(tmp_path / "project", tmp_path / "dashboard.log")
    dashboard.root.mkdir()
    yield dashboard
    watch.close()  # before the server goes, or the pages complain
    dashboard.stop()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A fresh browser profile; pages in it are tabs that share their storage."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    yield context
    context.close()


@pytest.fixture
def new_tab(context: BrowserContext, watch: Watch) -> Iterator[Callable[[], Page]]:
    """Makes watched tabs; afterwards there was no console error, page error or exception in any of them."""
    yield lambda: watch.over(context.new_page())
    watch.close()
    assert watch.errors == []


@pytest.fixture
def page(new_tab: Callable[[], Page]) -> Page:
    """One watched tab."""
    return new_tab()


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that leads a group of its own, as a stage does."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
    yield process
    process.kill()
    process.wait()
