"""What sentences of Results, Compare, Launch, `plan` and `spread` say in numbers, against draws of the same
designs that share no code with them."""

import numpy as np
import pytest
from scipy import stats

from core.results.noise import Noise
from core.seeds import generator
from core.spread.components import run_components
from core.spread.interim_looks import alarms_over_looks
from core.spread.intervals import summarize, wilson
from core.spread.judging_variance import BorrowedNoise, Resolution
from core.spread.planning import detectable_difference, noise_interval, std_interval
from core.spread.power_simulation import RunNoise
from core.spread.scope_verdicts import compare_scope, comparisons_beside
from core.spread.scopes import summarize_scope
from core.spread.verdict import judge


def test_two_runs_reach_nine_standard_deviations() -> None:
    found = summarize([0.0, 1.0])
    assert found.std is not None and found.high is not None
    assert (found.high - found.mean) / found.std == pytest.approx(9, abs=0.05)


def test_looks_add_up_as_the_page_says() -> None:
    """By Student's test of two variants, which the verdict is, or nearly, where there are no others."""
    looks = (3, 5, 10)
    tables = generator(1, "sentences").normal(size=(2000, 2, 10))
    shown = np.zeros(2000, dtype=bool)
    for count in looks:
        shown |= stats.ttest_ind(tables[:, 0, :count], tables[:, 1, :count], axis=1).pvalue < 0.05
    said = alarms_over_looks([(count, count) for count in looks])[-1]
    assert float(shown.mean()) - 0.04 <= said <= float(shown.mean()) + 0.02


def test_looks_at_a_variant_that_alone_gets_runs_add_up() -> None:
    """Three variants with two runs each, then one of them with three, four, and so on to ten."""
    looks = [(2, 2, count) for count in range(2, 11)]
    rng, alarmed, first = generator(9, "sentences"), 0, 0
    for scores in rng.normal(size=(600, 3, 10)):
        found = []
        for look in looks:
            table = {
                name: scores[place, :size] for place, (name, size) in enumerate(zip("abc", look, strict=True))
            }
            verdicts = judge(table, "a", resolution=Resolution(None, share=False))
            found.append(any(verdicts.between("a", one).verdict != "cannot tell" for one in "bc"))
        alarmed, first = alarmed + any(found), first + found[0]
    said = alarms_over_looks(looks)
    assert said[0] == pytest.approx(first / 600, abs=0.025)
    assert said[-1] == pytest.approx(alarmed / 600, abs=0.03) and said[-1] > said[0] + 0.01


@pytest.mark.parametrize(("baseline", "others", "most"), [(4, 4, 0.055), (10, 2, 0.21), (2, 10, 0.13)])
def test_tables_at_other_scopes_show_as_many_false_differences_as_they_say(
    baseline: int, others: int, most: float
) -> None:
    """Six variants of one training each, evaluated so often, and nothing differs."""
    rng, variants, tables = generator(10, "sentences"), 6, 400
    beside = comparisons_beside(variants - 1, with_baseline=True)
    false = 0
    for _ in range(tables):
        held = [rng.normal(size=baseline)]
        compared = (
            compare_scope(held, [rng.normal(size=others)], "checkpoint", comparisons=beside)
            for _ in range(variants - 1)
        )
        false += any(one.verdict != "cannot tell" for one in list(compared))
    assert false / tables <= most


def test_the_detectable_difference_lies_between_the_ends_that_are_said() -> None:
    """As in "… of 3 points is found in 4 of 5 cases (2 to 8, as 4 degrees of freedom tell the noise)"."""
    rng, runs, variants = generator(2, "sentences"), 3, 2
    true = detectable_difference(RunNoise(1.0), runs, variants) or 0
    stds = np.sqrt(rng.normal(size=(2000, variants, runs)).var(axis=2, ddof=1).mean(axis=1))
    hits = []
    for std in stds[:500].tolist():
        ends = [
            detectable_difference(end, runs, variants) or 0
            for end in noise_interval(RunNoise(std, variants * (runs - 1)))
            if end is not None
        ]
        hits.append(ends[0] <= true <= ends[1])
    assert 0.92 <= np.mean(hits) <= 0.98


def test_common_views_save_the_evaluations_that_are_said() -> None:
    noise = Noise(
        evaluation=float(np.hypot(0.4, 0.2)), training=0.1, tasks=None, common=True, own=0.2, evaluations=2
    )
    saved = noise.saved
    assert saved == pytest.approx(10)
    rng, repeats = generator(3, "sentences"), 20_000
    common = rng.normal(size=(repeats, 1, 2)) * 0.4 + rng.normal(size=(repeats, 2, 2)) * 0.2
    apart = rng.normal(size=(repeats, 2, 10)) * np.hypot(0.4, 0.2)
    spreads = [np.diff(runs.mean(axis=2), axis=1).std() for runs in (common, apart)]
    assert spreads[0] == pytest.approx(spreads[1], rel=0.03)


def test_the_share_of_tasks_won_is_covered() -> None:
    rng = generator(4, "sentences")
    for share, tasks in ((0.5, 12), (0.8, 30), (0.95, 20)):
        wins = rng.binomial(tasks, share, size=4000)
        low, high = wilson(wins, tasks)
        assert np.mean((low <= share) & (share <= high)) >= 0.915


def test_the_checkpoint_scope_covers_seeds_that_all_runs_share() -> None:
    """A mean, and a difference paired seed by seed, over new evaluations of the same models."""
    rng, repeats, runs, seeds = generator(5, "sentences"), 600, 3, 4
    levels = rng.normal(size=(repeats, 2, runs, 1))
    views = 0.5 * rng.normal(size=(repeats, 1, 1, seeds))
    drawn = levels + views + 0.3 * rng.normal(size=(repeats, 2, runs, seeds))
    truth = levels.mean(axis=(2, 3))
    means, differences = [], []
    for scores, (a, b) in zip(drawn, truth, strict=True):
        mean = summarize_scope(scores[0], "checkpoint", shared=True)
        change = compare_scope(scores[0], scores[1], "checkpoint", shared=True)
        assert mean.low is not None and mean.high is not None
        assert change.low is not None and change.high is not None
        means.append(mean.low <= a <= mean.high)
        differences.append(change.low <= b - a <= change.high)
    assert 0.92 <= np.mean(means) <= 0.98 and 0.92 <= np.mean(differences) <= 0.98


def test_single_runs_with_borrowed_noise_raise_few_alarms() -> None:
    rng, names = generator(6, "sentences"), ["a", "b", "c", "d"]
    alarms = []
    for _ in range(200):
        lent = BorrowedNoise(float(rng.chisquare(8) / 8), 8)
        table = judge({name: rng.normal(size=1) for name in names}, "a", borrowed=lent)
        alarms.append(any(table.between("a", name).verdict != "cannot tell" for name in names[1:]))
    assert np.mean(alarms) <= 0.09


def test_the_training_std_is_at_most_what_is_written() -> None:
    """As in "Noise: training ≈ 0 (at most 3)": an upper end, whatever the evaluations add to it."""
    rng, held = generator(7, "sentences"), []
    for scores in 0.5 * rng.normal(size=(500, 3, 1)) + rng.normal(size=(500, 3, 2)):
        part = run_components(scores)["training"]
        high = std_interval(((part.mean_square or 0) / 2) ** 0.5, part.degrees_of_freedom)[1]
        held.append(high is not None and high >= 0.5)
    assert np.mean(held) >= 0.95
