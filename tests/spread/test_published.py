"""Published examples that the formulas were not made from, each with where its numbers are printed.

Penicillin: six samples on each of 24 plates, diameters in mm (Davies & Goldsmith 1972, section 6.6; the data
frame of R's lme4). lme4 prints plate 0.8467, sample 1.9316 and residual 0.5499 as REML stds, which for a
balanced design are those of the analysis of variance: J. Rosenberg, "Comparing crossed effects models",
bookdown.org/jmichaelrosenberg/comparing_crossed_effects_models.

Dyestuff: yields of five preparations from each of six batches (Davies & Goldsmith 1972, section 6.4; also
lme4's). Data: D. Bates, github.com/dmbates/slides, 2014-10-01-Ithaca, "lmm Examples". REML by MixedModels.jl
and lme4: batch 1764.05 (std 42.001), residual 2451.25 (std 49.510), mean 1527.5, standard error 19.383.

Welch: the three examples of Wikipedia's "Welch's t-test", the first with the further digits that tests of
several libraries repeat.

Ticks: widths of larvae's scuta from four rabbits, unequal in number (Sokal & Rohlf, "Biometry", box 9.1); the
book was not at hand, so a library's analysis of variance is the oracle.
"""

import numpy as np
import pytest

from core.spread.components import components, run_components
from core.spread.intervals import summarize
from core.spread.reml import reml
from core.spread.scope_verdicts import compare_scope

DIAMETERS = """
27 23 26 23 23 21  27 23 26 23 23 21  25 21 25 24 24 20  26 23 25 23 23 20  25 22 26 22 23 20
24 22 25 23 22 19  24 20 23 21 22 19  26 22 26 24 24 21  24 21 24 22 22 20  24 21 24 23 22 19
26 23 26 24 24 21  25 22 26 24 24 20  26 24 26 24 25 22  26 23 26 23 23 20  26 23 25 24 24 22
25 22 25 23 23 20  25 21 24 23 23 20  25 22 24 23 23 19  24 21 23 21 21 19  26 23 26 24 24 21
25 21 24 22 22 18  25 22 25 22 22 20  24 21 24 22 24 19  24 21 24 22 21 18
"""


YIELDS = [
    [1545, 1440, 1440, 1520, 1580],
    [1540, 1555, 1490, 1560, 1495],
    [1595, 1550, 1605, 1510, 1560],
    [1445, 1440, 1595, 1465, 1545],
    [1595, 1630, 1515, 1635, 1625],
    [1520, 1455, 1450, 1480, 1445],
]
WIDTHS = [
    [380, 376, 360, 368, 372, 366, 374, 382],
    [350, 356, 358, 376, 338, 342, 366, 350, 344, 364],
    [354, 360, 362, 352, 366, 372, 362, 344, 342, 358, 351, 348, 348],
    [376, 344, 342, 372, 374, 360],
]
WELCH = {  # t, degrees of freedom, p
    "equal sizes": (
        "27.5 21.0 19.0 23.6 17.0 17.9 16.9 20.1 21.9 22.6 23.1 19.6 19.0 21.7 21.4",
        "27.1 22.0 20.8 23.4 23.4 23.5 25.8 22.0 24.8 20.2 21.9 22.1 22.9 20.5 24.4",
        (-2.4553563983, 24.9885292902, 0.0213780015),
    ),
    "fewer in the wider": (
        "17.2 20.9 22.6 18.1 21.7 21.4 23.5 24.2 14.7 21.8",
        "21.5 22.8 21.0 23.0 21.6 23.6 22.5 20.7 23.4 21.8 20.7 21.7 21.5 22.5 23.6 21.5 22.5 23.5 21.5 21.8",
        (-1.57, 9.9, 0.149),
    ),
    "more in the wider": (
        "19.8 20.4 19.6 17.8 18.5 18.9 18.3 18.9 19.5 22.0",
        "28.2 26.6 20.1 23.3 25.2 22.1 17.7 27.6 20.6 13.7 23.2 17.5 20.6 18.0 23.9 21.6 24.3 20.4 24.0 13.2",
        (-2.22, 24.5, 0.036),
    ),
}


def test_dyestuff_preparations_within_batches() -> None:
    found, likely = run_components(YIELDS), reml([YIELDS])
    assert found["training"].variance == pytest.approx(1764.05)
    assert found["evaluation"].variance == pytest.approx(2451.25)
    assert (likely.training, likely.evaluation) == pytest.approx((1764.05, 2451.25), rel=1e-5)
    over_batches = summarize(np.mean(YIELDS, axis=1))
    assert over_batches.mean == 1527.5 and over_batches.std is not None
    assert over_batches.std / 6**0.5 == pytest.approx(19.383, abs=5e-4)


def test_ticks_of_unequal_litters() -> None:
    import pandas as pd
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    found = run_components(WIDTHS)
    rabbits = np.repeat(["a", "b", "c", "d"], [len(ticks) for ticks in WIDTHS])
    frame = pd.DataFrame({"rabbit": rabbits, "width": np.concatenate(WIDTHS)})
    between, within = anova_lm(ols("width ~ C(rabbit)", frame).fit())["mean_sq"]
    usual = (37 - (8**2 + 10**2 + 13**2 + 6**2) / 37) / 3
    assert found["evaluation"].variance == pytest.approx(within)
    assert found["training"].variance == pytest.approx((between - within) / usual)


@pytest.mark.parametrize("example", WELCH)
def test_welch(example: str) -> None:
    first, second, (t, freedom, p) = WELCH[example]
    a, b = (np.array(numbers.split(), dtype=float) for numbers in (first, second))
    found = compare_scope([b], [a], "checkpoint")
    digits = 1e-9 if abs(t) > 2.4 else 0.06
    assert found.degrees_of_freedom == pytest.approx(freedom, abs=digits)
    assert found.p == pytest.approx(p, abs=1e-9 if abs(t) > 2.4 else 6e-4)
    error = np.sqrt(a.var(ddof=1) / a.size + b.var(ddof=1) / b.size)
    assert found.difference / error == pytest.approx(t, abs=1e-9 if abs(t) > 2.4 else 6e-3)


def test_penicillin_samples_crossed_with_plates() -> None:
    plates = np.array(DIAMETERS.split(), dtype=float).reshape(24, 6)
    found = components(plates.T[:, None, :])
    assert found["task"].sd == pytest.approx(0.8467, abs=6e-5)
    assert found["training"].sd == pytest.approx(1.9316, abs=6e-5)
    assert found["task×training"].sd == pytest.approx(0.5499, abs=6e-5)
    assert found["residual"].variance is None
