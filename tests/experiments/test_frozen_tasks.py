"""What a run works with is what was launched, whatever people flag or deal out meanwhile."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.arc.tasks import Task
from core.curation.flags import add_flag
from core.curation.partitions import split
from core.curation.sources import load_tasks
from core.curation.stored import SourceInfo, store_source
from core.errors import UserError
from core.experiments.frozen_tasks import FrozenTasks, read_frozen
from core.launching.launch import prepare
from core.mixing.mixtures import eligible_tasks
from core.pipeline.stages import run_stage
from core.runs.fingerprints import train_fingerprint
from core.runs.layout import TASKS, Run, experiment_folder
from core.runs.state import state_of
from core.specs.spec import ExperimentSpec, checked_spec, evaluated_tasks
from core.storage.files import read_json, write_json
from tests.curation.test_leaks import random_task
from tests.training.tiny import copy_task, tiny_root, tiny_spec


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Toy tasks to be asked about, and others (not their own reversal) to be turned around."""
    root = tiny_root(tmp_path)
    others = [random_task(f"t{number}", "other", number, side=3) for number in range(4)]
    store_source(root, SourceInfo("other", "made up", "1", "none", "0"), others)
    for task_id in ("t0", "t1"):
        add_flag(root, task_id, "other", "yes", "me")
    return root


def spec_of(**changes: Any) -> ExperimentSpec:
    recipe = {**tiny_spec()["recipe"], "mixture": {"sources": [{"source": "reversed:other"}]}}
    return checked_spec(tiny_spec(**{"recipe": recipe, "allow_leaks": False, **changes}), "The spec")


def frozen(root: Path, name: str = "trial") -> FrozenTasks:
    found = read_frozen(root, name)
    assert found is not None
    return found


def tasks_of(root: Path, variant: str = "plain") -> list[Task]:
    mixture = spec_of().recipe_of("plain").mixture
    return frozen(root).load_trained(root, variant, mixture)["reversed:other"]


def trained(root: Path, variant: str = "plain") -> list[str]:
    return [task.task_id for task in tasks_of(root, variant)]


def test_flags_given_after_the_launch_change_nothing_of_it(root: Path) -> None:
    (run,) = prepare(root, spec_of(), ["launch"])
    before = tasks_of(root)
    add_flag(root, "t2", "other", "yes", "me")
    add_flag(root, "t0", "other", "none", "me")
    assert list(load_tasks(root, "reversed:other")) == ["t1-reversed", "t2-reversed"]
    assert tasks_of(root) == before
    assert trained(root) == ["t0-reversed", "t1-reversed"]
    assert run_stage(run, "train"), state_of(run).error
    assert read_json(run.folder / "run.json")["trained"]["reversed:other"]["tasks"] == 2


def test_a_run_that_is_added_later_gets_the_list_of_its_siblings(root: Path) -> None:
    prepare(root, spec_of(), ["launch"])
    add_flag(root, "t2", "other", "yes", "me")
    prepare(root, spec_of(train_seeds=[0, 1]), ["launch"])
    assert trained(root) == ["t0-reversed", "t1-reversed"]
    records = [
        read_json(experiment_folder(root, "trial") / "plain" / f"train-{seed}" / "run.json")["trained"]
        for seed in (0, 1)
    ]
    assert records[0] == records[1]
    longer = {"plain": None, "longer": {"training": {"steps": 7}}}
    prepare(root, spec_of(train_seeds=[0, 1], variants=longer), ["launch"])
    assert trained(root, "longer") == ["t0-reversed", "t1-reversed", "t2-reversed"]
    assert trained(root) == ["t0-reversed", "t1-reversed"]


def test_another_partition_after_the_launch_changes_nothing_of_it(root: Path) -> None:
    split(root, "mine", ["toy"], {"train": 2, "val": 2}, 0)
    evaluation = {**tiny_spec()["evaluation"], "sources": [{"source": "toy", "partition": "mine/val"}]}
    prepare(root, spec_of(evaluation=evaluation), ["launch"])
    asked = [task.task_id for task in frozen(root).load_evaluated(root)]
    seeds = iter(range(1, 100))
    while split(root, "mine", ["toy"], {"train": 2, "val": 2}, next(seeds)).lists["val"]["toy"] == asked:
        pass
    now = evaluated_tasks(root, spec_of(evaluation=evaluation).evaluation)
    assert [task.task_id for task in now] != asked
    assert [task.task_id for task in frozen(root).load_evaluated(root)] == asked


def test_what_a_partition_holds_out_of_a_training_is_what_it_held_at_the_launch(root: Path) -> None:
    """Whatever is dealt out anew, the same families stay out; and a launch after it does other work."""

    def spec(name: str) -> ExperimentSpec:
        training = {**tiny_spec()["recipe"]["training"], "validation": {"every": 3, "partition": "mine/val"}}
        return spec_of(name=name, allow_leaks=True, recipe={**tiny_spec()["recipe"], "training": training})

    def held_out(name: str) -> tuple[str, ...]:
        return frozen(root, name).held_out["plain"]

    first = split(root, "mine", ["toy"], {"train": 3, "val": 1}, 0).lists["val"]["toy"]
    (run,) = prepare(root, spec("before"), ["launch"])
    seeds = iter(range(1, 100))
    while split(root, "mine", ["toy"], {"train": 3, "val": 1}, next(seeds)).lists["val"]["toy"] == first:
        pass
    (later,) = prepare(root, spec("after"), ["launch"])
    assert list(held_out("before")) == first != list(held_out("after"))
    (root / "data" / "partitions" / "mine.json").unlink()
    assert run_stage(run, "train"), state_of(run).error
    assert train_fingerprint(read_json(run.folder / "run.json")) != train_fingerprint(
        read_json(later.folder / "run.json")
    )
    with pytest.raises(UserError, match="There is no partition 'mine'"):
        prepare(root, spec("never"), ["launch"])


