"""The simulation that chose the verdict: what its promises are worth over the tables that people make.

In come designs (how many variants and runs, which scores), out comes for each how often a table without any
true difference shows one, how often a difference of three standard deviations is found, and how often the
intervals hold the truth. It judges with the functions of `core.spread.verdict` themselves. Seeds are fixed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.scoring.metrics import Floats
from core.seeds import generator
from core.spread.intervals import share_interval
from core.spread.judging_variance import Resolution, judged_variances
from core.spread.scopes import scope_estimate
from core.spread.verdict import critical_against, critical_elsewhere

TASKS = 29
SCORES: dict[str, str] = {
    "equal": "normal scores with equal spreads",
    "baseline 2×": "normal scores, the baseline's std twice the others'",
    "another 2×": "normal scores, the std of one other variant twice the others'",
    "0.5 %": "counts of 29 tasks, each right in 0.5 % of runs",
    "2 %": "counts of 29 tasks, each right in 2 % of runs",
    "20 %": "counts of 29 tasks, each right in 20 % of runs",
}
SIZES: dict[str, tuple[int, int]] = {
    **{str(runs): (runs, runs) for runs in (2, 3, 5, 10)},
    "2 against 5": (2, 5),
    "2 against 10": (2, 10),
    "10 against 2": (10, 2),
}
"""Runs of the baseline and of every other variant."""
VARIANTS = (2, 6, 12)
SHIFT = 3.0


@dataclass(frozen=True)
class Design:
    """Scores of one of `SCORES`, for so many variants with one of `SIZES`."""

    scores: str
    runs: str
    variants: int

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Runs of each variant, the baseline first."""
        baseline, others = SIZES[self.runs]
        return np.array([baseline] + [others] * (self.variants - 1))


def designs(
    scores: Sequence[str] = tuple(SCORES),
    runs: Sequence[str] = tuple(SIZES),
    variants: Sequence[int] = VARIANTS,
) -> list[Design]:
    """The whole grid, or a part of it."""
    return [Design(kind, size, count) for kind in scores for size in runs for count in variants]


def simulate(chosen: Sequence[Design], tables: int = 20_000, level: float = 0.95) -> Iterator[dict[str, Any]]:
    """One record per design: scores, runs, variants, false_alarms, false_letters, power, coverage,
    coverage_of_means.

    `false_alarms`: tables without a true difference in which some verdict against the baseline is not "cannot
    tell"; `false_letters`: in which some pair shares no letter. `power`: the last variant is truly three
    standard deviations better (normal scores only) and its verdict says so. `coverage`: the least over the
    variants of the share of intervals of a difference that hold the true one; `coverage_of_means` the same
    for the means (2,000 tables).
    """
    for design in chosen:
        rng = generator(0, "simulate", design.scores, design.runs, design.variants)
        drawn, truth, resolution = _scores(design, tables, rng)
        sizes = design.sizes
        apart, covered = _judged(drawn, sizes, resolution, level)
        against = apart[:, 0, 1:]
        shifted = drawn.copy()
        shifted[:, -1] += SHIFT
        found, _ = _judged(shifted, sizes, resolution, level) if resolution.step is None else (None, None)
        yield {
            "scores": design.scores,
            "runs": design.runs,
            "variants": design.variants,
            "false_alarms": float(against.any(axis=1).mean()),
            "false_letters": float(apart.any(axis=(1, 2)).mean()),
            "power": None if found is None else float(found[:, 0, -1].mean()),
            "coverage": float(covered.mean(axis=0).min()),
            "coverage_of_means": _coverage_of_means(drawn[:2000], sizes, truth, resolution, level),
        }


def _scores(design: Design, tables: int, rng: np.random.Generator) -> tuple[Floats, float, Resolution]:
    """Scores (tables, variants, runs) with unused places NaN, the true mean of all variants, and their
    resolution.
    """
    shape = (tables, design.variants, int(design.sizes.max()))
    if design.scores.endswith("%"):
        chance = float(design.scores.removesuffix(" %")) / 100
        drawn, resolution = rng.binomial(TASKS, chance, size=shape) / TASKS, Resolution(1 / TASKS)
        truth = chance
    else:
        drawn, truth, resolution = rng.normal(size=shape), 0.0, Resolution(None, share=False)
        place = {"baseline 2×": 0, "another 2×": 1}.get(design.scores)
        if place is not None:
            drawn[:, place] *= 2
    drawn = np.where(np.arange(shape[2]) < design.sizes[:, None], drawn, np.nan)
    return drawn, truth, resolution


def _judged(
    drawn: Floats, sizes: NDArray[np.int64], resolution: Resolution, level: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which pairs (tables, variants, variants; upper half) the verdict tells apart, and whether the interval
    of each variant against the baseline holds the true difference of 0."""
    means, own = np.nanmean(drawn, axis=2), np.nanvar(drawn, axis=2, ddof=1)
    errors = judged_variances(means, own, sizes, resolution) / sizes
    freedom, variants = float((sizes - 1).sum()), len(sizes)
    against = critical_against(sizes.tolist(), 0, freedom, level)
    elsewhere = critical_elsewhere(variants, freedom, level) if variants > 2 else np.nan
    apart = np.zeros((len(drawn), variants, variants), dtype=bool)
    for i, j in combinations(range(variants), 2):
        critical = elsewhere if i else against
        apart[:, i, j] = np.abs(means[:, j] - means[:, i]) > critical * np.sqrt(errors[:, i] + errors[:, j])
    return apart, ~apart[:, 0, 1:]


def _coverage_of_means(
    drawn: Floats, sizes: NDArray[np.int64], truth: float, resolution: Resolution, level: float
) -> float:
    """The least over the baseline and one other variant of how often the interval of the mean holds the true
    one.
    """
    shares = []
    for place in (0, 1):
        hits = 0
        for runs in drawn[:, place, : sizes[place]]:
            over = scope_estimate(runs.tolist(), "recipe", resolution=resolution)
            ends = (
                share_interval(over, int(sizes[place]), level, resolution.step) if resolution.share else None
            )
            low, high = ends or over.interval(level)
            hits += low is not None and high is not None and low <= truth <= high
        shares.append(hits / len(drawn))
    return min(shares)
