"""Is one variant better than another? The one verdict, with trainings as units and a whole table in view.

In come the runs of every variant (one number each), out comes for each two variants a difference with its
interval, and one of three words: "better", "worse", "cannot tell". The words and the intervals of a table are
right together: with no true difference anywhere, at least 95 % of tables show none.

The method, chosen by simulation over the tables that people make (`core.spread.simulate`,
docs/statistics.md): each variant has a variance between runs, mostly the one pooled over the table
(`core.spread.judging_variance`). Comparisons with the baseline share the error by Dunnett's distribution
(Dunnett 1955); all other pairs get half as much again by Tukey's and Kramer's (1956).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from core.errors import UserError
from core.scoring.metrics import Floats
from core.spread.distributions import (
    dunnett_quantile,
    dunnett_tail,
    studentized_range_quantile,
    studentized_range_tail,
)
from core.spread.intervals import ROUNDING, known, mean_and_variance
from core.spread.judging_variance import (
    BorrowedNoise,
    Resolution,
    judged_variances,
    pooled_noise,
    resolution_of,
)
from core.spread.letters import grouping_letters

BETTER, WORSE, CANNOT_TELL = "better", "worse", "cannot tell"
OTHERS_SHARE = 0.5
"""The chance of error of all pairs without the baseline, as a share of the baseline's."""


@dataclass(frozen=True)
class Comparison:
    """Variant b against variant a. None is unknown.

    `difference` is b − a, `low`, `high` and `p` answer for all comparisons of the table, and so does
    `verdict`, which says of b whether it is "better", "worse" or "cannot tell" from a. `p_alone` is that of
    the pair, had nothing else been compared. `n_a`, `n_b` count runs.
    """

    difference: float
    low: float | None
    high: float | None
    p: float | None
    verdict: str
    p_alone: float | None
    degrees_of_freedom: float | None
    n_a: int
    n_b: int
    scope: str = "recipe"
    level: float = 0.95

    @property
    def lost_by_correction(self) -> bool:
        """Whether the pair alone would have told, and the rest of the table keeps it from telling."""
        return self.verdict == CANNOT_TELL and self.p_alone is not None and tells(self.p_alone, self.level)


@dataclass(frozen=True)
class Verdicts:
    """All comparisons of a table, by (a, b) in the order of the variants.

    `std` is the one pooled over variants, on `freedom` degrees of freedom; `ratio` the largest std of a
    variant over the smallest. None is unknown.
    """

    baseline: str
    means: dict[str, float]
    pairs: dict[tuple[str, str], Comparison]
    std: float | None
    freedom: float
    ratio: float | None
    higher_is_better: bool = True

    def between(self, a: str, b: str) -> Comparison:
        """b against a, whatever their order in the table."""
        if (a, b) in self.pairs:
            return self.pairs[a, b]
        return _turned(self.pairs[b, a])

    @property
    def letters(self) -> dict[str, str]:
        """Letters, best variant first: two variants share one unless their verdict tells them apart."""
        sign = -1 if self.higher_is_better else 1
        order = sorted(self.means, key=lambda name: (np.isnan(self.means[name]), sign * self.means[name]))
        apart = [pair for pair, found in self.pairs.items() if found.verdict != CANNOT_TELL]
        return grouping_letters(order, apart)


def judge(
    per_run: Mapping[str, ArrayLike],
    baseline: str,
    level: float = 0.95,
    higher_is_better: bool = True,
    resolution: Resolution | None = None,
    borrowed: BorrowedNoise | None = None,
) -> Verdicts:
    """The verdict on every pair of variants, each one number per run; NaN runs are left out.

    Variants with fewer than two runs are compared only with `borrowed` noise, which then stands in for the
    pooled one. `resolution` is found in the scores unless it is given. A pair whose noise nothing tells
    (equal scores everywhere, no resolution) has neither interval nor p. Raises `UserError` for an unknown
    baseline.
    """
    if baseline not in per_run:
        raise UserError(f"There is no variant '{baseline}'. Known: {', '.join(per_run)}.")
    names = list(per_run)
    runs = [known(per_run[name])[0] for name in names]
    moments = [mean_and_variance(one) for one in runs]
    means = np.array([mean for mean, _ in moments])
    own = np.array([np.nan if variance is None else variance for _, variance in moments])
    sizes = np.array([one.size for one in runs])
    noise = borrowed or pooled_noise(own, sizes)
    variances = judged_variances(means, own, sizes, resolution or resolution_of(runs), borrowed)
    used = sizes >= (1 if borrowed else 2)
    place = names.index(baseline)
    freedom = noise.freedom if noise else 0.0
    found = _compared(means, variances, sizes, used, place, freedom, level)
    pairs = {
        (names[i], names[j]): _comparison(one, sizes[i], sizes[j], level, higher_is_better)
        for (i, j), one in found.items()
    }
    spreads = np.sqrt(own[~np.isnan(own)])
    return Verdicts(
        baseline,
        dict(zip(names, means.tolist(), strict=True)),
        pairs,
        noise.variance**0.5 if noise else None,
        noise.freedom if noise else 0.0,
        float(spreads.max() / spreads.min()) if spreads.size > 1 and np.all(spreads > 0) else None,
        higher_is_better,
    )


