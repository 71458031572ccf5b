"""Variants that share their trained models, compared pair by pair: with and without test-time training.

In come the scores of an experiment and the records of its runs, out come records as `compare_records` makes
them, at the scope `SHARED`.
"""

from pathlib import Path
from typing import Any

import numpy as np

from core.results.loading import Scores
from core.results.reading import PLAIN, Reading
from core.results.run_values import check_variants, measured
from core.runs.fingerprints import share_a_training
from core.runs.layout import Run
from core.spread.paired_trainings import PairedTrainings, paired_trainings

SHARED = "shared trainings"
MEANING = (
    "new trainings of the recipe that both start from, on the same tasks; each trained model is compared with"
    " itself, this pair of variants alone"
)


def shared_trainings(root: Path, scores: Scores, a: str, b: str) -> list[int]:
    """The train seeds whose runs of both variants answered from the same trained model."""
    check_variants(scores, a, b)
    if scores.experiment.imported:
        return []
    name = scores.experiment.name
    both = sorted(set(scores.runs[a]) & set(scores.runs[b]))
    return [seed for seed in both if share_a_training(Run(root, name, a, seed), Run(root, name, b, seed))]


def paired(
    root: Path,
    scores: Scores,
    a: str,
    b: str,
    metric: str,
    aggregation: str = "by_task",
    level: float = 0.95,
) -> PairedTrainings | None:
    """Variant b against a over the trained models that they share; None where they share none.

    Raises `UserError` for an unknown variant or metric.
    """
    seeds = shared_trainings(root, scores, a, b)
    if not seeds:
        return None
    found = measured(scores, metric, aggregation)
    first, second = (
        [dict(zip(scores.runs[variant], found.per_run[variant], strict=True))[seed] for seed in seeds]
        for variant in (a, b)
    )
    step = found.resolution.step
    return paired_trainings(first, second, level, higher_is_better=found.higher_is_better, step=step)


def paired_records(
    root: Path,
    scores: Scores,
    a: str,
    b: str,
    reading: Reading = PLAIN,
) -> list[dict[str, Any]]:
    """A record per metric of the reading, with the keys of `compare_records`, `trainings` and `std`,
    `apart_std` (of single differences: as paired, and had the two been trained apart); none where the
    variants share no training."""
    records = []
    for metric in reading.metrics_of(scores):
        found = paired(root, scores, a, b, metric, reading.aggregation, reading.level)
        if found is None:
            return []
        records.append(
            {
                "metric": metric,
                "main": metric == scores.experiment.metrics[0],
                "unit": scores.unit(metric),
                "scope": SHARED,
                "difference": None if np.isnan(found.difference) else found.difference,
                "low": found.low,
                "high": found.high,
                "p": found.p,
                "verdict": found.verdict,
                **dict.fromkeys(("runs_needed", "runs_needed_low", "runs_needed_high")),
                "p_alone": found.p,
                "level": reading.level,
                "comparisons": 1,
                "trainings": found.n,
                "std": found.std,
                "apart_std": found.apart_std,
            }
        )
    return records
