"""Which variant is better, and is it real: the verdicts of a table and of a pair.

In come scores and one metric, out come rows and flat records. All judging is done in `core.spread`; here
the variants of an experiment are handed to it, always as a whole table, so that a pair gets the same verdict
wherever it is shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from core.errors import UserError
from core.results.loading import Scores
from core.results.noise import noise_to_come, run_mean_components
from core.results.reading import PLAIN, Reading
from core.results.run_values import Measured, check_variants, measured
from core.spread.intervals import Summary
from core.spread.planning import noise_interval, runs_needed
from core.spread.scope_verdicts import compare_scope, comparisons_beside
from core.spread.scopes import SCOPES, summarize_scope
from core.spread.verdict import Comparison, Verdicts, judge

LARGEST_TABLE_WITH_LETTERS = 60
"""Beyond this many variants the letters of a table help nobody and their number may explode."""


@dataclass(frozen=True)
class Row:
    """A variant in the table of one metric. None is unknown, or has no meaning for the baseline.

    `letters` are known at scope "recipe". `sd_training` and `sd_evaluation` split the spread of run means.
    """

    variant: str
    summary: Summary
    letters: str | None
    comparison: Comparison | None
    sd_training: float | None
    sd_evaluation: float | None
    unit: str = "share"

    @property
    def verdict(self) -> str | None:
        """The word that holds for the table as a whole; None for the baseline."""
        return None if self.comparison is None else self.comparison.verdict


@dataclass(frozen=True)
class Judged:
    """One metric of an experiment at a scope, every variant against every other with the whole table in
    view.
    """

    measured: Measured
    scope: str
    baseline: str
    level: float
    verdicts: Verdicts | None

    def between(self, a: str, b: str) -> Comparison:
        """Variant b against variant a."""
        if self.verdicts is not None:
            return self.verdicts.between(a, b)
        others = sum(bool(runs) for name, runs in self.measured.values.items() if name != self.baseline)
        beside = comparisons_beside(
            others,
            with_baseline=self.baseline in (a, b),
            baseline_evaluated=bool(self.measured.values[self.baseline]),
        )
        return compare_scope(
            self.measured.values[a],
            self.measured.values[b],
            self.scope,
            self.level,
            self.measured.higher_is_better,
            beside,
            self.measured.shared,
            self.measured.resolution,
        )

    def beside(self, a: str, b: str) -> int:
        """How many comparisons stand beside each other where this pair is one of them: those with the
        baseline, or all of the table."""
        if self.verdicts is None:
            names = [name for name, runs in self.measured.values.items() if runs]
            pairs = list(combinations(names, 2))
        else:
            pairs = [pair for pair, found in self.verdicts.pairs.items() if found.p is not None]
        return sum(self.baseline in pair or self.baseline not in (a, b) for pair in pairs)

    @property
    def letters(self) -> dict[str, str]:
        """Grouping letters, where there are any."""
        few = len(self.measured.values) <= LARGEST_TABLE_WITH_LETTERS
        return self.verdicts.letters if self.verdicts is not None and few else {}


def judged(scores: Scores, metric: str, reading: Reading = PLAIN) -> Judged:
    """The verdicts of a table by one metric. Raises `UserError` for an unknown baseline, and where the lender
    of a reading tells nothing of the noise of this metric."""
    found = measured(scores, metric, reading.aggregation)
    baseline, level = reading.baseline_of(scores), reading.level
    verdicts = None
    if reading.scope == "recipe":
        better, borrowed = found.higher_is_better, reading.borrowed(scores, metric)
        verdicts = judge(found.per_run, baseline, level, better, found.resolution, borrowed)
    return Judged(found, reading.scope, baseline, level, verdicts)


def verdict_rows(scores: Scores, metric: str, reading: Reading = PLAIN) -> list[Row]:
    """One row per variant, best first, those without a number last.

    `pass_n` is never compared between variants with different numbers of attempts. Raises `UserError` like
    `judged`, and where a scope needs more than the experiment knows.
    """
    scope, level = reading.scope, reading.level
    if scores.experiment.summaries and scope != "recipe":
        raise UserError(
            f"'{scores.experiment.name}' holds means, stds and n of trainings, and nothing of single ones."
            " Choose scope 'recipe'."
        )
    table = judged(scores, metric, reading)
    found, comparable = table.measured, is_comparable(scores, metric)
    letters = table.letters if comparable else {}
    rows = []
    for variant, runs in found.values.items():
        split = None if scores.experiment.summaries else run_mean_components([runs], shared=found.shared)
        rows.append(
            Row(
                variant,
                summarize_scope(runs, scope, level, found.shared, found.resolution),
                letters.get(variant),
                table.between(table.baseline, variant) if comparable and variant != table.baseline else None,
                None if split is None else split["training"].sd,
                None if split is None else split.sd_between_evaluations,
                found.unit,
            )
        )
    sign = -1 if found.higher_is_better else 1
    return sorted(rows, key=lambda row: (bool(np.isnan(row.summary.mean)), sign * row.summary.mean))


def is_comparable(scores: Scores, metric: str) -> bool:
    """Whether variants may be compared: `pass_n` needs equal numbers of attempts."""
    if metric != "pass_n" or not scores.columns:
        return True
    most = scores.columns["attempts"].max(axis=1, initial=0)
    return bool(np.all(most == most[:1]))


def compare_records(
    scores: Scores,
    a: str,
    b: str,
    reading: Reading = PLAIN,
    scopes: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """Variant b against a: metric, main, unit, scope, difference (b − a), low, high, p, verdict, runs_needed,
    runs_needed_low, runs_needed_high, p_alone, level, comparisons.

    low, high, p and verdict are those of the whole table, as in `results` with the same reading; p_alone is
    that of the pair, had nothing else been compared, `comparisons` how many stand beside it. For every metric
    of the reading all scopes that the scores allow, unless some are named; the reading's own scope does not
    count. Raises `UserError` for an unknown variant and for `pass_n` of different numbers of attempts.
    """
    check_variants(scores, a, b)
    allowed = [scope for scope in SCOPES if scope != "new_tasks" or not scores.experiment.imported]
    if scores.experiment.summaries:
        allowed = ["recipe"]
    records = []
    for metric in reading.metrics_of(scores):
        if not is_comparable(scores, metric):
            raise UserError(
                "pass_n of runs with different numbers of attempts can't be compared. Use pass_k."
            )
        for scope in scopes or allowed:
            table = judged(scores, metric, replace(reading, scope=scope))
            found = table.between(a, b)
            several = sum(bool(runs) for runs in table.measured.values.values())
            records.append(
                {
                    "metric": metric,
                    "main": metric == scores.experiment.metrics[0],
                    "unit": table.measured.unit,
                    "scope": scope,
                    "difference": None if np.isnan(found.difference) else found.difference,
                    "low": found.low,
                    "high": found.high,
                    "p": found.p,
                    "verdict": found.verdict,
                    **_runs_needed(found, table, several, with_baseline=table.baseline in (a, b)),
                    "p_alone": found.p_alone,
                    "level": table.level,
                    "comparisons": table.beside(a, b),
                }
            )
    return records


def _runs_needed(
    found: Comparison, table: Judged, variants: int, *, with_baseline: bool
) -> dict[str, int | None]:
    """The runs per variant that find the difference seen, and those for the ends of its interval and of that
    of the std.

    The difference seen is no more than a guess at the true one, so the number alone would promise too much:
    where the interval holds 0, no number of runs is enough, and `runs_needed_high` is None. All are None for
    a pair without the baseline: plans are for differences from it, which the verdict finds more easily.
    """
    unknown: dict[str, int | None] = dict.fromkeys(("runs_needed", "runs_needed_low", "runs_needed_high"))
    if not with_baseline:
        return unknown
    if table.verdicts is None or table.verdicts.std is None or found.low is None or found.high is None:
        return unknown
    noise = noise_to_come(table.measured, table.verdicts.std**2, table.verdicts.freedom)
    least, most = noise_interval(noise, table.level)
    if least is None or most is None:
        return unknown
    far = max(abs(found.low), abs(found.high))
    near = 0.0 if found.low <= 0 <= found.high else min(abs(found.low), abs(found.high))
    plans = {
        "runs_needed": (found.difference, noise),
        "runs_needed_low": (far, least),
        "runs_needed_high": (near, most),
    }
    return {
        name: runs_needed(size, one, max(2, variants), level=table.level)
        for name, (size, one) in plans.items()
    }
