"""The chance to be voted for over the number of attempts, for many outputs at once.

`attempt_budgets.expected_vote_curve` counts the draws of one output, which takes milliseconds; here thousands
of outputs share the work. In come the votes of every output, out come the same curves, to 1e-6 (the worst
seen of up to 512 attempts is 4e-7, where all answers differ or all have as many votes).

How: let every attempt be drawn with chance p = s / n on its own. Then the answers' votes are independent and
the probability generating function of "the truth wins with s' draws" is, with z on a circle,

    W(z) = Σ_t P(t for the truth) z^t ∫ Π_rivals [ B_v(t) + u·T_v(t) ] du · (q + p z)^unanswered

where B_v(t) = Σ_{j<t} P(j of v) z^j stands for fewer votes than the truth's, T_v(t) = P(t of v) z^t for as
many, and u for the place that the truth has in a tie, uniform on 0…1 (Gauss–Legendre, exact for as many
ties as its degree allows). With two places to win, one rival may be ahead: the term linear in y of
Π [B + uT + y·A].
The chance with exactly s draws is the coefficient of z^s divided by P(s of n), read off by a discrete
Fourier transform. A product over rivals is a sum of logarithms: one matrix product for all outputs. Outputs
with the same rivals of t votes and more share it, and another matrix product reads off the coefficients for
any number of attempts that can't come up to t.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from core.scoring.attempt_budgets import MOST_EXACT_ATTEMPTS, expected_vote_curve
from core.scoring.metrics import Floats, expected_vote_k

Whole = NDArray[np.int64]
Complex = NDArray[np.complex128] | NDArray[np.complex64]

_NEGLIGIBLE = 1e-7
_NOTHING = 1e-18
"""Stands for a chance of 0, so that it has a logarithm and an inverse."""
_MOST_NODES = 48
_MOST_AT_ONCE = 2**18
"""So many complex numbers of generating functions are held at once: 2 MB, which stay near the processor."""
_FEW = 16
"""So few outputs are counted one by one."""


def expected_vote_curves(
    attempts: Whole, truth: Whole, rivals: Whole, k: int, budgets: Sequence[int]
) -> Floats:
    """Expected vote_k of every output for each budget, ties at random; shape (outputs, len(budgets)).

    `attempts` and `truth` (outputs,) count the attempts and the votes for the truth; `rivals[o, v]` says how
    many of the other answers got v votes (column 0 is left alone). NaN for budgets above the attempts; 0
    where nobody voted for the truth. Raises ValueError where votes exceed attempts, or attempts 1,000.
    """
    votes = truth + rivals @ np.arange(rivals.shape[1])
    if np.any(votes > attempts) or np.max(attempts, initial=0) > MOST_EXACT_ATTEMPTS:
        raise ValueError(f"votes must add up to at most the attempts, and those to {MOST_EXACT_ATTEMPTS}")
    wanted = np.asarray(budgets)
    curves = np.where(wanted[None, :] <= attempts[:, None], 0.0, np.nan)
    # The largest rivals come first, so that outputs that share them stand together, see `_Votes`.
    rows = np.column_stack([attempts, rivals[:, :0:-1], truth])[truth > 0].astype(np.int16)
    if not len(rows):
        return curves
    known, which = np.unique(
        np.ascontiguousarray(rows).view(f"V{2 * rows.shape[1]}").ravel(), return_inverse=True
    )
    different = known.view(np.int16).reshape(-1, rows.shape[1]).astype(np.int64)
    found = np.empty((len(different), len(wanted)))
    for n in np.unique(different[:, 0]).tolist():
        own = different[different[:, 0] == n]
        found[different[:, 0] == n] = _curves(n, own[:, -1], own[:, -2:0:-1], k, budgets)
    curves[truth > 0] = found[which.ravel()]
    return curves


def _curves(n: int, truth: Whole, rivals: Whole, k: int, budgets: Sequence[int]) -> Floats:
    """Curves of outputs with n attempts each, the truth among their answers; `rivals` from 1 vote on."""
    if k > 2 or len(truth) < _FEW:
        sizes = np.arange(1, rivals.shape[1] + 1)
        listed = [np.repeat(sizes, row).tolist() for row in rivals]
        return np.array(
            [
                expected_vote_curve(n, int(c), others, k, budgets)
                for c, others in zip(truth, listed, strict=True)
            ]
        )
    given = np.flatnonzero(rivals.any(axis=0))
    votes = _Votes(n, truth, given + 1, rivals[:, given].astype(np.float32))
    return np.column_stack([votes.at(int(budget), k) for budget in budgets])


@dataclass(frozen=True)
class _Votes:
    """Outputs with n attempts each; `rivals` (outputs, sizes) counts answers with `sizes` votes.

    Outputs with the same answers of any size and more stand together.
    """

    n: int
    truth: Whole
    sizes: Whole
    rivals: NDArray[np.float32]

    def at(self, s: int, k: int) -> Floats:
        """Expected vote_k of every output when s of the attempts are drawn."""
        if s > self.n:
            return np.full(len(self.truth), np.nan)
        if s == 1:
            return np.asarray(self.truth / self.n)
        if s == self.n:
            ahead, tied = self.sizes > self.truth[:, None], self.sizes == self.truth[:, None]
            return expected_vote_k((self.rivals * ahead).sum(1), 1 + (self.rivals * tied).sum(1), k)
        circle = _Circle(self.n, s)
        won = np.zeros(len(self.truth))
        chances = _binomial(np.arange(s + 1)[:, None], np.arange(self.n + 1)[None, :], s / self.n)
        last = min(s, int(self.truth.max()))
        most = self._most(last, k, circle)
        for t in range(1, last + 1):
            chance = chances[t, self.truth]
            rows = np.flatnonzero(chance * most[t - 1] > _NEGLIGIBLE * circle.here)
            if not rows.size:
                continue
            first = int(np.searchsorted(self.sizes, t))  # only answers with t votes or more can come up to it
            begins = np.diff(np.cumsum(self.differ >= first)[rows], prepend=-1) > 0
            harmless = self.harmless[first][rows]
            least = int(harmless.min())
            span = np.arange(least, int(harmless.max()) + 1)
            topped = self._coefficients(first, rows[begins], t, k, circle, span)
            won[rows] += chance[rows] * topped[np.cumsum(begins) - 1, harmless - least]
        return np.clip(won, 0, 1)

    @cached_property
    def differ(self) -> Whole:
        """The last place of `sizes` where an output's rivals are others than those of the output before it;
        −1 where there is none."""
        changed = np.diff(self.rivals, axis=0, prepend=np.nan) != 0
        places = np.arange(len(self.sizes), dtype=np.int16)
        last: Whole = np.max(np.where(changed, places, np.int16(-1)), axis=1, initial=-1).astype(np.int64)
        return last

    @cached_property
    def answers(self) -> Whole:
        """How many answers have `sizes[j]` votes or more; (sizes + 1, outputs)."""
        return _from_the_last(self.rivals.T.astype(np.int64))

    @cached_property
    def harmless(self) -> Whole:
        """How many attempts are neither the truth nor such answers; (sizes + 1, outputs)."""
        return self.n - self.truth - _from_the_last(self.rivals.T.astype(np.int64) * self.sizes[:, None])

    def _most(self, last: int, k: int, circle: "_Circle") -> Floats:
        """The most that `_topped` can be for t up to `last`: at z = 1, every tie won; (last, outputs)."""
        exact = _binomial(np.arange(last + 1)[:, None], self.sizes[None, :], circle.s / circle.n)
        behind = np.maximum(np.cumsum(exact, axis=0)[1:], _NOTHING)
        most = np.exp(np.log(behind).astype(np.float32) @ self.rivals.T)
        ahead = 1 - behind + exact[1:]
        return np.asarray(
            most if k == 1 else most * (1 + (ahead / behind).astype(np.float32) @ self.rivals.T)
        )

    def _coefficients(
        self, first: int, rows: Whole, t: int, k: int, circle: "_Circle", harmless: Whole
    ) -> Floats:
        """What `_Circle.coefficients` reads off `_topped`, for a part of the rows after another."""
        places = int(min(circle.s // t - 1, self.answers[first][rows].max()))
        each = min(_MOST_NODES, max(places, 0) // 2 + 1) * len(circle.z)
        parts = max(1, len(rows) * each // _MOST_AT_ONCE)
        found = [
            circle.coefficients(*self._topped(first, part, t, k, circle), t, harmless)
            for part in np.array_split(rows, parts)
        ]
        return np.concatenate(found)

    def _topped(self, first: int, rows: Whole, t: int, k: int, circle: "_Circle") -> tuple[Complex, Floats]:
        """Generating function of "fewer than k of the answers from `first` on are ahead": its parts for the
        truth's places in a tie, (rows, places × points), and their weights."""
        counts, sizes = self.rivals[rows, first:], self.sizes[first:]
        if not len(sizes):
            return np.ones((len(rows), len(circle.z)), dtype=np.complex64), np.ones(1)
        nodes, weights = _nodes(int(min(circle.s // t - 1, self.answers[first][rows].max())))
        below, tied = circle.below(sizes, t)
        behind = below[:, None, :] + nodes[None, :, None] * tied[:, None, :]
        behind = np.where(np.abs(behind) < _NOTHING, _NOTHING, behind)
        product = _product(counts, behind)
        if k == 2:
            ahead = circle.whole(sizes[:, None])[:, None, :] - behind
            product *= 1 + _times(counts, ahead / behind)
        return product, weights


class _Circle:
    """Points z = e^{iθ} on the upper half of a circle, enough to tell coefficient s from its neighbours."""

    def __init__(self, n: int, s: int) -> None:
        self.n, self.s = n, s
        chances = _binomial(np.arange(n + 1), n, s / n)
        far = np.abs(np.arange(n + 1) - s)[chances > _NEGLIGIBLE * chances[s]]
        self.count = int(far.max()) + 1
        self.here = float(chances[s])
        self.z = np.exp(2j * np.pi * np.arange(self.count // 2 + 1) / self.count)

    def whole(self, sizes: int | Whole) -> Complex:
        """(q + p z)^size: any number of these votes."""
        p = self.s / self.n
        return np.asarray((1 - p + p * self.z) ** sizes)

    def below(self, sizes: Whole, t: int) -> tuple[Complex, Complex]:
        """For answers of these sizes fewer than t votes, and exactly t; each of shape (sizes, points)."""
        p = self.s / self.n
        chances = _binomial(np.arange(t + 1)[None, :], sizes[:, None], p)
        powers = self.z[None, :] ** np.arange(t + 1)[:, None]
        return chances[:, :t] @ powers[:t], chances[:, t:] * powers[t:]

    def coefficients(self, values: Complex, weights: Floats, t: int, harmless: Whole) -> Floats:
        """Coefficient s, over its chance, of Σ weights · values · z^t · (q + p z)^h for h in `harmless`:
        (rows, len(harmless)). `values` (rows, len(weights) × points) stand at the points, and are those of
        real functions, so that half a circle is enough."""
        twice = np.full(len(self.z), 2.0)
        twice[0] = 1.0
        if self.count % 2 == 0:
            twice[-1] = 1.0
        turned = self.whole(harmless[:, None]) * self.z ** (t - self.s) * twice / (self.count * self.here)
        factors = (turned[:, None, :] * weights[:, None]).reshape(len(harmless), -1)
        parts = np.stack([factors.real, -factors.imag], axis=2).reshape(len(harmless), -1)
        return np.asarray(np.ascontiguousarray(values).view(np.float32) @ parts.T.astype(np.float32))


def _times(counts: NDArray[np.float32], values: Complex) -> Complex:
    """counts (rows, sizes) times complex values (sizes, …) as a real matrix product; (rows, …) flattened."""
    flat = np.ascontiguousarray(values.reshape(len(values), -1), dtype=np.complex64).view(np.float32)
    return np.ascontiguousarray(counts @ flat).view(np.complex64)


def _product(counts: NDArray[np.float32], values: Complex) -> Complex:
    """Π values^counts over sizes, of such shapes. Exponential, cosine and sine of real numbers apart are
    several times as fast as the complex exponential."""
    flat = values.reshape(len(values), -1)
    size = np.exp(counts @ np.log(np.abs(flat)).astype(np.float32))
    angle = counts @ np.angle(flat).astype(np.float32)
    product = np.empty(size.shape, dtype=np.complex64)
    np.multiply(size, np.cos(angle), out=product.real)
    np.multiply(size, np.sin(angle), out=product.imag)
    return product


@lru_cache(maxsize=128)
def _nodes(degree: int) -> tuple[Floats, Floats]:
    """Gauss–Legendre nodes and weights on 0…1, exact for polynomials of this degree (up to 95)."""
    nodes, weights = np.polynomial.legendre.leggauss(min(_MOST_NODES, max(degree, 0) // 2 + 1))
    return (nodes + 1) / 2, weights / 2


def _from_the_last(values: Whole) -> Whole:
    """Sums of each column from every row to the last, and 0 behind it."""
    summed = np.zeros((values.shape[0] + 1, values.shape[1]), dtype=np.int64)
    summed[:-1] = np.cumsum(values[::-1], axis=0)[::-1]
    return summed


def _binomial(successes: ArrayLike, trials: ArrayLike, chance: float) -> Floats:
    """P(so many of the trials succeed) = C(n, k)·p^k·(1 − p)^(n − k), by logarithms; 0 for k > n."""
    k, n = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (successes, trials)))
    rest = np.maximum(n - k, 0)
    ways = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(rest + 1)
    found = np.exp(ways + special.xlogy(k, chance) + special.xlog1py(rest, -chance))
    return np.asarray(np.where(k <= n, found, 0.0))
