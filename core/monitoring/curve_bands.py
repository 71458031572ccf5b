"""Curves of many runs as one line with a band: mean and sample std over the runs of a variant.

Steps are gathered into stretches, since runs need not report at the same steps. What a run reports within a
stretch is averaged first, then the runs: the spread is that between trainings, whoever reported oftener.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

STRETCHES = 120

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Band:
    """Mean over runs at `steps`; `std` is NaN where a single run reaches; `runs` is how many do."""

    steps: Floats
    mean: Floats
    std: Floats
    runs: npt.NDArray[np.int64]


def band(
    lines: Sequence[tuple[Sequence[int], Sequence[float]]], last_step: int, stretches: int = STRETCHES
) -> Band:
    """The band of runs given as (steps, values), in equal stretches from 0 to `last_step`; stretches that no
    run reports in are left out."""
    width = max(1.0, last_step / stretches)
    count = int(np.ceil(last_step / width)) + 1
    table = np.full((len(lines), count), np.nan)
    middle = np.zeros(count)
    weight = np.zeros(count)
    for row, (steps, values) in enumerate(lines):
        at, found = np.asarray(steps, float), np.asarray(values, float)
        kept = np.isfinite(found)
        at, found = at[kept], found[kept]
        place = np.clip((at / width).astype(int), 0, count - 1)
        number = np.bincount(place, minlength=count)
        reached = number > 0
        table[row, reached] = np.bincount(place, found, count)[reached] / number[reached]
        middle += np.bincount(place, at, count)
        weight += number
    runs = np.isfinite(table).sum(axis=0)
    kept = runs > 0
    table, runs = table[:, kept], runs[kept]
    mean = np.nansum(table, axis=0) / runs
    squares = np.nansum((table - mean) ** 2, axis=0)
    std = np.where(runs > 1, np.sqrt(squares / np.maximum(1, runs - 1)), np.nan)
    return Band(middle[kept] / weight[kept], mean, std, runs)


def smoothed(values: Sequence[float], weight: float) -> Floats:
    """Exponential moving average, started at the first value without bias (Kingma & Ba 2015, §3); `weight`,
    0 to below 1, is that of the past."""
    found = np.asarray(values, float)
    if weight <= 0 or found.size == 0:
        return found
    average, total = 0.0, 0.0
    result = np.empty_like(found)
    for place, value in enumerate(found.tolist()):
        if np.isfinite(value):
            average = weight * average + (1 - weight) * value
            total = weight * total + (1 - weight)
        result[place] = average / total if total else np.nan
    return result
