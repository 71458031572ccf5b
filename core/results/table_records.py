"""The table of results as flat records: mean ± std per variant and metric, with the verdict on each.

In come the scores of an experiment, out come the records that verbs, pages and exports share.
"""

from typing import Any

import numpy as np

from core.results.loading import Scores
from core.results.reading import PLAIN, Reading
from core.results.verdicts import Row, verdict_rows


def records_of(scores: Scores, reading: Reading = PLAIN) -> list[dict[str, Any]]:
    """One record per variant and metric: variant, metric, main, unit, aggregation, scope, baseline, mean,
    std, n, low, high, verdict, verdict_difference, verdict_low, verdict_high.

    Variants in the order of the spec, metrics in that of the reading. Fractions, None for unknown; the
    verdict on the baseline is None. `main` is true for the first metric of the spec, the only one that is
    judged; the verdicts on the others are exploratory. Raises `UserError` like `verdict_rows`.
    """
    records, metrics = {}, reading.metrics_of(scores)
    for metric in metrics:
        for row in verdict_rows(scores, metric, reading):
            records[row.variant, metric] = {
                "variant": row.variant,
                "metric": metric,
                "main": metric == scores.experiment.metrics[0],
                "unit": row.unit,
                "aggregation": None if scores.experiment.imported else reading.aggregation,
                "scope": reading.scope,
                "baseline": reading.baseline_of(scores),
                **_numbers(row),
            }
    return [records[variant, metric] for variant in scores.variants for metric in metrics]


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
