"""Published examples that the formulas were not made from: a crossed design and unequal groups.

Penicillin: six samples on each of 24 plates, diameters in mm (Davies & Goldsmith 1972, section 6.6; the data
frame of R's lme4). Bates, "lme4: Mixed-effects modeling with R", section 2.1, prints the REML estimates,
which for a balanced design are those of the analysis of variance.

Penguins: body mass in g by species (Gorman, Williams & Fraser 2014). The documentation of Pingouin's
`pairwise_gameshowell` prints the tests; they follow from the sizes, means and stds alone.
"""

import numpy as np
import pytest
from numpy.typing import NDArray

from core.spread.components import crossed_components
from core.spread.pairs import all_pairs, letters_of_pairs

DIAMETERS = """
27 23 26 23 23 21  27 23 26 23 23 21  25 21 25 24 24 20  26 23 25 23 23 20  25 22 26 22 23 20
24 22 25 23 22 19  24 20 23 21 22 19  26 22 26 24 24 21  24 21 24 22 22 20  24 21 24 23 22 19
26 23 26 24 24 21  25 22 26 24 24 20  26 24 26 24 25 22  26 23 26 23 23 20  26 23 25 24 24 22
25 22 25 23 23 20  25 21 24 23 23 20  25 22 24 23 23 19  24 21 23 21 21 19  26 23 26 24 24 21
25 21 24 22 22 18  25 22 25 22 22 20  24 21 24 22 24 19  24 21 24 22 21 18
"""


def test_penicillin_samples_crossed_with_plates() -> None:
    plates = np.array(DIAMETERS.split(), dtype=float).reshape(24, 6)
    found = crossed_components(plates[:, :, None])
    assert found["task"].sd == pytest.approx(0.84671, abs=2e-5)  # an optimizer printed these
    assert found["training"].sd == pytest.approx(1.93157, abs=2e-5)
    assert found["task×training"].sd == pytest.approx(0.54992, abs=2e-5)
    assert found["residual"].variance is None


def sample_of(size: int, mean: float, std: float) -> NDArray[np.float64]:
    """Numbers with exactly this mean and sample std."""
    line = np.linspace(-1, 1, size)
    return np.asarray(mean + std * line / line.std(ddof=1))


def test_games_howell_of_penguins() -> None:
    species = {
        "Adelie": sample_of(151, 3700.662, 458.566),
        "Chinstrap": sample_of(68, 3733.088, 384.335),
        "Gentoo": sample_of(123, 5076.016, 504.116),
    }
    pairs = {(pair.first, pair.second): pair for pair in all_pairs(species)}
    printed = {
        ("Adelie", "Chinstrap"): (32.426, 152.455, 0.85),
        ("Adelie", "Gentoo"): (1375.354, 249.643, 0.0),
        ("Chinstrap", "Gentoo"): (1342.928, 170.404, 0.0),
    }
    assert pairs.keys() == printed.keys()
    for names, (difference, freedom, p) in printed.items():
        pair = pairs[names]
        assert pair.difference == pytest.approx(difference, abs=6e-4)
        assert pair.degrees_of_freedom == pytest.approx(freedom, abs=1e-3)
        assert pair.p == pytest.approx(p, abs=5e-3)
    letters = letters_of_pairs(species, list(pairs.values()))
    assert letters["Adelie"] == letters["Chinstrap"] != letters["Gentoo"]
