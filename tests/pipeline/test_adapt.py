"""Test-time training per group: adapters from the run's model, resumable, seeded, gone when they answered."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from core.arc.tasks import Pair, Task
from core.curation.stored import SourceInfo, store_source
from core.errors import UserError
from core.experiments.launched_experiment import LaunchedExperiment
from core.launching.launch import prepare
from core.mixing.demonstrations import pair_form
from core.pipeline import adapt as adapt_module
from core.pipeline.reuse import eval_fingerprint, train_fingerprint
from core.pipeline.shared_engine import what_answers
from core.pipeline.stages import run_stage
from core.runs.layout import Run
from core.runs.progress import progress_of
from core.runs.state import read_state
from core.specs.spec import spec_from_text
from core.storage.files import read_json, sha256_of
from core.training.adaptation import (
    AdaptationSettings,
    demonstrations_to_learn,
    groups_of,
    mixture_of,
    training_of,
)
from core.warnings.demonstration_proofs import demonstration_proofs
from tests.specs.tiny import spec_of
from tests.training.tiny import tiny_root, tiny_spec

TEST_TIME = {"steps": 2, "samples_per_step": 2, "lora": {"rank": 2}}


def random_task(task_id: str, source: str, seed: int) -> Task:
    draw = np.random.default_rng(seed).integers
    pairs = tuple(Pair(*draw(0, 10, (2, 3, 4), dtype=np.uint8)) for _ in range(3))
    return Task(task_id, source, task_id, pairs[:2], pairs[2:])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tiny model, four tasks to evaluate, and another one to train on."""
    root = tiny_root(tmp_path)
    for source, tasks in {"toy": 4, "other": 1}.items():
        members = [random_task(f"{source}{n}", source, n + 10 * tasks) for n in range(tasks)]
        store_source(root, SourceInfo(source, "made up", "1", "none", "0"), members)
    return root


def prepared(root: Path, method: str = "none", **test_time: Any) -> Run:
    """The run of a spec with test-time training; allow_leaks is not needed."""
    recipe = tiny_spec()["recipe"]
    training = {**recipe["training"], "method": method, "steps": 2}
    recipe = {
        **recipe,
        "mixture": {"sources": [{"source": "other"}]},
        "training": training,
        "test_time": {**TEST_TIME, **test_time},
    }
    spec = spec_of(root, allow_leaks=False, recipe=recipe)
    (run,) = prepare(root, spec, ["launch"])
    return run


def test_groups_are_tasks_numbers_or_all_and_their_seeds_follow_from_their_tasks() -> None:
    tasks = [random_task(f"t{n}", "toy", n) for n in range(5)]
    names = {
        groups: [[task.task_id for task in group.tasks] for group in groups_of(tasks, _settings(groups))]
        for groups in ("task", 2, "all")
    }
    assert names["task"] == [["t0"], ["t1"], ["t2"], ["t3"], ["t4"]]
    assert names[2] == [["t0", "t1"], ["t2", "t3"], ["t4"]]
    assert names["all"] == [["t0", "t1", "t2", "t3", "t4"]]
    seeds = [group.seed(0) for group in groups_of(tasks, _settings("task"))]
    assert len({*seeds, groups_of(tasks, _settings("task"))[0].seed(1)}) == 6
    assert groups_of(tasks[3:], _settings("task"))[0].seed(0) == seeds[3]


def _settings(groups: Any, **values: Any) -> AdaptationSettings:
    return AdaptationSettings.model_validate({"groups": groups, **values})


def test_what_equals_a_test_pair_is_left_out() -> None:
    tasks = [random_task(f"t{n}", "toy", n) for n in range(3)]
    twisted = replace(tasks[0], train=(tasks[0].train[0], tasks[1].test[0].reverse()))
    known = replace(tasks[2], train=tasks[2].test)
    learned = demonstrations_to_learn([twisted, tasks[1], known], [twisted, tasks[1], known])
    assert [(task.task_id, len(task.train), task.n_train) for task in learned] == [("t0", 1, 0), ("t1", 2, 1)]
    tested = {pair_form(pair) for task in (twisted, tasks[1], known) for pair in task.test}
    assert not tested & {pair_form(pair) for task in learned for pair in task.pairs}


