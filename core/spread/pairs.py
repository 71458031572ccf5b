"""All pairs of variants, with the error of the whole table under control.

In come runs by variant, one number per run; out comes one `Pair` for each two variants, judged by
Games–Howell (unequal variances, unequal numbers of runs), and the letters that group the variants.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.spread.comparisons import holm, two_sided_p, verdict
from core.spread.distributions import studentized_range_quantile, studentized_range_tail
from core.spread.intervals import ROUNDING, known, mean_and_variance
from core.spread.letters import grouping_letters
from core.spread.metrics import Floats


@dataclass(frozen=True)
class Pair:
    """Variant `second` against `first`. None is unknown (below two runs in one of them).

    `low`, `high` and `p` are simultaneous over all pairs (Games–Howell), and so is the `verdict` on
    `second`; `p_welch` is that of the pair alone, `p_holm` its Holm correction over all pairs.
    """

    first: str
    second: str
    difference: float
    low: float | None
    high: float | None
    p: float | None
    p_welch: float | None
    p_holm: float | None
    degrees_of_freedom: float | None
    verdict: str


def all_pairs(
    per_run: Mapping[str, ArrayLike], level: float = 0.95, higher_is_better: bool = True
) -> list[Pair]:
    """Games–Howell for all pairs of variants, each one number per run (Games & Howell 1976).

    q = |mean difference| / √((s_a²/n_a + s_b²/n_b) / 2) on Welch's degrees of freedom, against the
    studentized range of as many groups as have two runs or more. NaN runs are left out. Pairs come in the
    order of `per_run`; without any spread p is 0 for different means and 1 for equal ones.
    """
    names = list(per_run)
    moments = [mean_and_variance(known(per_run[name])[0]) for name in names]
    sizes = np.array([known(per_run[name])[0].size for name in names], dtype=np.float64)
    means = np.array([mean for mean, _ in moments])
    errors = np.array([np.nan if variance is None else variance for _, variance in moments])
    errors = np.divide(errors, sizes, out=np.full(sizes.shape, np.nan), where=sizes > 0)
    places = list(combinations(range(len(names)), 2))
    left, right = np.array(places, dtype=np.int64).reshape(-1, 2).T
    differences = means[right] - means[left]
    differences[np.abs(differences) <= ROUNDING * np.abs(means[left])] = 0.0
    variances = errors[left] + errors[right]
    freedoms = _freedoms(errors, sizes, left, right)
    p, half = _simultaneous(differences, variances, freedoms, int((sizes >= 2).sum()), level)
    welch = np.array(
        [
            np.nan if np.isnan(v) else two_sided_p(d, v, f)
            for d, v, f in zip(differences, variances, freedoms, strict=True)
        ]
    )
    return [
        Pair(
            names[i],
            names[j],
            float(differences[at]),
            _unknown(differences[at] - half[at]),
            _unknown(differences[at] + half[at]),
            _unknown(p[at]),
            _unknown(welch[at]),
            _unknown(corrected),
            _unknown(freedoms[at]),
            verdict(differences[at], _unknown(p[at]), level, higher_is_better),
        )
        for at, ((i, j), corrected) in enumerate(zip(places, holm(welch), strict=True))
    ]


def letters_of_pairs(
    per_run: Mapping[str, ArrayLike],
    pairs: Iterable[Pair],
    level: float = 0.95,
    higher_is_better: bool = True,
) -> dict[str, str]:
    """Grouping letters from `all_pairs`, variants ordered by their mean, best first.

    Pairs without a p (too few runs) are not distinguishable.
    """
    means = {name: mean_and_variance(known(runs)[0])[0] for name, runs in per_run.items()}
    sign = -1 if higher_is_better else 1
    names = sorted(means, key=lambda name: (np.isnan(means[name]), sign * means[name]))
    return grouping_letters(
        names, [(p.first, p.second) for p in pairs if p.p is not None and p.p < round(1 - level, 12)]
    )


def _freedoms(errors: Floats, sizes: Floats, left: NDArray[np.int64], right: NDArray[np.int64]) -> Floats:
    """Satterthwaite's degrees of freedom of every pair; their sum where neither varies."""
    both = errors[left] + errors[right]
    scale = np.where(both > 0, both, 1.0)
    a, b = errors[left] / scale, errors[right] / scale
    with np.errstate(divide="ignore", invalid="ignore"):
        found = 1 / (a**2 / (sizes[left] - 1) + b**2 / (sizes[right] - 1))
    return np.asarray(np.where(both > 0, found, np.where(both == 0, sizes[left] + sizes[right] - 2, np.nan)))


def _simultaneous(
    differences: Floats, variances: Floats, freedoms: Floats, groups: int, level: float
) -> tuple[Floats, Floats]:
    """p and half width of the interval of every pair; NaN where the variance is unknown."""
    p, half = np.full(differences.shape, np.nan), np.full(differences.shape, np.nan)
    tested = ~np.isnan(variances)
    if tested.any():
        d, v, f = differences[tested], variances[tested], freedoms[tested]
        scale = np.sqrt(v / 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            q = np.where(v > 0, np.abs(d) / scale, np.where(d == 0, 0.0, 1e9))
        p[tested] = np.where(v > 0, studentized_range_tail(q, groups, f), (d == 0).astype(float))
        half[tested] = studentized_range_quantile(level, groups, f) * scale
    return p, half


def _unknown(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
