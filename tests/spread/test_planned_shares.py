"""Plans from counts: what is said to be found in 4 of 5 cases, against drawn pilots and tables of such tasks.

`python -m tests.spread.test_planned_shares` prints the whole table of docs/statistics.md.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from core.seeds import generator
from core.spread.judging_variance import Resolution, freedom_of_counts, judged_variances
from core.spread.planning import detectable_difference, power, runs_needed, std_interval
from core.spread.power_simulation import RunNoise
from core.spread.verdict import critical_against

RATES, TASKS, RUNS, VARIANTS = (0.005, 0.02, 0.05, 0.2, 0.5), (29, 400), (2, 3, 5), (2, 6)
KINDS = {"independent": 1.0, "3 times the noise": 3.0}


def counts(
    rng: np.random.Generator, rate: float, tasks: int, times: float, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """Shares of solved tasks, independent of each other, or with so many times that variance between runs."""
    chance: object = rate
    if times > 1:
        size = (tasks - 1) / (times - 1) - 1
        chance = rng.beta(rate * size, (1 - rate) * size, shape)
    return np.asarray(rng.binomial(tasks, chance, shape) / tasks)


def truly_found(
    difference: float, rate: float, tasks: int, runs: int, variants: int, times: float, tables: int
) -> float:
    """The share of drawn tables in which the verdict finds it; NaN where the scale has no room for it."""
    rng = generator(1, "plans", runs, variants)
    if rate + difference > 1:
        return float("nan")
    drawn = counts(rng, rate, tasks, times, (tables, variants, runs))
    drawn[:, -1] = counts(rng, rate + difference, tasks, times, (tables, runs))
    means, own, sizes = drawn.mean(axis=2), drawn.var(axis=2, ddof=1), np.full(variants, runs)
    judged = judged_variances(means, own, sizes, Resolution(1 / tasks)) / runs
    critical = critical_against(sizes.tolist(), 0, float(variants * (runs - 1)), 0.95)
    return float(np.mean(means[:, -1] - means[:, 0] > critical * np.sqrt(judged[:, 0] + judged[:, -1])))


def kept(
    rate: float, tasks: int, runs: int, variants: int, times: float, pilots: int, tables: int
) -> tuple[float, float]:
    """How often what pilots planned is found, on average over pilots that plan, and the share that refuses:
    all runs equal, or no room on the scale."""
    rng = generator(2, "plans", runs, variants)

    @cache
    def of_pilot(mean: float, variance: float) -> float:
        freedom = freedom_of_counts(variants * (runs - 1.0), runs, mean, 1 / tasks)
        noise = RunNoise(variance**0.5, freedom, 1 / tasks, mean, variants * runs, counted=True)
        planned = detectable_difference(noise, runs, variants) if variance > 0 else None
        return (
            float("nan")
            if planned is None
            else truly_found(planned, rate, tasks, runs, variants, times, tables)
        )

    drawn = counts(rng, rate, tasks, times, (pilots, variants, runs))
    found = [
        of_pilot(round(float(pilot.mean()), 9), round(float(pilot.var(axis=1, ddof=1).mean()), 12))
        for pilot in drawn
    ]
    planned = np.array(found)[~np.isnan(found)]
    return float(planned.mean()) if planned.size else float("nan"), 1 - planned.size / pilots


@pytest.mark.parametrize(
    ("rate", "runs", "variants"), [(0.005, 3, 2), (0.02, 2, 2), (0.02, 3, 6), (0.05, 2, 6), (0.2, 3, 2)]
)
def test_what_few_counts_plan_is_found_as_often_as_they_say(rate: float, runs: int, variants: int) -> None:
    share, _ = kept(rate, 29, runs, variants, 1.0, pilots=50, tables=300)
    assert 0.76 <= share <= 0.98


def test_a_rate_that_is_known_gives_the_power_of_drawn_tables() -> None:
    for rate, tasks, runs, variants, difference in ((0.02, 29, 3, 2, 0.15), (0.2, 400, 2, 6, 0.1)):
        noise = RunNoise((rate * (1 - rate) / tasks) ** 0.5, step=1 / tasks, mean=rate)
        drawn = truly_found(difference, rate, tasks, runs, variants, 1.0, 4000)
        assert power(difference, noise, runs, variants) == pytest.approx(drawn, abs=0.04)


def test_a_share_with_little_noise_plans_as_any_other_score() -> None:
    share, plain = RunNoise(0.002, 12, None, 0.4, 18), RunNoise(0.002, 12)
    assert detectable_difference(share, 3, 6) == pytest.approx(detectable_difference(plain, 3, 6), rel=0.04)


def test_the_scale_may_have_no_room_and_enough_runs_make_some() -> None:
    noise = RunNoise(0.3, 2, 1 / 29, 0.5, 4, counted=True)
    assert detectable_difference(noise, 2, 2) is None
    found = runs_needed(0.3, noise) or 0
    assert (power(0.3, noise, found) or 0) >= 0.8 > (power(0.3, noise, found // 2) or 0)


@pytest.mark.parametrize(("rate", "runs", "variants"), [(0.005, 10, 2), (0.02, 5, 6), (0.2, 3, 2)])
def test_the_std_of_counts_lies_in_the_interval_that_is_said(rate: float, runs: int, variants: int) -> None:
    """As in "4 degrees of freedom leave 2 to 8 possible"."""
    drawn = counts(generator(3, "plans"), rate, 29, 1.0, (1500, variants, runs))
    held = []
    for pilot in drawn[drawn.var(axis=2).sum(axis=1) > 0]:
        freedom = freedom_of_counts(variants * (runs - 1.0), runs, float(pilot.mean()), 1 / 29)
        low, high = std_interval(float(pilot.var(axis=1, ddof=1).mean()) ** 0.5, freedom)
        assert low is not None and high is not None
        held.append(low <= (rate * (1 - rate) / 29) ** 0.5 <= high)
    assert len(held) > 900 and np.mean(held) >= 0.93


def rows(pilots: int = 100, tables: int = 1000) -> Iterator[str]:
    """Lines of the table: per rate and number of tasks, every number of runs and variants."""
    for kind, times in KINDS.items():
        for tasks in TASKS:
            for rate in RATES:
                cells = [kept(rate, tasks, runs, v, times, pilots, tables) for v in VARIANTS for runs in RUNS]
                texts = " | ".join(f"{share:.2f} ({refused:.2f})" for share, refused in cells)
                yield f"| {kind} | {tasks} | {100 * rate:g} % | {texts} |"


if __name__ == "__main__":
    for row in rows():
        print(row, flush=True)