def compare(
    a: ArrayLike,
    b: ArrayLike,
    level: float = 0.95,
    higher_is_better: bool = True,
    resolution: Resolution | None = None,
) -> Comparison:
    """Variant b against variant a where nothing else is compared: `judge` for a table of two."""
    return judge({"a": a, "b": b}, "a", level, higher_is_better, resolution).between("a", "b")


def critical_against(sizes: Sequence[int], baseline: int, freedom: float, level: float) -> float:
    """How many standard errors a difference from the baseline (a place in `sizes`) must have; `sizes` are the
    runs of the variants that take part."""
    return dunnett_quantile(level, _shares(sizes, baseline), freedom)


@lru_cache(maxsize=1024)
def critical_elsewhere(variants: int, freedom: float, level: float, share: float = OTHERS_SHARE) -> float:
    """How many standard errors a difference must have between two of so many variants, none the baseline,
    which together get this share of the error.
    """
    others = 1 - share * (1 - level)
    return float(studentized_range_quantile(others, variants, freedom)) / 2**0.5


def tells(p: float, level: float) -> bool:
    """Whether a p lies below 1 − level, which is rounded: 1 − 0.95 is a little more than 0.05 in floats."""
    return p < round(1 - level, 12)


def word(difference: float, p: float | None, level: float = 0.95, higher_is_better: bool = True) -> str:
    """The word for a difference b − a: "better" or "worse" where p < 1 − level, else "cannot tell"."""
    if p is None or not tells(p, level) or difference == 0:
        return CANNOT_TELL
    return BETTER if (difference > 0) == higher_is_better else WORSE


def two_sided_p(difference: float, variance: float, freedom: float) -> float | None:
    """P(|T| ≥ |difference| / √variance) for Student's T; None where the variance is 0: that is no
    certainty.
    """
    if not variance > 0:
        return None
    return float(2 * special.stdtr(freedom, -abs(difference) / np.sqrt(variance)))


def _compared(
    means: Floats,
    variances: Floats,
    sizes: NDArray[np.int64],
    used: NDArray[np.bool_],
    baseline: int,
    freedom: float,
    level: float,
) -> dict[tuple[int, int], tuple[float, float, float, float, float]]:
    """For each pair of variants: difference, half width of its interval, p, p alone, degrees of freedom."""
    places = list(combinations(range(means.size), 2))
    left, right = np.array(places, dtype=np.int64).reshape(-1, 2).T
    differences = means[right] - means[left]
    differences[np.abs(differences) <= ROUNDING * np.abs(means[left])] = 0.0
    taken = np.where(used, variances, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = taken / sizes
    deviations = np.sqrt(errors[left] + errors[right])
    measurable = ~np.isnan(deviations)
    p, alone, half = (np.full(differences.shape, np.nan) for _ in range(3))
    if measurable.any():
        taking = np.flatnonzero(used)
        with_baseline = (left == baseline) | (right == baseline)
        counts, at = sizes[taking].tolist(), int(np.searchsorted(taking, baseline))
        t = np.abs(differences) / deviations
        alone[measurable] = 2 * special.stdtr(freedom, -t[measurable])
        first, second = measurable & with_baseline, measurable & ~with_baseline
        if first.any():
            p[first] = dunnett_tail(t[first], _shares(counts, at), freedom)
            half[first] = critical_against(counts, at, freedom, level) * deviations[first]
        if second.any():
            share = OTHERS_SHARE if used[baseline] else 1.0  # nobody else needs the error
            tail = studentized_range_tail(2**0.5 * t[second], taking.size, freedom)
            p[second] = np.minimum(1, tail / share)
            half[second] = critical_elsewhere(taking.size, freedom, level, share) * deviations[second]
    return {
        pair: (float(differences[n]), float(half[n]), float(p[n]), float(alone[n]), freedom)
        for n, pair in enumerate(places)
    }


def _shares(sizes: Sequence[int], baseline: int) -> tuple[float, ...]:
    """The baseline's share of the variance of each difference from it, were all spreads equal."""
    return tuple(n / (sizes[baseline] + n) for place, n in enumerate(sizes) if place != baseline)


def _comparison(
    found: tuple[float, float, float, float, float], n_a: int, n_b: int, level: float, higher_is_better: bool
) -> Comparison:
    difference, half, p, alone, freedom = found
    if np.isnan(p):
        return Comparison(difference, None, None, None, CANNOT_TELL, None, None, int(n_a), int(n_b))
    return Comparison(
        difference,
        difference - half,
        difference + half,
        p,
        word(difference, p, level, higher_is_better),
        alone,
        freedom,
        int(n_a),
        int(n_b),
        level=level,
    )


def _turned(one: Comparison) -> Comparison:
    """The same comparison seen from the other side."""
    words = {BETTER: WORSE, WORSE: BETTER}
    return replace(
        one,
        difference=-one.difference,
        low=None if one.high is None else -one.high,
        high=None if one.low is None else -one.low,
        verdict=words.get(one.verdict, one.verdict),
        n_a=one.n_b,
        n_b=one.n_a,
    )
