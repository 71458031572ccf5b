"""A run that was trained on evaluated tasks is marked wherever it is shown."""

import json
import shutil
import time
from pathlib import Path

import pytest

from core.checks.leak_warnings import experiment_leaks, leaked_by_variant, queried_experiments
from core.experiments.listing import run_records
from core.storage.files import read_json, write_json
from core.synthetic.experiments import make_experiment
from tests.dashboard.alone import page_alone
from tests.patience import patience
from tests.results.test_run_values import NAME, run_verb
from tests.shown import as_read

SENTENCE = (
    "Leak: 'more-colours' was trained with 2 evaluated tasks or twins in its mixture, 'plain' with 1."
    " Such scores are not comparable."
)


def leak(task: str, other: str = "t") -> dict[str, object]:
    return {
        "source_a": "toy",
        "task_a": other,
        "source_b": "toy",
        "task_b": task,
        "kind": "same id",
        "pairs": 3,
    }


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two variants that leak, one that does not."""
    root = tmp_path_factory.mktemp("leaky")
    make_experiment(root, runs=2, evaluations=1, tasks=3)
    found = {
        "more-colours": [leak("a"), leak("b"), leak("b", "u")],
        "plain": [leak("a")],
        "twice-as-long": [],
    }
    for record in (root / "runs" / NAME).glob("*/train-*/run.json"):
        write_json(record, {**read_json(record), "leaks": found[record.parents[1].name]})
    return root


def test_tasks_count_once_and_the_sentence_names_the_variants(leaky: Path) -> None:
    assert leaked_by_variant(leaky, NAME) == {"more-colours": 2, "plain": 1, "twice-as-long": 0}
    assert experiment_leaks(leaky, NAME) == SENTENCE


def test_what_no_record_holds_is_unknown(tmp_path: Path) -> None:
    write_json(tmp_path / "runs" / "old" / "a" / "train-0" / "run.json", {"recipe": {}})
    assert leaked_by_variant(tmp_path, "old") == {"a": None}
    assert experiment_leaks(tmp_path, "old") == ""


@pytest.mark.parametrize("page", ["results", "compare", "tasks", "runs"])
def test_every_page_that_shows_the_runs_shows_the_leak(
    leaky: Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    shown = page_alone(leaky, page, monkeypatch)
    assert SENTENCE in [as_read(one.value) for one in shown.warning]


@pytest.mark.parametrize(
    "verb",
    [
        ["results", NAME],
        ["results", NAME, "--format", "csv"],
        ["compare", NAME, "plain", "more-colours"],
        ["sql", "SELECT count(*) AS outputs FROM scores"],
    ],
)
def test_every_verb_that_shows_the_runs_prints_the_leak_beside_its_output(
    leaky: Path, verb: list[str]
) -> None:
    said = run_verb(leaky, *verb)
    assert said.returncode == 0, said.stderr
    assert said.stderr == f"{NAME}: {SENTENCE}\n"
    assert "Leak" not in said.stdout


def test_answers_for_others_come_with_the_warning(leaky: Path, tmp_path: Path) -> None:
    said = run_verb(
        leaky, "predictions", "export", NAME, "plain", "--attempts", str(tmp_path / "attempts.json")
    )
    assert (said.returncode, said.stderr) == (0, f"{NAME}: {SENTENCE}\n")


def test_a_query_warns_of_the_experiments_that_it_shows(leaky: Path) -> None:
    make_experiment(leaky, name="clean", runs=1, evaluations=1, tasks=3)
    assert queried_experiments(leaky, "SELECT * FROM Runs") == ["clean", NAME]
    assert queried_experiments(leaky, f"SELECT * FROM scores WHERE experiment = '{NAME}'") == [NAME]
    assert queried_experiments(leaky, "SELECT * FROM scores WHERE experiment = 'clean'") == ["clean"]
    assert queried_experiments(leaky, "SELECT * FROM flags") == []
    said = run_verb(leaky, "sql", "SELECT count(*) FROM scores")
    assert said.stderr.splitlines() == [f"{NAME}: {SENTENCE}"]


def test_the_page_of_queries_shows_the_leak_as_an_alarm_and_test_time_training_as_none(
    leaky: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(leaky, tmp_path, dirs_exist_ok=True)
    record = tmp_path / "runs" / NAME / "twice-as-long" / "train-0" / "run.json"
    write_json(record, {**read_json(record), "test_time": [["toy", "a"]]})
    page = page_alone(tmp_path, "sql", monkeypatch, experiment=NAME)
    deadline = time.monotonic() + 60 * patience()
    while "sql answer" not in page.session_state or page.session_state["sql answer"] is None:
        assert time.monotonic() < deadline
        page = page.run(timeout=60)
    assert not page.exception
    assert [as_read(one.value) for one in page.warning] == [f"{NAME}: {SENTENCE}"]
    (seen,) = (one.value for one in page.markdown if "test-time training" in as_read(one.value))
    assert seen.startswith(":violet-background[") and "'twice-as-long'" in as_read(seen)


def test_records_hold_the_number(leaky: Path) -> None:
    records = json.loads(run_verb(leaky, "results", NAME, "--json").stdout)
    assert {record["variant"]: record["leaked_tasks"] for record in records} == {
        "more-colours": 2,
        "plain": 1,
        "twice-as-long": 0,
    }
    assert sorted(record["leaked_tasks"] for record in run_records(leaky, NAME)) == [0, 0, 1, 1, 2, 2]
