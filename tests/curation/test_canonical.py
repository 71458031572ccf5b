"""Canonical forms agree exactly with what a person would call the same pair."""

from itertools import permutations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from core.arc.tasks import Pair, Task
from core.arc.views import View, apply_symmetry
from core.curation.canonical import bits, canonical_pair, colour_counts, is_own_reversal, signatures
from tests.arc.strategies import grids, pairs, views


def form(pair: Pair) -> bytes:
    assert pair.output is not None
    return canonical_pair(pair.input, pair.output)


def signature(pair: Pair) -> bytes:
    assert pair.output is not None
    return signatures([pair], colour_counts([pair.input]), colour_counts([pair.output]))[0]


def seen(view: View, pair: Pair) -> Pair:
    return view.apply(Task("a", "toy", "a", (pair,), ())).train[0]


@given(pairs(), st.data())
def test_a_view_changes_neither_form_nor_signature_nor_bits(pair: Pair, data: st.DataObject) -> None:
    other = seen(data.draw(views(1)), pair)
    assert form(other) == form(pair)
    assert signature(other) == signature(pair)
    assert other.output is not None
    assert pair.output is not None
    counts = [colour_counts([grid])[0] for grid in (pair.input, pair.output, other.input, other.output)]
    assert abs(bits(counts[0], counts[1]) - bits(counts[2], counts[3])) < 1e-9


small = grids(2).map(lambda grid: grid % 3)


@given(small, small, small, small)
def test_equal_forms_mean_that_a_view_exists(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray
) -> None:
    """By brute force over all views with three colours: forms are equal where, and only where, one fits."""
    exists = any(
        np.array_equal(np.array(colours, dtype=np.uint8)[apply_symmetry(symmetry, a)], c)
        and np.array_equal(np.array(colours, dtype=np.uint8)[apply_symmetry(symmetry, b)], d)
        for symmetry in range(8)
        for colours in permutations(range(3))
    )
    assert (canonical_pair(a, b) == canonical_pair(c, d)) == exists


def test_signatures_of_many_pairs_are_those_of_each() -> None:
    rng = np.random.default_rng(0)
    many = [
        Pair(*(rng.integers(0, 10, rng.integers(1, 9, 2), dtype=np.uint8) for _ in range(2)))
        for _ in range(5000)
    ]
    together = signatures(
        many, colour_counts([p.input for p in many]), colour_counts([p.output for p in many])
    )
    chosen = range(0, 5000, 250)
    assert [together[i] for i in chosen] == [signature(many[i]) for i in chosen]
    assert len(set(together)) > 4500


def test_a_trivial_pair_has_no_bits() -> None:
    def of(a: list[list[int]], b: list[list[int]]) -> float:
        one, other = (colour_counts([np.array(grid, dtype=np.uint8)])[0] for grid in (a, b))
        return bits(one, other)

    assert of([[3] * 10] * 10, [[3] * 20] * 20) == 0
    assert of([[1, 2], [3, 4]], [[1]]) == 0
    # 2 of 16 cells marked in both grids: C(16, 2)² = 14,400 ways, less 2! colours and 8 symmetries.
    marked = [[1, 1, 0, 0], *[[0] * 4] * 3]
    assert abs(of(marked, marked) - np.log2(120 * 120 / 2 / 8)) < 1e-9


def test_a_transposition_is_its_own_reversal_and_an_upscaling_is_not() -> None:
    grid = np.array([[1, 2, 3], [0, 0, 4]], dtype=np.uint8)
    flip = Task("a", "toy", "a", (Pair(grid, grid.T.copy()), Pair(grid[:1], grid[:1].T.copy())), ())
    assert is_own_reversal(flip)
    larger = Task("b", "toy", "b", (Pair(grid, np.kron(grid, np.ones((2, 2), np.uint8))),), ())
    assert not is_own_reversal(larger)
    swapped = Task("c", "toy", "c", (Pair(grid, np.where(grid == 4, 5, grid).astype(np.uint8)),), ())
    assert is_own_reversal(swapped)
