"""Where the spread comes from: published examples, the identity between tables, oracles, degenerate data."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.seeds import generator
from core.spread.components import (
    SOURCES,
    components,
    pooled,
    run_components,
    variance_interval,
)
from core.spread.crossed import shared_run_components
from core.spread.reml import reml
from core.spread.scopes import mean_squares
from tests.spread.simulations import by_run, crossed_scores, unhurried

# Davies & Goldsmith 1972: yield of dyestuff, 6 batches × 5 (R's lme4 calls it Dyestuff).
DYESTUFF = [
    [1545, 1440, 1440, 1520, 1580],
    [1540, 1555, 1490, 1560, 1495],
    [1595, 1550, 1605, 1510, 1560],
    [1445, 1440, 1595, 1465, 1545],
    [1595, 1630, 1515, 1635, 1625],
    [1520, 1455, 1450, 1480, 1445],
]
# Box & Tiao 1973: simulated, with less between batches than within explains (Dyestuff2).
DYESTUFF2 = [
    [7.298, 3.846, 2.434, 9.566, 7.990],
    [5.220, 6.556, 0.608, 11.788, -0.892],
    [0.110, 10.386, 13.434, 5.510, 8.166],
    [2.212, 4.852, 7.092, 9.288, 4.980],
    [0.282, 9.014, 4.458, 9.446, 7.198],
    [1.722, 4.782, 8.106, 0.758, 3.758],
]
CROSSED = [[[1, 2], [3, 5]], [[2, 2], [4, 3]], [[0, 1], [5, 6]]]


def variances(found: object) -> list[float | None]:
    return [part.variance for part in found.parts]  # type: ignore[attr-defined]


def test_dyestuff_by_moments_and_by_likelihood() -> None:
    found, likely = run_components(DYESTUFF), reml([DYESTUFF])
    assert found["training"].mean_square == pytest.approx(11271.5)
    assert found["evaluation"].mean_square == pytest.approx(2451.25)
    assert found["training"].variance == pytest.approx(1764.05)
    assert (found["training"].degrees_of_freedom, found["evaluation"].degrees_of_freedom) == (5, 24)
    assert np.sqrt([likely.training, likely.evaluation]) == pytest.approx([42.00, 49.51], abs=0.005)


def test_dyestuff2_keeps_its_negative_estimate() -> None:
    found, likely = run_components(DYESTUFF2), reml([DYESTUFF2])
    assert found["training"].mean_square == pytest.approx(8.336, abs=5e-4)
    assert found["evaluation"].mean_square == pytest.approx(14.946, abs=5e-4)
    assert found["training"].variance == pytest.approx(-1.3219, abs=5e-5)
    assert found["training"].sd == 0
    assert likely.training == 0
    assert likely.evaluation == pytest.approx(np.var(DYESTUFF2, ddof=1))


def test_crossed_cells_by_hand() -> None:
    found = components(by_run(CROSSED))
    squares = [part.mean_square for part in found.parts]
    assert squares == pytest.approx([0.0833, 27, 3.25, 0.6667, 0.6667], abs=5e-5)
    assert variances(found) == pytest.approx([-0.7917, 3.9583, 1.2917, 0, 0.6667], abs=5e-5)
    assert [part.degrees_of_freedom for part in found.parts] == [2, 1, 2, 2, 4]
    assert (found.tasks, found.trainings, found.evaluations, found.tasks_left_out) == (3, 2, 4, 0)


def test_sums_of_squares_agree_with_the_library() -> None:
    import pandas as pd
    import statsmodels.formula.api as smf
    from statsmodels.stats.anova import anova_lm

    cells = crossed_scores("oracle", 1, 3, 4, 2)[0].transpose(2, 0, 1)
    rows = [(t, r, e, cells[t, r, e]) for t, r, e in np.ndindex(cells.shape)]
    table = anova_lm(
        smf.ols(
            "y ~ C(t) + C(r) + C(t):C(r) + C(r):C(e)", pd.DataFrame(rows, columns=["t", "r", "e", "y"])
        ).fit()
    )
    expected = table.loc[["C(t)", "C(r)", "C(t):C(r)", "C(r):C(e)", "Residual"]]
    found = components(by_run(cells))
    assert [part.sum_of_squares for part in found.parts] == pytest.approx(expected["sum_sq"].to_list())
    assert [part.degrees_of_freedom for part in found.parts] == pytest.approx(expected["df"].to_list())


@pytest.mark.parametrize("counts", [(2, 2, 2), (3, 1, 4), (1, 1, 5)])
def test_the_run_table_and_the_cell_table_agree(counts: tuple[int, ...]) -> None:
    """evaluation of run means = evaluation + residual / T; training = training + task×training / T."""
    scores = crossed_scores("identity", 1, 3, 7, 5)[0]
    runs = [scores[run][:count] for run, count in enumerate(counts)]
    cells, table = components(runs), run_components(runs)
    by_name = {name: cells[name].variance or 0.0 for name in SOURCES}
    assert table["evaluation"].variance == pytest.approx(by_name["evaluation"] + by_name["residual"] / 7)
    assert table["training"].variance == pytest.approx(by_name["training"] + by_name["task×training"] / 7)
    assert table["training"].includes == ("task×training",)


def test_the_std_between_evaluations_of_one_run_holds_what_all_share_and_what_they_do_not() -> None:
    """σ² between evaluations of a run = σ²_evaluation + σ²_training×evaluation, in 2,000 simulated tables."""
    rng, shape = generator(0, "between evaluations"), (2000, 4, 3, 1)
    common = 0.3 * rng.normal(size=(2000, 1, 3, 1))
    scores = rng.normal(size=(2000, 4, 1, 1)) + common + 0.4 * rng.normal(size=shape)
    found = [shared_run_components(list(table)).sd_between_evaluations or 0.0 for table in scores]
    assert np.mean(np.square(found)) == pytest.approx(0.3**2 + 0.4**2, rel=0.04)
    assert all(
        (run_components(list(table)).sd_between_evaluations or 0.0) ** 2
        == pytest.approx(table[..., 0].var(axis=1, ddof=1).mean())
        for table in scores[:20]
    )


def test_estimates_are_unbiased_for_unequal_evaluations() -> None:
    truth = {
        "sd_task": 1.0,
        "sd_training": 0.5,
        "sd_interplay": 0.8,
        "sd_evaluation": 0.4,
        "sd_residual": 0.6,
    }
    data = crossed_scores("unbiased", 2000, 4, 5, 4, **truth)
    found = [variances(components([one[0][:1], one[1][:2], one[2][:4], one[3][:1]])) for one in data]
    expected = np.square([1.0, 0.5, 0.8, 0.4, 0.6])
    error = np.std(found, axis=0) / np.sqrt(len(found))
    assert (np.abs(np.mean(found, axis=0) - expected) < 4 * error).all()
    assert (error < 0.05).all()


def test_one_evaluation_per_training_names_the_sources_it_cannot_separate() -> None:
    found = components(by_run([[[1.0], [3.0]], [[2.0], [4.5]], [[0.0], [5.0]]]))
    assert variances(found)[3:] == [None, None]
    assert found["training"].includes == ("evaluation",)
    assert found["task×training"].includes == ("residual",)
    squares = mean_squares(np.array([[1, 2, 0], [3, 4.5, 5]]))
    assert [found[name].mean_square for name in SOURCES[:3]] == pytest.approx(squares)
    assert found["training"].variance == pytest.approx((squares[1] - squares[2]) / 3)


def test_one_training_and_one_task_and_one_value() -> None:
    training = components(by_run([[[1.0, 2.0]], [[3.0, 5.0]]]))
    assert (training["training"].variance, training["task×training"].variance) == (None, None)
    assert training["task"].includes == ("task×training",)
    assert training["residual"].variance is not None
    single = components(by_run([[[1.0], [2.0], [4.0]]]))
    assert single["training"].variance == pytest.approx(7 / 3)
    assert single["training"].includes == ("task×training", "evaluation", "residual")
    alone = run_components([[0.5]])
    assert variances(alone) == [None] * 5 and alone["training"].sd is None


def test_no_spread_is_zero_and_no_data_is_an_error() -> None:
    assert set(variances(components(by_run(np.full((3, 2, 2), 0.1))))) == {0.0}
    with pytest.raises(ValueError, match="no known scores"):
        run_components([])
    with pytest.raises(ValueError, match="every task"):
        components(by_run([[[np.nan, 1.0]], [[1.0, np.nan]]]))


def test_unknown_cells_cost_a_task_and_padding_costs_nothing() -> None:
    cells = np.array(CROSSED, dtype=float)
    partly = np.concatenate([cells, [[[np.nan, 1], [2, 3]]]])
    found = components(by_run(partly))
    assert found.tasks_left_out == 1
    assert variances(found) == pytest.approx(variances(components(by_run(CROSSED))))
    padded = np.concatenate([cells, np.full((3, 2, 1), np.nan)], axis=2)
    assert components(by_run(padded)) == components(by_run(CROSSED))


def test_pooling_variants_is_the_analysis_within_variants() -> None:
    data = crossed_scores("pooled", 1, 4, 5, 2)[0]
    one = components(data)
    assert variances(pooled([one, components(data + 10)])) == pytest.approx(variances(one))
    both = pooled([components(data), components(data[:2, :1] + 3)])
    assert both["training"].degrees_of_freedom == 4
    assert (both.trainings, both.evaluations) == (6, 10)
    assert pooled([run_components([[1.0], [2.0]]), run_components([[7.0]])])["training"].variance == 0.5


def test_likelihood_equals_moments_on_balanced_data_and_the_library_on_any() -> None:
    import statsmodels.api as sm

    scores = crossed_scores("reml", 1, 5, 1, 4, sd_training=2.0)[0, :, :, 0]
    balanced, likely = run_components(scores), reml([scores])
    assert likely.training == pytest.approx(balanced["training"].variance, rel=1e-5)
    assert likely.evaluation == pytest.approx(balanced["evaluation"].variance, rel=1e-5)
    ragged = [run[: 1 + place % 4] for place, run in enumerate(scores)]
    runs = np.repeat(np.arange(5), [len(run) for run in ragged])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = sm.MixedLM(np.concatenate(ragged), np.ones(runs.size), groups=runs).fit(reml=True)
    likely = reml([ragged])
    assert likely.training == pytest.approx(float(fit.cov_re[0, 0]), rel=1e-3)
    assert likely.evaluation == pytest.approx(float(fit.scale), rel=1e-3)


def test_likelihood_without_replication_without_runs_and_without_noise() -> None:
    assert (reml([[[1.0], [2.0]]]).training, reml([[[1.0], [2.0]]]).evaluation) == (None, None)
    single = reml([[[1.0, 2.0, 3.0]]])
    assert (single.training, single.evaluation) == (None, 1)
    noiseless = reml([[[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]])
    assert (noiseless.training, noiseless.evaluation) == (1, 0)
    assert reml([[[2.0, 2.0], [2.0, 2.0]]]).training == 0


def test_the_interval_of_a_variance_covers_it() -> None:
    low, high = variance_interval(4.0, 10)
    assert (low, high) == pytest.approx((40 / 20.4832, 40 / 3.24697), rel=1e-5)
    found = [run_components(one[:, :, 0])["evaluation"] for one in crossed_scores("chi", 600, 2, 1, 4)]
    ends = [variance_interval(part.mean_square or 0, part.degrees_of_freedom) for part in found]
    hits = [low <= 0.25 <= high for low, high in ends]
    assert 0.92 <= np.mean(hits) <= 0.98


@unhurried
@given(st.integers(0, 2**32), st.floats(0.1, 10))
def test_components_ignore_order_and_shift_and_follow_scale(seed: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    cells = rng.normal(size=(4, 3, 2))
    mixed = cells[rng.permutation(4)][:, rng.permutation(3)][:, :, rng.permutation(2)]
    expected = [factor**2 * (v or 0) for v in variances(components(by_run(cells)))]
    assert variances(components(by_run(7 + factor * mixed))) == pytest.approx(expected, rel=1e-6, abs=1e-9)