def test_a_task_that_holds_something_else_is_refused(root: Path) -> None:
    (run,) = prepare(root, spec_of(), ["launch"])
    others = [random_task(f"t{number}", "other", number + 50, side=3) for number in range(4)]
    store_source(root, SourceInfo("other", "made up", "1", "none", "0"), others)
    assert not run_stage(run, "train")
    assert "Source 'reversed:other' has changed since the launch" in (state_of(run).error or "")
    store_source(root, SourceInfo("other", "made up", "1", "none", "0"), others[1:])
    assert not run_stage(run, "train")
    assert "Source 'reversed:other' has changed since the launch" in (state_of(run).error or "")


def test_tasks_that_are_added_to_a_source_do_not_matter(root: Path) -> None:
    prepare(root, spec_of(), ["launch"])
    more = [*load_tasks(root, "other").values(), random_task("t9", "other", 9, side=3)]
    store_source(root, SourceInfo("other", "made up", "1", "none", "0"), more)
    assert trained(root) == ["t0-reversed", "t1-reversed"]


def test_nothing_to_train_on_is_refused_at_the_launch(root: Path) -> None:
    for task_id in ("t0", "t1"):
        add_flag(root, task_id, "other", "no", "me")
    with pytest.raises(UserError, match="draws from 'reversed:other', but no task of it is left"):
        prepare(root, spec_of(), ["launch"])
    assert not (root / "runs" / "trial").exists()


def test_a_list_that_is_gone_is_a_sentence(root: Path) -> None:
    (run,) = prepare(root, spec_of(), ["launch"])
    (experiment_folder(root, "trial") / TASKS).unlink()
    with pytest.raises(UserError, match=r"tasks.json is gone. Restore it, or launch under another name"):
        prepare(root, spec_of(), ["launch"])
    assert not run_stage(run, "train")
    assert "tasks.json is gone" in (state_of(run).error or "")


def test_a_broken_list_is_a_sentence(root: Path) -> None:
    (run,) = prepare(root, spec_of(), ["launch"])
    write_json(experiment_folder(root, "trial") / TASKS, {"trained": []})
    assert not run_stage(run, "train")
    assert "tasks.json is damaged" in (state_of(run).error or "")


def test_pairs_that_are_too_large_are_left_out_of_what_is_frozen_as_well(root: Path) -> None:
    wide = replace(random_task("t1", "other", 1, side=3), train=random_task("w", "other", 9, side=4).pairs)
    others = [wide, *(random_task(f"t{number}", "other", number, side=3) for number in (0, 2, 3))]
    store_source(root, SourceInfo("other", "made up", "1", "none", "0"), others)
    mixture = {"sources": [{"source": "other", "max_pair_cells": 20}]}
    recipe = {**tiny_spec()["recipe"], "mixture": {**mixture, "augmentation": {"swap_train_test": False}}}
    spec = spec_of(recipe=recipe)
    prepare(root, spec, ["launch"])
    settings = spec.recipe_of("plain").mixture
    drawn = frozen(root).load_trained(root, "plain", settings)["other"]
    assert {task.task_id: task for task in drawn} == {
        share.task_id: share for share in eligible_tasks(root, settings.sources[0], settings)
    }
    assert {task.task_id: len(task.train) for task in drawn}["t0"] == 2
    assert [len(task.train) for task in drawn if task.task_id == "t1"] in ([0], [])


def test_two_variants_have_lists_of_their_own(root: Path) -> None:
    few = {"mixture": {"sources": [{"source": "reversed:other", "exclude": ["t0-reversed"]}]}}
    runs = prepare(root, spec_of(variants={"plain": None, "few": few}), ["launch"])
    assert len(runs) == 2
    assert isinstance(runs[0], Run)
    assert trained(root, "few") == ["t1-reversed"]
    assert trained(root) == ["t0-reversed", "t1-reversed"]


def test_the_gate_honours_partitions(root: Path) -> None:
    """Halves of one partition do not leak into each other; the whole source leaks into its half."""
    more = [copy_task(number) for number in range(8)]
    store_source(root, SourceInfo("toy", "made up", "1", "none", "0"), more)
    split(root, "mine", ["toy"], {"train": 4, "val": 4}, 1)
    evaluation = {**tiny_spec()["evaluation"], "sources": [{"source": "toy", "partition": "mine/val"}]}
    for share, leaks in (({"partition": "mine/train"}, False), ({}, True)):
        mixture = {"sources": [{"source": "toy", **share}]}
        recipe = {**tiny_spec()["recipe"], "mixture": mixture}
        spec = spec_of(name=f"gate-{leaks}".lower(), evaluation=evaluation, recipe=recipe)
        if leaks:
            with pytest.raises(UserError, match="trains on 4 evaluated tasks or twins"):
                prepare(root, spec, ["launch"])
        else:
            assert len(prepare(root, spec, ["launch"])) == 1
