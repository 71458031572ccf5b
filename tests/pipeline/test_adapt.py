"""Test-time training per group: adapters from the run's model, resumable, seeded, gone when they answered."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from core.arc.tasks import Pair, Task
from core.checks.demonstration_proofs import demonstration_proofs
from core.curation.stored import SourceInfo, store_source
from core.errors import UserError
from core.experiments.launched_experiment import LaunchedExperiment
from core.launching.launch import prepare
from core.launching.recheck import repeat_evaluations, rescore_experiment
from core.pipeline import adapt as adapt_module
from core.pipeline.shards import Shard, progress_of_shards, run_shard, shard_is_done, shards
from core.pipeline.stages import run_stage
from core.runs.adapted import AdaptedGroup, adapted_groups
from core.runs.done import STAGES_IN_PARTS
from core.runs.fingerprints import eval_fingerprint, train_fingerprint
from core.runs.layout import Run
from core.runs.progress import progress_of
from core.runs.state import read_state
from core.storage.files import read_json, sha256_of, write_json
from core.training.adaptation import (
    demonstrations_to_learn,
    groups_of,
)
from tests.pipeline.test_stages import killed
from tests.specs.tiny import spec_of
from tests.training.tiny import random_task, tiny_root, tiny_spec

TEST_TIME = {"steps": 2, "samples_per_step": 2, "lora": {"rank": 2}}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tiny model, four tasks to evaluate, and another one to train on."""
    root = tiny_root(tmp_path)
    for source, tasks in {"toy": 4, "other": 1}.items():
        members = [random_task(f"{source}{n}", source, n + 10 * tasks) for n in range(tasks)]
        store_source(root, SourceInfo(source, "made up", "1", "none", "0"), members)
    return root


def prepared(root: Path, own: str = "none", **test_time: Any) -> Run:
    """The run of a spec with test-time training; allow_leaks is not needed."""
    recipe = tiny_spec()["recipe"]
    training = {**recipe["training"], "method": own, "steps": 2}
    recipe = {
        **recipe,
        "mixture": {"sources": [{"source": "other"}]},
        "training": training,
        "test_time": {**TEST_TIME, **test_time},
    }
    spec = spec_of(root, allow_leaks=False, recipe=recipe)
    (run,) = prepare(root, spec, ["launch"])
    return run


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
    steps = [record["step"] for record in progress_of(run, "adapt")]
    assert [step for step in steps if step] == [1, 2, 3, 4]  # 0: a slow first group tells its loss
    (proof,) = demonstration_proofs(root, "trial")
    assert (proof["evaluated_tasks"], proof["common_pairs"]) == (4, 0)


