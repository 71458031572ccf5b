"""Textbook examples of other designs, each with the numbers that the book prints.

Blood counts of animals under two drugs and a control: Dunnett (1955), "A multiple comparison procedure for
comparing several treatments with a control"; the p-values are those of `scipy.stats.dunnett`'s documentation.

Penicillin yields of four treatments in five blends: Box, Hunter & Hunter, "Statistics for Experimenters",
chapter 4: mean squares 66.0 (blends), 23.3 (treatments), 18.8 (residual).

Coagulation times under four diets: the same, chapter 4: 24 animals, within diets 5.6 on 20 degrees of
freedom.

Etch rate at four powers: Montgomery, "Design and Analysis of Experiments", chapter 3: error mean square
333.70 on 16 degrees of freedom, all pairs of powers differ (Tukey, 33.09 at 5 %).

Strength of fabric from four looms: the same, random effects: looms 6.96, error 1.90.

Calcium in four turnip leaves: Snedecor & Cochran, "Statistical Methods", chapter 13: leaves .0724, error
.0066.

Hours of sleep gained with two drugs: Student (1908), paired: t = −4.0621, 9 degrees of freedom, p = .002833,
95 % interval −2.4599 to −.7001, as R's `sleep` prints.

Shares: Newcombe (1998), "Two-sided confidence intervals for the single proportion", table 1.
"""

import numpy as np
import pytest
from scipy import stats

from core.spread.companion_tests import paired_tasks
from core.spread.components import components, run_components
from core.spread.distributions import dunnett_tail
from core.spread.intervals import wilson
from core.spread.scopes import mean_squares
from core.spread.verdict import critical_elsewhere, judge

BLOOD = {
    "control": [7.40, 8.50, 7.20, 8.24, 9.84, 8.32],
    "A": [9.76, 8.80, 7.68, 9.36],
    "B": [12.80, 9.68, 12.16, 9.20, 10.55],
}
BLENDS = [[89, 88, 97, 94], [84, 77, 92, 79], [81, 87, 87, 85], [87, 92, 89, 84], [79, 81, 80, 88]]
DIETS = {
    "A": [62, 60, 63, 59],
    "B": [63, 67, 71, 64, 65, 66],
    "C": [68, 66, 71, 67, 68, 68],
    "D": [56, 62, 60, 61, 63, 64, 63, 59],
}
ETCH = {
    "160": [575, 542, 530, 539, 570],
    "180": [565, 593, 590, 579, 610],
    "200": [600, 651, 610, 637, 629],
    "220": [725, 700, 715, 685, 710],
}
LOOMS = [[98, 97, 99, 96], [91, 90, 93, 92], [96, 95, 97, 95], [95, 96, 99, 98]]
LEAVES = [
    [3.28, 3.09, 3.03, 3.03],
    [3.52, 3.48, 3.38, 3.38],
    [2.88, 2.80, 2.81, 2.76],
    [3.34, 3.38, 3.23, 3.26],
]
SLEEP = (
    [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0],
    [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4],
)


def test_dunnetts_blood_counts() -> None:
    """The tail is Dunnett's own; the verdict, for which a wider variant counts with its own variance, is no
    sharper and says the same."""
    sizes = {name: len(counts) for name, counts in BLOOD.items()}
    freedom = sum(sizes.values()) - 3
    pooled = sum(np.var(counts, ddof=1) * (len(counts) - 1) for counts in BLOOD.values()) / freedom
    table = judge(BLOOD, "control")
    assert table.std == pytest.approx(pooled**0.5) and table.freedom == freedom
    for name, printed, verdict in (("A", 0.62004941, "cannot tell"), ("B", 0.0059035, "better")):
        t = (np.mean(BLOOD[name]) - np.mean(BLOOD["control"])) / (
            pooled * (1 / sizes[name] + 1 / sizes["control"])
        ) ** 0.5
        shares = [sizes[one] / (sizes[one] + sizes["control"]) for one in ("A", "B")]
        assert float(dunnett_tail(abs(t), shares, freedom)) == pytest.approx(printed, abs=2e-4)
        found = table.between("control", name)
        assert found.verdict == verdict and found.p is not None and found.p >= printed - 2e-4


def test_penicillin_yields_of_treatments_in_blends() -> None:
    table = np.array(BLENDS, dtype=float)
    treatments, blends, rest = mean_squares(table)
    assert (blends, treatments, rest) == pytest.approx((66.0, 70 / 3, 226 / 12))
    found = components(table[:, None, :])
    assert found["training"].variance == pytest.approx((66 - 226 / 12) / 4)
    assert found["task"].variance == pytest.approx((70 / 3 - 226 / 12) / 5)
    assert found["task×training"].variance == pytest.approx(226 / 12)


def test_coagulation_times_of_diets() -> None:
    table = judge(DIETS, "A")
    assert table.means == pytest.approx({"A": 61, "B": 66, "C": 68, "D": 61})
    assert table.std is not None and (table.std**2, table.freedom) == (pytest.approx(5.6), 20)
    assert {name: table.between("A", name).verdict for name in "BCD"} == {
        "B": "better",
        "C": "better",
        "D": "cannot tell",
    }
    assert table.letters["A"] == table.letters["D"] != table.letters["C"] == table.letters["B"]


def test_etch_rates_all_differ() -> None:
    table = judge(ETCH, "160")
    assert table.std is not None and (table.std**2, table.freedom) == (pytest.approx(333.70), 16)
    tukey = stats.studentized_range.ppf(0.95, 4, 16) * (333.7 / 5) ** 0.5
    assert tukey == pytest.approx(33.09, abs=0.06)
    assert critical_elsewhere(4, 16, 0.9) == pytest.approx(tukey / (2 * 333.7 / 5) ** 0.5, rel=1e-6)
    assert all(table.between("160", name).verdict == "better" for name in ("180", "200", "220"))
    assert table.between("200", "220").verdict == "better"


@pytest.mark.parametrize(("groups", "between", "within"), [(LOOMS, 6.96, 1.90), (LEAVES, 0.0724, 0.0066)])
def test_looms_and_leaves(groups: list[list[float]], between: float, within: float) -> None:
    found = run_components(groups)
    assert found["training"].variance == pytest.approx(between, rel=0.003)
    assert found["evaluation"].variance == pytest.approx(within, rel=0.006)


def test_students_sleep() -> None:
    first, second = SLEEP
    found = paired_tasks(second, first)
    assert (found.p, found.low, found.high) == pytest.approx((0.002833, -2.4598858, -0.7001142), abs=1e-6)
    assert (found.wins, found.losses, found.ties) == (0, 9, 1)


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_newcombes_shares(hits: int, total: int, low: float, high: float) -> None:
    assert [float(end) for end in wilson(hits, total)] == pytest.approx([low, high], abs=6e-5)
