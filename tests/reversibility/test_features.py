"""Features of reversibility on tasks whose answer is known by construction."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given

from core.arc.grids import Grid
from core.arc.tasks import Pair, Task
from core.reversibility.features import FEATURES, features_of
from core.reversibility.information import (
    Pairs,
    conditional_entropy,
    edges,
    neighbourhoods,
    objects,
    told_by_neighbours,
)
from core.reversibility.suggestions import PRIOR
from tests.arc.strategies import tasks

NAMES = [feature.name for feature in FEATURES]


def random_grid(rng: np.random.Generator) -> Grid:
    """A black grid of 8 × 8 with some coloured rectangles."""
    grid = np.zeros((8, 8), dtype=np.uint8)
    for _ in range(4):
        y, x = rng.integers(0, 6, 2)
        height, width = rng.integers(1, 4, 2)
        grid[y : y + height, x : x + width] = rng.integers(1, 6)
    return grid


def task_of(rule: Callable[[Grid], Grid]) -> Task:
    rng = np.random.default_rng(3)
    grids = [random_grid(rng) for _ in range(4)]
    return Task("a", "toy", "a", tuple(Pair(grid, rule(grid)) for grid in grids), ())


def value(rule: Callable[[Grid], Grid], name: str) -> float:
    return float(features_of(task_of(rule))[NAMES.index(name)])


RULES: dict[str, tuple[Callable[[Grid], Grid], bool]] = {
    "turn": (lambda g: np.rot90(g).copy(), True),
    "recolour": (lambda g: ((g + 3) % 10).astype(np.uint8), True),
    "enlarge": (lambda g: np.kron(g, np.ones((2, 2), np.uint8)), True),
    "frame": (lambda g: np.pad(g, 1, constant_values=8), True),
    "mirror": (lambda g: np.concatenate([g, g[:, ::-1]], axis=1), True),
    "add a marked row": (lambda g: np.vstack([g, np.full((1, 8), 9, np.uint8)]), True),
    "blank": (lambda g: np.zeros_like(g), False),
    "corner": (lambda g: g[:2, :2].copy(), False),
    "count": (lambda g: np.full((1, 1), np.unique(g).size, np.uint8), False),
    "erase a half": (lambda g: np.where(np.arange(8) < 4, g, 0).astype(np.uint8), False),
    "one colour": (lambda g: (g > 0).astype(np.uint8), False),
    "fall": (lambda g: np.sort(g, axis=0), False),
}


@pytest.mark.parametrize("name", RULES)
def test_the_prior_knows_what_can_be_undone(name: str) -> None:
    rule, reversible = RULES[name]
    chance = float(PRIOR.probability(features_of(task_of(rule))))
    assert (chance > 0.5) == reversible, chance


def test_features_measure_what_their_descriptions_state() -> None:
    blank, corner, turn = (RULES[name][0] for name in ("blank", "corner", "turn"))
    assert value(blank, "same output") == 1
    assert value(turn, "same output") == 0
    assert value(corner, "cut out") == 1
    assert value(corner, "smaller") == pytest.approx(np.log2(64 / 4) / 4)
    assert value(RULES["enlarge"][0], "larger") == pytest.approx(0.5)
    assert value(RULES["frame"][0], "input inside") == 1
    assert value(turn, "rearranged") == 1
    assert value(turn, "cell entropy") == 0
    assert value(RULES["recolour"][0], "lost colours") == 0
    assert value(RULES["one colour"][0], "one way") > 0.3
    assert value(RULES["erase a half"][0], "erased") == 1
    assert value(corner, "guessed size") == 1


@given(tasks())
def test_any_task_has_features_within_bounds(task: Task) -> None:
    features = features_of(task)
    assert features.shape == (len(FEATURES),)
    assert np.isfinite(features).all()
    assert (abs(features) <= 1).all()


def test_a_task_without_answers_has_none() -> None:
    hidden = Task("a", "toy", "a", (Pair(np.ones((2, 2), np.uint8), None),), ())
    assert not features_of(hidden).any()


def test_conditional_entropy_agrees_with_its_definition() -> None:
    assert conditional_entropy(np.zeros((3, 3), dtype=np.int64)) == 0
    assert conditional_entropy(np.eye(3, dtype=np.int64)) == 0
    # Under column 0 two rows are equally likely (1 bit), under column 1 there is one; 4 of 6 in column 0.
    assert conditional_entropy(np.array([[2, 0], [2, 2]])) == pytest.approx(4 / 6)


def test_objects_and_edges_are_counted() -> None:
    grid = np.array([[1, 1, 0, 0], [0, 1, 0, 2], [3, 0, 0, 2], [0, 0, 0, 0]], dtype=np.uint8)
    found = sorted((colour, len(places)) for colour, places in objects(grid))
    assert found == [(1, 3), (2, 2), (3, 1)]
    assert edges(np.array([[1, 1, 0], [1, 0, 0]], dtype=np.uint8)) == 3
    assert all(feature.high for feature in FEATURES)


def test_neighbourhoods_tell_old_colours_only_from_other_pairs() -> None:
    rng = np.random.default_rng(4)
    grids = [random_grid(rng) for _ in range(3)]
    assert len(set(neighbourhoods(grids[0]).tolist())) == len(
        {
            np.pad(grids[0], 1, constant_values=10)[y : y + 3, x : x + 3].tobytes()
            for y in range(8)
            for x in range(8)
        }
    )

    def marked(grid: Grid) -> Grid:
        return np.where(grid == 0, 9, grid).astype(np.uint8)

    assert told_by_neighbours(Pairs([(g, marked(g)) for g in grids])) > 0.3
    assert told_by_neighbours(Pairs([(grids[0], marked(grids[0]))])) == 0
    assert told_by_neighbours(Pairs([(g, g) for g in grids])) == 0
