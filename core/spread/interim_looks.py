"""What it does to the verdict to look at a table, add runs, and look again.

In come the numbers of runs at which a table was looked at, out comes how often it shows a difference at one
of the looks where none is true. A verdict at 5 % is meant for one look.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np

from core.seeds import generator
from core.spread.judging_variance import Resolution, judged_variances
from core.spread.verdict import critical_against

TABLES = 10_000


def alarms_over_looks(runs: Sequence[Sequence[int]], level: float = 0.95) -> list[float]:
    """The share of tables without any true difference that show one from the baseline at the first look, by
    the second, and so on.

    `runs` are those of each variant at each look, shape (looks, variants), the baseline first; they don't
    fall, and variants with fewer than two show nothing. Simulated with fixed seeds for normal scores of equal
    spread; the standard error is at most 0.005.
    """
    if any(after < before for one, later in pairwise(runs) for before, after in zip(one, later, strict=True)):
        raise ValueError("runs are added between looks, never taken away")
    return list(_alarms(tuple(map(tuple, runs)), level))


@lru_cache(maxsize=64)
def _alarms(runs: tuple[tuple[int, ...], ...], level: float) -> tuple[float, ...]:
    variants = len(runs[0])
    rng = generator(0, "looks", variants)
    total, squares = np.zeros((TABLES, variants)), np.zeros((TABLES, variants))
    alarmed, shares, made = np.zeros(TABLES, dtype=bool), [], np.zeros(variants, dtype=int)
    for look in runs:
        counts = np.array(look)
        for more in range(int((counts - made).max())):
            score = rng.normal(size=(TABLES, variants)) * (made + more < counts)
            total, squares = total + score, squares + score**2
        made = counts
        used = counts > 1
        if used[0] and used.sum() > 1:
            sizes = counts[used]
            means = total[:, used] / sizes
            own = np.maximum(squares[:, used] - sizes * means**2, 0) / (sizes - 1)
            errors = judged_variances(means, own, sizes, Resolution(None, share=False)) / sizes
            critical = critical_against(sizes.tolist(), 0, float((sizes - 1).sum()), level)
            t = np.abs(means[:, 1:] - means[:, :1]) / np.sqrt(errors[:, 1:] + errors[:, :1])
            alarmed |= (t > critical).any(axis=1)
        shares.append(float(alarmed.mean()))
    return tuple(shares)