@pytest.mark.engine
def test_a_stage_that_was_cut_off_goes_on_with_the_next_group(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = prepared(root)
    real = adapt_module._adapt_group

    def breaks(experiment: LaunchedExperiment, one: Run, group: Any, *rest: Any) -> AdaptedGroup:
        if group.name == "0003":
            raise UserError("cut off")
        return real(experiment, one, group, *rest)

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


def weights_of(run: Run) -> dict[str, str]:
    """The sha256 of what each group was trained to, by its place."""
    found = run.adapt.glob("*/*/*model.safetensors")
    return {str(path.relative_to(run.adapt)): sha256_of(path) for path in found}


def answers_of(run: Run) -> list[dict[str, Any]]:
    return [row for seed in (0, 1) for row in pq.read_table(run.predictions(seed)).to_pylist()]


@pytest.mark.engine
@pytest.mark.parametrize("groups", ["all", "task"])
def test_full_weights_are_those_of_a_plain_training_from_the_runs_model(root: Path, groups: str) -> None:
    """The same steps as an experiment of its own: its base is the run's model, its mixture the
    demonstrations, its seed the group's."""
    run = prepared(root, "full", keep=True, method="full", groups=groups, steps=3)
    assert all(run_stage(run, stage) for stage in ("train", "adapt", "infer", "score")), read_state(run)
    launched = LaunchedExperiment.of(run)
    settings = launched.recipe_of(run).test_time
    assert settings is not None
    chosen = groups_of(launched.evaluated, settings)[0]
    demos: dict[str, Any] = {"source": "demos:toy"}
    if groups == "task":
        demos["exclude"] = [task.task_id for task in launched.evaluated[1:]]
    plain = tiny_spec()["recipe"]
    training = {**plain["training"], "method": "full", "steps": 3, "samples_per_step": 2}
    training["learning_rate"] = settings.learning_rate
    recipe = {
        **plain,
        "base_model": str(run.model),
        "mixture": {"sources": [demos]},
        "prompt": {"too_long": "shorten"},
        "training": training,
    }
    spec = spec_of(root, name="alone", allow_leaks=False, train_seeds=[chosen.seed(0)], recipe=recipe)
    (alone,) = prepare(root, spec, ["launch"])
    assert run_stage(alone, "train"), read_state(alone)
    mine, theirs = (
        sha256_of(folder / "model.safetensors") for folder in (run.adapt / "0001" / "model", alone.model)
    )
    assert mine == theirs != sha256_of(run.model / "model.safetensors")
    assert len(answers_of(run)) == 2 * 4 * 3


@pytest.mark.engine
@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_kill_while_adapting_changes_neither_weights_nor_answers(
    root: Path, tmp_path_factory: pytest.TempPathFactory, method: str
) -> None:
    """SIGKILL inside a group, with a checkpoint behind it, and between two groups; then a stop."""
    first = prepared(root, keep=True, method=method, groups=2, steps=5)
    other_root = tmp_path_factory.mktemp("undisturbed")
    shutil.copytree(root, other_root, dirs_exist_ok=True)
    undisturbed = replace(first, root=other_root)
    assert all(run_stage(undisturbed, stage) for stage in ("train", "adapt", "infer"))
    assert run_stage(first, "train")
    killed([first], "adapt", 4)  # steps 1, 2 (checkpoint), 3, 4
    assert list((first.adapt / "0001" / "checkpoint").glob("step-*"))
    killed([first], "adapt", 5)  # steps 3, 4, 5, the end of the group, the first step of the next
    assert [(first.adapt / name / "group.json").exists() for name in ("0001", "0002")] == [True, False]
    write_json(first.stop_file, {})
    assert not run_stage(first, "adapt")
    first.stop_file.unlink()
    assert all(run_stage(first, stage) for stage in ("adapt", "infer"))
    assert weights_of(first) == weights_of(undisturbed) and len(weights_of(first)) == 2
    assert answers_of(first) == answers_of(undisturbed)
    for one, two in zip(adapted_groups(first.folder), adapted_groups(undisturbed.folder), strict=True):
        clock = {"seconds": None, "tokens_per_second": None}
        assert one.model_copy(update=clock) == two.model_copy(update=clock)


@pytest.mark.engine
@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_run_whose_weights_were_removed_is_asked_again(root: Path, method: str) -> None:
    """`check --repeat` and `rescore` train them once more, and to the same numbers."""
    run = prepared(root, "lora", method=method, groups=3)
    assert all(run_stage(run, stage) for stage in ("train", "adapt", "infer", "score"))
    assert not run.adapt.exists() and not run.merged.exists()
    assert repeat_evaluations(root, "trial") == 1
    record = read_json(run.check_file)
    assert record["equal"] == record["asked"] == 4 * 3 and record["exact"]
    assert (record["equal_to_base"] is None) == (method == "full")
    assert rescore_experiment(root, "trial", 2, 8, lambda *_: None) == 2
    rescored = pq.read_table(run.candidates(0)).to_pylist()
    given = {row["task_id"] for row in answers_of(run) if row["output_cells"] is not None}
    assert {row["task_id"] for row in rescored} <= given
    assert not run.adapt.exists() and not run.merged.exists()
    groups = read_json(run.adapted_file)
    write_json(run.adapted_file, [{**group, "weights": "0" * 64} for group in groups])
    with pytest.raises(UserError, match=r"come out otherwise.*test_time\.keep: true"):
        repeat_evaluations(root, "trial")
    assert not list(run.adapt.glob("*/*/*.safetensors"))


@pytest.mark.engine
def test_weights_trained_for_a_time_are_not_made_again(root: Path) -> None:
    run = prepared(root, seconds_per_task=0.01)
    assert all(run_stage(run, stage) for stage in ("train", "adapt", "infer"))
    with pytest.raises(UserError, match=r"trained for a time and removed.*keep: true"):
        repeat_evaluations(root, "trial")


@pytest.mark.engine
@pytest.mark.parametrize("method", ["lora", "full"])
def test_parts_adapt_and_answer_as_one_process_does(
    root: Path, tmp_path_factory: pytest.TempPathFactory, method: str
) -> None:
    run = prepared(root, "lora", method=method, groups=3)
    assert run_stage(run, "train")
    whole = replace(run, root=tmp_path_factory.mktemp("whole"))
    shutil.copytree(root, whole.root, dirs_exist_ok=True)
    assert all(run_stage(whole, stage) for stage in ("adapt", "infer"))
    launched = LaunchedExperiment.of(run)
    for stage in STAGES_IN_PARTS:
        assert run_shard(launched, run, stage, Shard(2, 2)) and run.adapt.exists()
        assert shard_is_done(launched, run, stage, Shard(2, 2))
        assert not shard_is_done(launched, run, stage, Shard(1, 2)) and stage in launched.stages_left(run)
        assert run_shard(launched, run, stage, Shard(1, 2)), progress_of_shards(run, stage, 2)
        assert stage not in launched.stages_left(run)
        said = progress_of_shards(run, stage, 2)
        assert said["step"] == said["total"] > 0
    assert [one.loss_after for one in adapted_groups(run.folder)] == [
        one.loss_after for one in adapted_groups(whole.folder)
    ]
    assert [row["text"] for row in answers_of(run)] == [row["text"] for row in answers_of(whole)]
    assert not run.adapt.exists() and not run.merged.exists()
    assert read_json(run.record_file)["engine"]["name"] == "transformers"


@pytest.mark.engine
def test_a_part_without_a_task_of_a_group_is_done(root: Path) -> None:
    run = prepared(root)
    launched = LaunchedExperiment.of(run)
    for stage in STAGES_IN_PARTS:
        assert all(run_shard(launched, run, stage, part) for part in shards(6)), progress_of_shards(
            run, stage, 6
        )
        assert stage not in launched.stages_left(run)


def test_a_group_of_which_nothing_fits_learns_nothing_and_the_others_do(root: Path) -> None:
    draw = np.random.default_rng(0).integers
    pairs = tuple(Pair(*draw(0, 10, (2, 30, 30), dtype=np.uint8)) for _ in range(3))
    members = [random_task("toy0", "toy", 0), Task("toy1", "toy", "toy1", pairs[:2], pairs[2:])]
    store_source(root, SourceInfo("toy", "made up", "1", "none", "0"), members)
    run = prepared(root)
    assert run_stage(run, "adapt"), read_state(run)
    first, second = adapted_groups(run.folder)
    assert first.weights and (first.demonstrations, first.too_long) == (2, 0)
    assert not second.weights and (second.demonstrations, second.too_long) == (0, 2)
    store_source(root, SourceInfo("toy", "made up", "1", "none", "0"), members[1:])
    shutil.rmtree(run.folder.parent.parent)
    run = prepared(root)
    assert not run_stage(run, "adapt")
    assert "No demonstration fits max_seq_len" in str(read_state(run).error)


@pytest.mark.engine
def test_pairs_are_adapted_with_all_weights(tmp_path: Path) -> None:
    """A model of task tokens learns tokens for the groups' tasks; an adapter beside tokens is refused."""
    root = tiny_root(tmp_path)
    recipe = tiny_spec()["recipe"]
    recipe = {
        **recipe,
        "prompt": {"template": "pair", "encoding": {"canvas": 4}},
        "training": {**recipe["training"], "method": "none"},
        "test_time": {**TEST_TIME, "method": "full", "groups": 2},
    }
    (run,) = prepare(root, spec_of(root, recipe=recipe), ["launch"])
    assert all(run_stage(run, stage) for stage in ("adapt", "infer")), read_state(run)
    evaluated = LaunchedExperiment.of(run).evaluated
    learned = {task.task_id for task in demonstrations_to_learn(evaluated, evaluated)}
    assert len(learned) == 3  # all pairs of the fourth equal test pairs
    for row in answers_of(run):
        assert (row["finish_reason"] == "no_token") == (row["task_id"] not in learned)
    assert len(answers_of(run)) == 2 * 5 * 3
    recipe["test_time"] = {**TEST_TIME}
    with pytest.raises(UserError, match=r"set test_time\.method to full"):
        spec_of(root, name="other", recipe=recipe)
