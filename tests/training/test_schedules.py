"""The learning rate over a training."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.settings import validated
from core.training.schedules import learning_rate_at
from core.training.settings import TrainingSettings


def rates(**changes: object) -> list[float]:
    values = {"steps": 10, "learning_rate": 1.0, "warmup_share": 0.2, "final_share": 0.1} | changes
    settings = validated(TrainingSettings, values, "training")
    return [learning_rate_at(step, settings) for step in range(settings.steps)]


def test_the_learning_rate_warms_up_and_falls_to_its_share() -> None:
    assert rates(schedule="constant") == [0.5, 1.0] + [1.0] * 8
    assert rates(schedule="linear") == pytest.approx([0.5, 1.0, *(1 - 0.9 * n / 7 for n in range(8))])
    cosine = [0.1 + 0.9 * (1 + math.cos(math.pi * n / 7)) / 2 for n in range(8)]
    assert rates(schedule="cosine") == pytest.approx([0.5, 1.0, *cosine])
    falling = [1 - 0.9 * n / 3 for n in range(4)]
    assert rates(schedule="wsd", decay_share=0.4) == pytest.approx([0.5, *[1.0] * 5, *falling])


def test_until_it_decays_wsd_is_the_same_for_any_number_of_steps() -> None:
    short = rates(schedule="wsd", steps=20, warmup_share=0.1)
    long = rates(schedule="wsd", steps=40, warmup_share=0.05)
    assert short[:16] == long[:16] and len(set(short[:16])) == 2
    assert short[17] < long[17]


def test_a_cosine_restarts_at_the_highest_rate_and_ends_each_cycle_at_its_share() -> None:
    once = [0.1 + 0.9 * (1 + math.cos(math.pi * n / 3)) / 2 for n in range(4)]
    assert rates(schedule="cosine_restarts", cycles=2) == pytest.approx([0.5, 1.0, *once, *once])
    assert rates(schedule="cosine_restarts", cycles=1) == rates(schedule="cosine")
    uneven = rates(schedule="cosine_restarts", cycles=3, warmup_share=0)
    assert [n for n, rate in enumerate(uneven) if rate == 1] == [0, 3, 6]
    assert [n for n, rate in enumerate(uneven) if rate == pytest.approx(0.1)] == [2, 5, 9]


def test_a_cyclic_rate_climbs_and_falls_in_even_steps() -> None:
    found = rates(schedule="cyclic", cycles=2, steps=9, warmup_share=0)
    assert found == pytest.approx([0.1, 0.55, 1, 0.55, 0.1, 0.55, 1, 0.55, 0.1])
    assert max(rates(schedule="cyclic", cycles=50)) <= 1, "more cycles than steps"
    assert len(rates(schedule="cosine_restarts", cycles=50)) == 10


@given(
    st.integers(1, 200),
    st.sampled_from(["constant", "linear", "cosine", "wsd"]),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_the_learning_rate_never_leaves_its_bounds(
    steps: int, schedule: str, warmup: float, final: float
) -> None:
    found = rates(steps=steps, schedule=schedule, warmup_share=warmup, final_share=final)
    assert all(0 <= rate <= 1 + 1e-12 for rate in found)
    highest = found.index(max(found))
    assert all(b <= a + 1e-12 for a, b in zip(found[highest:], found[highest + 1 :], strict=False))
