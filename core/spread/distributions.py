"""Distributions that the libraries have too slow, too narrow, or only behind a third of a second of imports.

Studentized range and Dunnett's distribution: both are a normal quantity divided by an estimated std, so both
are means over the scaled chi distribution S = √(χ²_ν / ν): computed here by one quadrature, vectorised, to
about 1e-10. (`scipy.stats` needs 9 s for one quantile of the studentized range with few degrees of freedom;
190 pairs of variants need it.) All else comes from `scipy.special`:
importing `scipy.stats` makes a hundred distributions that nobody asks for, while a first page waits. For the
same reason this room writes `scipy.optimize`, which loads itself when it is first used.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from core.scoring.metrics import Floats


def studentized_range_tail(q: ArrayLike, groups: int, freedom: ArrayLike) -> Floats:
    """P(Q > q) for the studentized range of `groups` means: the mean of R(q·S), R the tail of the range.

    q and freedom broadcast. R(w) = k·∫ φ(z)·[Φ(z)^(k−1) − (Φ(z) − Φ(z − w))^(k−1)] dz (Tukey 1953).
    """
    if groups < 2:
        raise ValueError("a range needs at least two groups")
    values, nu = np.broadcast_arrays(np.asarray(q, dtype=np.float64), np.asarray(freedom, dtype=np.float64))
    scale, weights = _scaled_chi(nu, 500)
    return np.asarray((weights * _range_tail(groups)(values[..., None] * scale)).sum(axis=-1))


def studentized_range_quantile(level: float, groups: int, freedom: ArrayLike) -> Floats:
    """The q with P(Q ≤ q) = level, one for each `freedom`; by bisection on log q, to 1e-10."""
    scale, weights = _scaled_chi(np.asarray(freedom, dtype=np.float64), 500)
    tail = _range_tail(groups)
    low, high = np.full(scale.shape[:-1], -10.0), np.full(scale.shape[:-1], 25.0)
    for _ in range(46):
        middle = (low + high) / 2
        above = (weights * tail(np.exp(middle)[..., None] * scale)).sum(axis=-1) > 1 - level
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.asarray(np.exp((low + high) / 2))


def dunnett_tail(t: ArrayLike, shares: Sequence[float], freedom: float) -> Floats:
    """P(max |T_i| > t) where several means are compared with one control (Dunnett 1955); shape of `t`.

    T_i = (√(1 − λ_i²)·Z_i − λ_i·Z_0) / S with independent normal Z and one common S on `freedom` degrees of
    freedom. `shares` holds λ_i² = n_i / (n_0 + n_i), the control's share of the variance of difference i. The
    mean over Z_0 (Gauss–Hermite) and S (trapezoid) of the product of the chances to stay within ±t·S.
    """
    bounds = np.asarray(t, dtype=np.float64)
    control, heights = _normal_nodes(32)
    scale, weights = _scaled_chi(np.asarray(freedom, dtype=np.float64), 64 if freedom >= 3 else 200)
    reach = np.minimum(bounds[..., None, None], 1e9) * scale
    inside = np.ones((*bounds.shape, control.size, scale.size))
    for share, count in Counter(shares).items():
        shift, own = share**0.5 * control[:, None], (1 - share) ** 0.5
        chance = special.ndtr((shift + reach) / own) - special.ndtr((shift - reach) / own)
        inside *= chance**count
    within = np.einsum("...zs,z,s->...", inside, heights / heights.sum(), weights)
    return np.asarray(np.clip(1 - within, 0, 1))


@lru_cache(maxsize=4096)
def dunnett_quantile(level: float, shares: tuple[float, ...], freedom: float) -> float:
    """The t with P(max |T_i| ≤ t) = level, see `dunnett_tail`; Student's for a single comparison."""
    student = float(special.stdtrit(freedom, (1 + level) / 2))
    if len(shares) == 1:
        return student
    bonferroni = float(special.stdtrit(freedom, 1 - (1 - level) / 2 / len(shares)))
    return _root(
        lambda t: float(dunnett_tail(t, shares, freedom)) - (1 - level), 0.999 * student, 1.001 * bonferroni
    )


@lru_cache(maxsize=4)
def _normal_nodes(count: int) -> tuple[Floats, Floats]:
    """Gauss–Hermite nodes and weights, for means over a normal quantity."""
    return np.polynomial.hermite_e.hermegauss(count)


def _root(falling: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function is 0, between two points on either side of it, to 1e-9 in the value: the
    Illinois method.

    `scipy.optimize` has better ones, and takes a second to import while a first page waits.
    """
    above, below, side = falling(low), falling(high), 0
    middle = low
    for _ in range(100):
        middle = (low * below - high * above) / (below - above)
        value = falling(middle)
        if abs(value) < 1e-9:
            break
        if value > 0:
            low, above, below = middle, value, below / 2 if side == 1 else below
            side = 1
        else:
            high, below, above = middle, value, above / 2 if side == -1 else above
            side = -1
    return middle


def _scaled_chi(freedom: Floats, nodes: int) -> tuple[Floats, Floats]:
    """Nodes and weights (..., nodes) for means over S: the trapezoid rule on x = log S.

    The density exp(ν·x − ν·e^{2x}/2) falls off on both sides, for which the rule converges
    geometrically; the ends lie where it has fallen by e^−40.
    """
    nu = np.maximum(np.asarray(freedom, dtype=np.float64), 1e-3)[..., None]
    nu = np.minimum(nu, 1e14)
    width = np.sqrt(40 / nu)
    x = -(width + 40 / nu) + np.linspace(0, 1, nodes) * (2 * width + 40 / nu)
    exponent = nu * (x - np.expm1(2 * x) / 2)
    weights = np.exp(exponent - exponent.max(axis=-1, keepdims=True))
    return np.exp(x), weights / weights.sum(axis=-1, keepdims=True)


@lru_cache(maxsize=64)
def _range_tail(groups: int) -> Callable[[Floats], Floats]:
    """R(w) between exact points up to w = 40, where it is 0 to the last digit."""
    z, weight = np.polynomial.legendre.leggauss(200)
    z, weight = 9 * z, 9 * weight * np.exp(-((9 * z) ** 2) / 2) / np.sqrt(2 * np.pi)
    w = np.linspace(0, 40, 3201)[:, None]
    below = special.log_ndtr(z)
    with np.errstate(divide="ignore"):
        left = np.log1p(-np.exp(special.log_ndtr(z - w) - below))
    tail = groups * (weight * np.exp((groups - 1) * below) * -np.expm1((groups - 1) * left)).sum(axis=1)
    return lambda x: np.where(x < 40, np.clip(_interpolated(np.minimum(x, 40) / 0.0125, tail), 0, 1), 0.0)


def _interpolated(x: Floats, values: Floats) -> Floats:
    """Values at 0, 1, 2, … in between: Lagrange's polynomial through the six nearest."""
    first = np.clip(np.floor(x).astype(np.int64) - 2, 0, len(values) - 6)
    places = np.arange(6)
    found = np.zeros(x.shape)
    for place in places:
        others = places[places != place]
        weight = np.prod([(x - first - other) / (place - other) for other in others], axis=0)
        found += weight * values[first + place]
    return found
