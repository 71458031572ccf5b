"""Training on the demonstrations of the evaluated tasks is launched without `allow_leaks`, says so wherever
its numbers stand, and is proved by hashes to have seen no test pair."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from core.__main__ import app
from core.arc.tasks import Pair, Task
from core.checks.demonstration_proofs import demonstration_proofs
from core.curation.sources import load_tasks
from core.curation.stored import SourceInfo, store_source
from core.errors import UserError
from core.experiments.frozen_tasks import read_frozen
from core.experiments.listing import list_runs
from core.launching import launch as launch_module
from core.launching.launch import launch
from core.preflight.cautions import cautions_of
from core.specs.spec import ExperimentSpec
from core.storage.files import read_json, write_json
from dashboard.components.wording import plain
from tests.dashboard.alone import page_alone
from tests.specs.tiny import spec_of
from tests.training.tiny import tiny_root, tiny_spec

SENTENCE = "'with': test-time training: saw the demonstrations of the 4 evaluated tasks."
DEMOS = {"source": "demos:toy", "evaluated_only": True}


def random_task(task_id: str, source: str, seed: int, tests: int = 1) -> Task:
    """Two demonstrations and some tests of 3 × 4 random cells, so that no two pairs are alike by chance."""
    draw = np.random.default_rng(seed).integers
    pairs = tuple(Pair(*draw(0, 10, (2, 3, 4), dtype=np.uint8)) for _ in range(2 + tests))
    return Task(task_id, source, task_id, pairs[:2], pairs[2:])


def stored(root: Path, source: str, tasks: Iterable[Task]) -> None:
    store_source(root, SourceInfo(source, "made up", "1", "none", "0"), tasks)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with four tasks to evaluate, whose first has two tests, and another one."""
    root = tiny_root(tmp_path)
    stored(root, "toy", [random_task(f"t{n}", "toy", n, tests=1 + (n == 0)) for n in range(4)])
    stored(root, "other", [random_task("o", "other", 9)])
    return root


def spec_with_demos(root: Path) -> ExperimentSpec:
    """A variant that trains on another source, and one that trains on demonstrations as well."""
    return spec_of(
        root,
        allow_leaks=False,
        baseline="without",
        recipe={**tiny_spec()["recipe"], "mixture": {"sources": [{"source": "other"}]}},
        variants={"without": None, "with": {"mixture": {"sources": [{"source": "other"}, DEMOS]}}},
    )


@pytest.fixture
def launched(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(launch_module, "ensure_worker", lambda _: None)
    launch(root, spec_with_demos(root), ["launch"])
    return root


def test_the_demonstrations_are_frozen_at_the_launch(launched: Path) -> None:
    frozen = read_frozen(launched, "trial")
    assert frozen is not None
    (demos,) = [one for one in frozen.trained["with"] if one.source == "demos:toy"]
    assert demos.tasks == ("t0", "t1", "t2", "t3")
    made = {run.variant: read_json(run.folder / "run.json") for run in list_runs(launched, "trial")}
    assert made["with"]["leaks"] == [] and len(made["with"]["test_time"]) == 4
    assert made["without"]["test_time"] == []


@pytest.mark.parametrize("page", ["launch", "runs"])
def test_the_pages_show_it_as_a_fact_and_not_as_an_alarm(
    launched: Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    shown = page_alone(launched, page, monkeypatch)
    assert [one.value for one in shown.markdown if plain(SENTENCE) in one.value]
    assert not [one.value for one in shown.info if "test-time" in one.value]
    assert not [one.value for one in shown.success if "No leak" in one.value]
    assert not [one.value for one in shown.warning if "eak" in one.value]


def test_the_list_of_runs_shows_the_leak_beside_its_output(launched: Path) -> None:
    said = CliRunner().invoke(app, ["runs", "list", "--root", str(launched)], env={"COLUMNS": "200"})
    assert said.stderr == f"trial: {SENTENCE}\n"
    assert "test time" in said.stdout
    records = json.loads(CliRunner().invoke(app, ["runs", "list", "--json", "--root", str(launched)]).stdout)
    assert {one["variant"]: one["test_time_tasks"] for one in records} == {"with": 4, "without": 0}


def test_hashes_prove_that_no_test_pair_was_trained_on(launched: Path) -> None:
    (proof,) = demonstration_proofs(launched, "trial")
    assert (proof["variant"], proof["trained_pairs"], proof["common_pairs"]) == ("with", 3 + 4 * 2, 0)
    assert proof["test_pairs"] == 5
    said = CliRunner().invoke(app, ["check", "trial", "--root", str(launched)])
    assert "11 distinct pairs are trained on, 5 test pairs evaluated, none in common" in said.stdout
    assert proof["trained_sha256"][:16] in said.stdout and proof["test_sha256"][:16] in said.stdout


def test_the_proof_fails_where_a_test_pair_was_trained_on(launched: Path) -> None:
    """`allow_leaks` lets a demonstration that equals a test pair through, and the proof counts it."""
    tasks = load_tasks(launched, "toy")
    first, second = list(tasks.values())[:2]
    leaky = replace(first, train=(*first.train, second.test[0].reverse()))
    stored(launched, "toy", [leaky, *list(tasks.values())[1:]])
    spec = spec_with_demos(launched).model_copy(update={"name": "leaky"})
    with pytest.raises(UserError, match=r"test pair.*exclude"):
        launch(launched, spec, ["launch"])
    launch(launched, spec.model_copy(update={"allow_leaks": True}), ["launch"])
    (proof,) = demonstration_proofs(launched, "leaky")
    assert proof["common_pairs"] == 1


def test_single_demonstrations_are_listed_before_the_launch(root: Path) -> None:
    tasks = list(load_tasks(root, "toy").values())
    short = [replace(tasks[0], train=tasks[0].train[:1]), *tasks[1:]]
    stored(root, "toy", short)
    said = cautions_of(root, spec_with_demos(root))
    assert "1 task of demos:toy with a single demonstration, which is asked from none: t0." in said


def test_a_record_of_another_format_is_ignored(launched: Path) -> None:
    record = list_runs(launched, "trial")[0].folder / "run.json"
    made = read_json(record)
    del made["test_time"]
    write_json(record, made)
    assert demonstration_proofs(launched, "trial") == []
