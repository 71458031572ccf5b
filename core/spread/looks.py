"""What it does to the verdict to look at a table, add runs, and look again.

In come the numbers of runs at which a table was looked at, out comes how often it shows a difference at one
of the looks where none is true. A verdict at 5 % is meant for one look.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np

from core.seeds import generator
from core.spread.variances import Resolution, judged_variances
from core.spread.verdict import critical_against

TABLES = 10_000


def alarms_over_looks(runs: Sequence[int], variants: int, level: float = 0.95) -> list[float]:
    """The share of tables without any true difference that show one at the first look, by the second, and so
    on.

    `runs` of each of `variants` at each look, not falling; looks with fewer than two runs show nothing.
    Simulated with fixed seeds for normal scores of equal spread; the standard error is at most 0.005.
    """
    if any(later < earlier for earlier, later in pairwise(runs)):
        raise ValueError("runs are added between looks, never taken away")
    return list(_alarms(tuple(runs), variants, level))


@lru_cache(maxsize=64)
def _alarms(runs: tuple[int, ...], variants: int, level: float) -> tuple[float, ...]:
    rng = generator(0, "looks", variants)
    total, squares = np.zeros((TABLES, variants)), np.zeros((TABLES, variants))
    alarmed, shares, made = np.zeros(TABLES, dtype=bool), [], 0
    for count in runs:
        for _ in range(count - made):
            score = rng.normal(size=(TABLES, variants))
            total, squares = total + score, squares + score**2
        made = count
        if count > 1 and variants > 1:
            means, sizes = total / count, np.full(variants, count)
            own = np.maximum(squares - count * means**2, 0) / (count - 1)
            errors = judged_variances(means, own, sizes, Resolution(None, share=False)) / count
            critical = critical_against(sizes.tolist(), 0, float(variants * (count - 1)), level)
            t = np.abs(means[:, 1:] - means[:, :1]) / np.sqrt(errors[:, 1:] + errors[:, :1])
            alarmed |= (t > critical).any(axis=1)
        shares.append(float(alarmed.mean()))
    return tuple(shares)
