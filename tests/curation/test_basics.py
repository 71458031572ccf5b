"""Basics: every rule can be undone by a second way to compute it, and no pair occurs twice."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.arc.grids import Grid
from core.arc.tasks import Pair, Task
from core.curation.basics import (
    EVALUATION,
    EVALUATION_TASKS,
    LOSSY,
    REVERSIBLE,
    TRAINING,
    TRAINING_TASKS,
    make_basics,
)
from core.curation.leaks import find_leaks
from core.curation.sources import load_tasks, source_fingerprint
from core.errors import UserError
from core.importing.import_source import import_set
from core.mixing.demonstrations import pair_forms
from core.preflight.missing import needs_of
from tests.specs.tiny import spec_of
from tests.training.tiny import tiny_root

SEEDS = (0, 1, 7)

Undo = Callable[[Grid, int], Grid]
UNDONE: dict[str, Undo] = {
    "framed": lambda grid, _: grid[1:-1, 1:-1],
    "doubled": lambda grid, _: grid[::2, ::2],
    "stretched": lambda grid, _: grid[:, ::2],
    "repeated": lambda grid, _: grid[:, :3],
    "mirrored": lambda grid, _: grid[:, :3],
    "underlined": lambda grid, _: grid[:-1],
    "spaced": lambda grid, _: grid[::2, ::2],
    "rayed": lambda grid, _: np.pad(grid[:, :1], ((0, 0), (0, grid.shape[1] - 1))),
    **dict.fromkeys(("crossed", "ringed", "filled", "shadowed"), lambda grid, paint: grid * (grid != paint)),
}
"""The input of each rule from its output, and from the colour that the rule paints with."""


def painted(task: Task) -> int:
    """The colour that stands in every output and in no input of a task; 0 where there is none."""
    new = set(range(1, 10))
    for pair in task.pairs:
        assert pair.output is not None
        new &= set(pair.output.ravel().tolist()) - set(pair.input.ravel().tolist())
    return min(new, default=0)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_rule_follows_from_its_output(seed: int) -> None:
    tasks = make_basics(seed)
    looked_at = 0
    for task in [*tasks[TRAINING], *tasks[EVALUATION]]:
        name, *direction = task.task_id.split("-")
        if name in LOSSY:
            continue
        forwards = task.reverse() if direction[0] == "back" else task
        paint = painted(forwards)
        for pair in forwards.pairs:
            assert pair == Pair(UNDONE[name](pair.output, paint).astype(np.uint8), pair.output), task.task_id  # type: ignore[arg-type]
            looked_at += 1
    assert looked_at == 4 * (len(REVERSIBLE) * (TRAINING_TASKS + 2 * EVALUATION_TASKS))


@pytest.mark.parametrize("seed", SEEDS)
def test_grids_are_small_and_no_pair_occurs_twice(seed: int) -> None:
    tasks = make_basics(seed)
    every = [*tasks[TRAINING], *tasks[EVALUATION]]
    sides = [
        side
        for task in every
        for pair in task.pairs
        for grid in (pair.input, pair.output)
        for side in (grid.shape if grid is not None else ())
    ]
    assert min(sides) == 3 and max(sides) == 6
    assert {len(owners) for owners in pair_forms(every).values()} == {1}
    assert find_leaks(tasks[TRAINING], tasks[EVALUATION]) == []


def test_a_dozen_rules_are_evaluated_both_ways_and_trained_one_way() -> None:
    tasks = make_basics(0)
    assert len(REVERSIBLE) == 12
    assert len(tasks[TRAINING]) == (12 + len(LOSSY)) * TRAINING_TASKS
    backwards = [task for task in tasks[EVALUATION] if "-back-" in task.task_id]
    assert len(backwards) == len(tasks[EVALUATION]) / 2 == 12 * EVALUATION_TASKS
    assert not [task for task in tasks[TRAINING] if "-back-" in task.task_id]


def test_a_seed_makes_its_own_tasks_again_and_again() -> None:
    first, again, other = make_basics(3), make_basics(3), make_basics(4)
    assert first == again
    pairs = [pair_forms(made[TRAINING]).keys() for made in (first, other)]
    assert len(pairs[0] & pairs[1]) < len(pairs[0]) / 2
    assert not {t.task_id for t in first[TRAINING]} & {t.task_id for t in other[TRAINING]}


def test_they_are_imported_by_name_in_place_of_those_of_another_seed(tmp_path: Path) -> None:
    infos = import_set(tmp_path, "basics")
    assert [(info.source, info.tasks) for info in infos] == [(TRAINING, 112), (EVALUATION, 48)]
    assert list(load_tasks(tmp_path, TRAINING).values()) == sorted(
        make_basics(0)[TRAINING], key=lambda task: task.task_id
    )
    before = source_fingerprint(tmp_path, TRAINING)
    import_set(tmp_path, "basics", seed=5)
    assert source_fingerprint(tmp_path, TRAINING) != before
    with pytest.raises(UserError, match="Choose another name"):
        import_set(tmp_path, "basics", "somewhere.json")


def test_a_spec_that_needs_them_names_the_command_that_makes_them(tmp_path: Path) -> None:
    root = tiny_root(tmp_path)
    mixture = {"sources": [{"source": "reversed:basics/training"}]}
    spec = spec_of(root, variants={"plain": {"mixture": mixture}})
    assert ("data", "import", "basics") in [need.verb for need in needs_of(root, spec)]
