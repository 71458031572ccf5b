"""Tasks: reading and writing give the same value, reversing twice too, and bad grids are named."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.arc.grids import parse_grid, same_grid
from core.arc.tasks import Pair, Task, parse_task
from core.errors import UserError

from .strategies import grids, pairs, tasks

GOOD = {"input": [[1, 2]], "output": [[3]]}


def parse(record: Any) -> Task:
    return parse_task(record, task_id="0d3d703e", source="toy")


def task_to_json(task: Task) -> dict[str, Any]:
    """The task in ARC's JSON form; a pool task carries `n_train` instead of `test`."""
    record: dict[str, Any] = {"train": [_pair_to_json(pair) for pair in task.train]}
    if task.n_train is None:
        record["test"] = [_pair_to_json(pair) for pair in task.test]
    else:
        record["n_train"] = task.n_train
    return record


def _pair_to_json(pair: Pair) -> dict[str, Any]:
    record = {"input": pair.input.tolist()}
    if pair.output is not None:
        record["output"] = pair.output.tolist()
    return record


@given(tasks())
def test_reversing_twice_gives_the_task_back(task: Task) -> None:
    turned = task.reverse()
    assert turned.reverse() == task
    assert turned.is_reversed
    assert turned.family == task.family
    assert all(same_grid(a.input, b.output) for a, b in zip(task.pairs, turned.pairs, strict=True))


@given(tasks())
def test_json_gives_the_task_back(task: Task) -> None:
    assert parse_task(task_to_json(task), task_id=task.task_id, source=task.source) == task


@given(st.lists(pairs(), min_size=3, max_size=5))
def test_a_pool_task_comes_back_from_json(pool: list[Pair]) -> None:
    task = Task("a", "toy", "a", tuple(pool), (), n_train=2)
    again = parse_task(task_to_json(task), task_id="a", source="toy")
    assert again == task
    assert again.is_pool
    sizes = sorted((p.input.size + p.output.size for p in pool if p.output is not None), reverse=True)
    assert again.cells == sum(sizes[:3])


@given(grids(30), grids(30))
def test_grids_are_equal_when_size_and_cells_are(a: np.ndarray, b: np.ndarray) -> None:
    assert same_grid(a, a.copy())
    assert same_grid(a, b) == (a.tolist() == b.tolist())
    assert not same_grid(a, None)
    assert same_grid(parse_grid(a.tolist(), "here"), a)


def test_a_hidden_output_cannot_be_reversed() -> None:
    with pytest.raises(UserError, match="can't be reversed"):
        parse({"train": [GOOD], "test": [{"input": [[1]]}]}).reverse()


@pytest.mark.parametrize(
    ("grid", "sentence"),
    [
        ([[1, 2], [3]], "row 1 has 1 cells but row 0 has 2"),
        ([], "0 rows, but a grid has 1 to 30"),
        ([[]], "row 0 has 0 cells"),
        ([[0]] * 31, "31 rows"),
        ([[0] * 31], "row 0 has 31 cells"),
        ([[0, 10]], r"cell \(0, 1\) is 10"),
        ([[0], [-1]], r"cell \(1, 0\) is -1"),
        ([[True]], r"cell \(0, 0\) is True"),
        ([[1.5]], r"cell \(0, 0\) is 1.5"),
        ([[0, float("nan")]], r"cell \(0, 1\) is nan"),
        ([[10.0]], r"cell \(0, 0\) is 10.0"),
        ([["1"]], r"cell \(0, 0\) is '1'"),
        ("12", "a grid is a list of rows, not str"),
        (None, "a grid is a list of rows, not NoneType"),
        ([1, 2], "row 0 is no list"),
        (["12"], "row 0 is no list"),
    ],
)
def test_a_bad_grid_is_named_by_task_pair_and_cell(grid: Any, sentence: str) -> None:
    record = {"train": [GOOD, {"input": grid, "output": [[1]]}], "test": [GOOD]}
    with pytest.raises(UserError, match=f"Task '0d3d703e' of toy, train pair 1, input: {sentence}"):
        parse(record)


def test_whole_numbers_may_be_written_as_fractions() -> None:
    task = parse({"train": [{"input": [[5.0, -0.0]], "output": np.array([[9.0]])}], "test": [GOOD]})
    assert task.train[0].input.tolist() == [[5, 0]] and task.train[0].output.tolist() == [[9]]
    assert task.train[0].input.dtype == np.uint8


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        ([], "has no list 'train'"),
        ({"train": []}, "has no demonstration pair"),
        ({"train": [GOOD]}, "has no test pair"),
        ({"train": 3}, "train pairs are not a list"),
        ({"train": [3]}, "train pair 0 has no 'input'"),
        ({"train": [{"input": [[1]]}]}, "train pair 0 has no 'output'"),
        ({"train": [GOOD, GOOD], "n_train": 2}, "a pool of 2 pairs needs 1 to 1"),
        ({"train": [GOOD, GOOD], "n_train": True}, "n_train is True"),
        ({"train": [GOOD, GOOD], "test": [GOOD], "n_train": 1}, "both test pairs and 'n_train'"),
    ],
)
def test_what_is_no_task_is_refused(record: Any, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        parse(record)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["train", "test", "input", "output", "n_train"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(json_values)
def test_any_json_is_a_task_or_a_sentence(value: Any) -> None:
    try:
        task = parse({"train": value} if not isinstance(value, dict) else value)
    except UserError as problem:
        assert "0d3d703e" in str(problem)
    else:
        assert task.train
