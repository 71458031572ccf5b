"""Test-time training before anything is trained: groups, seeds, what is learned from, settings."""

from dataclasses import replace
from typing import Any

import pytest
import yaml

from core.mixing.demonstrations import pair_form
from core.specs.spec import spec_from_text
from core.training.adaptation import (
    AdaptationSettings,
    demonstrations_to_learn,
    groups_of,
    mixture_of,
    training_of,
)
from tests.training.tiny import random_task, tiny_spec


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


def test_seconds_are_for_each_task_and_adapters_must_be_plain() -> None:
    own = spec_from_text(_text(), "spec").recipe_of("plain").training
    assert training_of(_settings(5, seconds_per_task=3), own, 5).seconds == 15
    assert training_of(_settings(5), own, 5).seconds is None
    with pytest.raises(ValueError, match="plain adapters alone"):
        _settings("task", lora={"dora": True})
    with pytest.raises(ValueError):
        _settings(0)