def test_a_share_of_the_samples_is_replayed_from_the_own_mixture() -> None:
    tasks = [random_task(f"t{n}", "toy", n) for n in range(2)]
    own = spec_from_text(_text(), "spec").recipe_of("plain").mixture
    learned = demonstrations_to_learn(tasks, tasks)
    other = {"other": [random_task("o", "other", 9)]}
    mixture = mixture_of(learned, _settings("all", replay=0.25), own, other, 0)
    drawn = [mixture.sample(number).source for number in range(400)]
    assert 0.18 < drawn.count("other") / 400 < 0.32
    assert set(mixture_of(learned, _settings("all"), own, other, 0).tasks) == {"demos:toy"}


def _text() -> str:
    return yaml.safe_dump(
        tiny_spec(recipe={**tiny_spec()["recipe"], "mixture": {"sources": [{"source": "other"}]}})
    )


@pytest.mark.engine
@pytest.mark.parametrize("method", ["none", "lora", "full"])
def test_every_task_is_answered_by_its_own_adapter(root: Path, method: str) -> None:
    run = prepared(root, method, keep=True)
    for stage in ("train", "adapt", "infer", "score"):
        assert run_stage(run, stage), read_state(run)
    adapted = read_json(run.adapted_file)
    assert [group["tasks"] for group in adapted] == [[["toy", f"toy{n}"]] for n in range(4)]
    assert all(group["loss_before"] > 0 and group["seconds"] > 0 for group in adapted)
    weights = {sha256_of(path) for path in run.adapt.glob("*/adapter/adapter_model.safetensors")}
    assert len(weights) == 4
    rows = pq.read_table(run.predictions(0)).to_pylist()
    assert [row["task_id"] for row in rows] == [f"toy{n}" for n in range(4) for _ in range(3)]
    assert not (run.eval_folder(0) / "groups").exists() and not run.merged.exists()
    assert [record["step"] for record in progress_of(run, "adapt")] == [1, 2, 3, 4]
    (proof,) = demonstration_proofs(root, "trial")
    assert (proof["evaluated_tasks"], proof["common_pairs"]) == (4, 0)
    with pytest.raises(UserError, match="neither split into parts nor asked again"):
        what_answers(LaunchedExperiment.of(run), [run])


@pytest.mark.engine
def test_a_stage_that_was_cut_off_goes_on_with_the_next_group(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = prepared(root)
    real = adapt_module._adapt_group

    def breaks(experiment: LaunchedExperiment, one: Run, group: Any, base: str) -> dict[str, Any]:
        if group.name == "0003":
            raise UserError("cut off")
        return real(experiment, one, group, base)

    monkeypatch.setattr(adapt_module, "_adapt_group", breaks)
    assert run_stage(run, "train") and not run_stage(run, "adapt")
    first = {path: path.stat().st_mtime_ns for path in run.adapt.glob("*/adapter/*.safetensors")}
    assert len(first) == 2 and not run.adapted_file.exists()
    monkeypatch.setattr(adapt_module, "_adapt_group", real)
    assert run_stage(run, "adapt")
    assert len(list(run.adapt.glob("*/adapter/*.safetensors"))) == 4
    assert {path: path.stat().st_mtime_ns for path in first} == first
    assert run_stage(run, "infer") and not run.adapt.exists()  # removed, as nothing says to keep them


def test_variants_of_test_time_share_a_training_and_no_answers(root: Path) -> None:
    record = read_json(prepared(root, "lora").record_file)
    without = {**record, "recipe": {**record["recipe"], "test_time": None}}
    assert train_fingerprint(record) == train_fingerprint(without)
    assert eval_fingerprint(record, 0) != eval_fingerprint(without, 0)


def test_seconds_are_for_each_task_and_adapters_must_be_plain() -> None:
    own = spec_from_text(_text(), "spec").recipe_of("plain").training
    assert training_of(_settings(5, seconds_per_task=3), own, 5).seconds == 15
    assert training_of(_settings(5), own, 5).seconds is None
    with pytest.raises(ValueError, match="plain adapters alone"):
        _settings("task", lora={"dora": True})
    with pytest.raises(ValueError):
        _settings(0)
