"""What was launched with `allow_leaks: true` says so on every page and verb that lists its runs, from the
launch on: before there is a score, and while the launch form stands at other settings."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.__main__ import app
from core.errors import UserError
from core.launching import launch as launch_module
from core.launching.launch import launch
from tests.dashboard.alone import page_alone
from tests.shown import as_read
from tests.specs.tiny import spec_of

SENTENCE = (
    "Leak: 'plain' was trained with 4 evaluated tasks or twins in its mixture."
    " Such scores are not comparable."
)


@pytest.fixture
def leaky(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose only experiment trains on what it is asked, as the launch itself recorded it."""
    monkeypatch.setattr(launch_module, "ensure_worker", lambda _: None)
    with pytest.raises(UserError, match="allow_leaks"):
        launch(root, spec_of(root, allow_leaks=False), ["launch"])
    launch(root, spec_of(root, allow_leaks=True), ["launch"])
    return root


@pytest.mark.parametrize("page", ["launch", "runs"])
def test_the_pages_that_know_a_launched_experiment_warn(
    leaky: Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    shown = page_alone(leaky, page, monkeypatch)
    assert SENTENCE in [as_read(one.value) for one in shown.warning]


@pytest.mark.parametrize("named", [[], ["trial"]])
def test_the_list_of_runs_warns_beside_its_output(leaky: Path, named: list[str]) -> None:
    wide = {"COLUMNS": "200"}
    said = CliRunner().invoke(app, ["runs", "list", *named, "--root", str(leaky)], env=wide)
    assert said.exit_code == 0
    assert said.stderr == f"trial: {SENTENCE}\n"
    assert "leaked" in said.stdout and " 4\n" in said.stdout


@pytest.mark.parametrize("form", ["json", "csv", "markdown"])
def test_the_records_of_runs_carry_the_number(leaky: Path, form: str) -> None:
    said = CliRunner().invoke(app, ["runs", "list", "--format", form, "--root", str(leaky)])
    assert said.stderr == f"trial: {SENTENCE}\n"
    if form == "json":
        assert [record["leaked_tasks"] for record in json.loads(said.stdout)] == [4]
    else:
        heading, *rows = said.stdout.splitlines()
        assert "leaked" in heading.lower() and "4" in rows[-1]
        assert "Leak:" not in said.stdout
