"""The table of results as flat records: mean ± std per variant and metric, with the verdict on each.

In come the scores of an experiment, out come the records that verbs, pages and exports share.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.results.borrowed_noise import borrowed_noise
from core.results.loading import Scores, load_scores
from core.results.tables import with_evaluations
from core.results.verdicts import Row, verdict_rows


def result_records(
    root: Path,
    experiment: str,
    metrics: Sequence[str] | None = None,
    aggregation: str = "by_task",
    scope: str = "recipe",
    level: float = 0.95,
) -> list[dict[str, Any]]:
    """The records of an experiment, see `records_of`. Raises `UserError` where nothing is evaluated yet."""
    scores = with_evaluations(load_scores(root, experiment))
    return records_of(scores, metrics or scores.experiment.metrics, aggregation, scope, level)


def records_of(
    scores: Scores,
    metrics: Sequence[str],
    aggregation: str = "by_task",
    scope: str = "recipe",
    level: float = 0.95,
    lender: Scores | None = None,
    baseline: str | None = None,
) -> list[dict[str, Any]]:
    """One record per variant and metric: variant, metric, main, unit, aggregation, scope, baseline, mean,
    std, n, low, high, verdict, verdict_difference, verdict_low, verdict_high.

    Variants in the order of the spec, metrics in the order given. Fractions, None for unknown; the verdict on
    the baseline is None. `main` is true for the first metric of the spec, the only one that is judged; the
    verdicts on the others are exploratory. `lender` is an experiment whose noise judges (see
    `borrowed_noise`).
    """
    records, against = {}, baseline or scores.experiment.baseline
    for metric in dict.fromkeys(metrics):
        borrowed = None if lender is None else borrowed_noise(scores, lender, metric, aggregation)
        for row in verdict_rows(scores, metric, aggregation, scope, baseline, level, borrowed):
            records[row.variant, metric] = {
                "variant": row.variant,
                "metric": metric,
                "main": metric == scores.experiment.metrics[0],
                "unit": row.unit,
                "aggregation": None if scores.experiment.imported else aggregation,
                "scope": scope,
                "baseline": against,
                **_numbers(row),
            }
    return [records[variant, metric] for variant in scores.variants for metric in dict.fromkeys(metrics)]


def _numbers(row: Row) -> dict[str, Any]:
    summary, found = row.summary, row.comparison
    return {
        "mean": None if np.isnan(summary.mean) else summary.mean,
        "std": summary.std,
        "n": summary.n,
        "low": summary.low,
        "high": summary.high,
        "verdict": row.verdict,
        "verdict_difference": None if found is None or np.isnan(found.difference) else found.difference,
        "verdict_low": None if found is None else found.low,
        "verdict_high": None if found is None else found.high,
    }
