"""The picture of README's first screen: the Results page of the demo, as a browser shows it.

`make picture` takes it anew from the runs in this project; in the tests it is taken from made-up runs and
looked at only for being a picture with something on it.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from core.synthetic.experiments import make_experiment
from tests.browser.conftest import REPOSITORY, Dashboard, serving

pytestmark = pytest.mark.browser

PICTURE = REPOSITORY / "tests" / "browser" / "results.png"
NAME = "demo"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This project where its picture is to be taken, else one with a made-up demo."""
    if os.environ.get("TAKE_PICTURE"):
        return REPOSITORY
    root = tmp_path_factory.mktemp("picture") / "project"
    make_experiment(root, NAME)
    return root


@pytest.fixture(scope="module")
def served(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with serving(project, tmp_path_factory.mktemp("log") / "dashboard.log") as dashboard:
        yield dashboard


def test_the_results_page_makes_a_picture(page: Page, served: Dashboard, tmp_path: Path) -> None:
    target = PICTURE if served.root == REPOSITORY else tmp_path / "results.png"
    page.set_viewport_size({"width": 1280, "height": 860})
    page.goto(f"{served.address}/results?experiment={NAME}")
    dots = page.locator(".js-plotly-plot").first.locator(".scatterlayer .points path")
    expect(dots.first).to_be_visible()
    expect(page.locator("table.results")).to_be_visible()
    page.mouse.move(0, 0)
    page.screenshot(path=target)
    with Image.open(target) as picture:
        assert picture.size == (1280, 860)
        colours = picture.convert("RGB").getcolors(maxcolors=2**24)
    assert colours is not None and len(colours) > 100
