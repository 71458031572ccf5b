"""Views of attempts depend on (eval_seed, task, test, attempt) alone, and symmetries are balanced."""

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.arc.tasks import Pair, Task
from core.arc.views import IDENTITY_COLOURS, SYMMETRIES, View
from core.errors import UserError
from core.inference.attempts import draw_view, plan_attempts
from core.inference.settings import Views
from tests.inference.conftest import tiny_inference
from tests.training.tiny import copy_task

Key = tuple[str, str, int, int]


def named(task_id: str) -> Task:
    """A task of this id with three demonstrations, of which the first output brings in colour 9."""
    pairs = [Pair(np.array([[0, 1, 2]], dtype=np.uint8), np.array([[9, 1, 2]], dtype=np.uint8))] * 3
    return Task(task_id, "toy", task_id, tuple(pairs), tuple(pairs[:1]))


def planned(tasks: list[Task], eval_seed: int = 0, **changes: object) -> dict[Key, View]:
    attempts = list(plan_attempts(tasks, tiny_inference(**changes), eval_seed))
    views = {attempt.key: attempt.view for attempt in attempts}
    assert len(views) == len(attempts) > 0
    return views


def test_every_output_gets_its_attempts(tasks: list[Task]) -> None:
    counts = Counter(key[:3] for key in planned(tasks, attempts=5))
    assert counts == {("toy", t.task_id, i): 5 for t in tasks for i in range(len(t.test))}


def test_other_tasks_their_order_and_more_attempts_change_no_view(tasks: list[Task]) -> None:
    alone = planned(tasks[:2], attempts=3)
    crowd = [copy_task(number) for number in range(50, 60)]
    for other in (
        planned(tasks[:2][::-1], attempts=3),
        planned([*crowd, *tasks], attempts=3),
        planned(tasks, attempts=20),
        planned(tasks, attempts=3, temperature=0.5),
    ):
        assert {key: other[key] for key in alone} == alone


def test_global_seeds_change_no_view(tasks: list[Task]) -> None:
    before = planned(tasks)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - as engines do
    assert planned(tasks) == before


def test_every_part_of_the_key_counts(tasks: list[Task]) -> None:
    views = Views(symmetries=False, colours="all", pair_order=False)
    keys = [
        (seed, named(task), test, number)
        for seed in (0, 1)
        for task in "ab"
        for test in (0, 1)
        for number in (0, 1)
    ]
    drawn = {draw_view(views, *key).colours for key in keys}
    assert len(drawn) == 16
    assert planned(tasks, 0) != planned(tasks, 1)


@given(st.integers(1, 40), st.integers(0, 1000))
def test_symmetries_are_balanced_for_any_number_of_attempts(attempts: int, seed: int) -> None:
    counts = Counter(draw_view(Views(), seed, named("a"), 0, number).symmetry for number in range(attempts))
    assert max(counts.values()) - min(counts[s] for s in range(SYMMETRIES)) <= 1


def test_views_follow_their_settings() -> None:
    def drawn(**changes: object) -> list[View]:
        return [draw_view(Views(**changes), 0, named("a"), 0, number) for number in range(64)]  # type: ignore[arg-type]

    assert {view.symmetry for view in drawn()} == set(range(SYMMETRIES))
    assert {view.symmetry for view in drawn(symmetries=False)} == {0}
    assert {view.colours for view in drawn(colours="none")} == {IDENTITY_COLOURS}
    black = drawn(colours="keep_black")
    assert {view.colours[0] for view in black} == {0} and len({view.colours for view in black}) == 64
    assert len({view.colours[0] for view in drawn(colours="all")}) == 10
    new = drawn(colours="keep_new")
    assert {(view.colours[0], view.colours[9]) for view in new} == {(0, 9)}
    assert len({view.colours for view in new}) > 50
    assert {view.pair_order for view in drawn(pair_order=False)} == {None}
    assert len({view.pair_order for view in drawn()}) == 6


def test_an_attempt_holds_its_task_as_its_view_shows_it(tasks: list[Task]) -> None:
    for attempt in plan_attempts(tasks, tiny_inference(), 0):
        original = next(task for task in tasks if task.task_id == attempt.task_id)
        assert len(attempt.task.test) == 1
        turned_back = attempt.view.inverse().apply(attempt.task)
        assert turned_back.train == original.train
        assert turned_back.test == (original.test[attempt.test_index],)


def test_samples_of_a_view_share_it_and_views_stay_balanced(tasks: list[Task]) -> None:
    one = planned(tasks[1:2], attempts=5)
    three = planned(tasks[1:2], attempts=14, samples_per_view=3, temperature=0.8)
    views = [three["toy", tasks[1].task_id, 0, number] for number in range(14)]
    assert views == [one["toy", tasks[1].task_id, 0, number // 3] for number in range(14)]


def test_samples_without_a_temperature_are_refused() -> None:
    with pytest.raises(UserError, match="several samples per view are all the same at temperature 0; raise"):
        tiny_inference(samples_per_view=2)
