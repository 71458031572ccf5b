"""Which variant is better, and is it real: the verdicts of a table, of a pair, and the noise behind them.

In come scores and one metric, out come rows and flat records. All judging is done in `core.spread`; here
the variants of an experiment are handed to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import UserError
from core.results.loading import Scores
from core.results.tables import check_variants, variant_values
from core.spread.comparisons import Comparison, against_baseline, compare_scope
from core.spread.components import Components, components, pooled, run_components
from core.spread.intervals import SCOPES, Summary
from core.spread.metrics import higher_is_better
from core.spread.pairs import all_pairs, letters_of_pairs
from core.spread.scopes import run_means, summarize_scope

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

    @property
    def verdict(self) -> str | None:
        """The word that holds for the table as a whole (Holm), where there is one."""
        if self.comparison is None:
            return None
        return self.comparison.verdict_holm or self.comparison.verdict


def verdict_rows(
    scores: Scores,
    metric: str,
    aggregation: str = "by_task",
    scope: str = "recipe",
    baseline: str | None = None,
    level: float = 0.95,
) -> list[Row]:
    """One row per variant, best first, those without a number last.

    The baseline is the spec's unless another is named. `pass_n` is never compared between variants with
    different numbers of attempts.
    """
    values = variant_values(scores, metric, aggregation)
    reference = baseline or scores.experiment.baseline
    upwards = higher_is_better(metric)
    comparisons: dict[str, Comparison] = {}
    letters: dict[str, str] = {}
    if is_comparable(scores, metric):
        comparisons = against_baseline(values, reference, scope, level, upwards)
        if scope == "recipe" and len(values) <= LARGEST_TABLE_WITH_LETTERS:
            per_run = {variant: run_means(runs) for variant, runs in values.items()}
            letters = letters_of_pairs(per_run, all_pairs(per_run, level, upwards), level, upwards)
    rows = []
    for variant, runs in values.items():
        split = _split(runs)
        rows.append(
            Row(
                variant,
                summarize_scope(runs, scope, level),
                letters.get(variant),
                comparisons.get(variant),
                None if split is None else split["training"].sd,
                None if split is None else split["evaluation"].sd,
            )
        )
    sign = -1 if upwards else 1
    return sorted(rows, key=lambda row: (bool(np.isnan(row.summary.mean)), sign * row.summary.mean))


def is_comparable(scores: Scores, metric: str) -> bool:
    """Whether variants may be compared: `pass_n` asks for equal numbers of attempts."""
    if metric != "pass_n" or not scores.columns:
        return True
    most = scores.columns["attempts"].max(axis=1, initial=0)
    return bool(np.all(most == most[:1]))


def _split(runs: Sequence[Any]) -> Components | None:
    """Training and evaluation components of the run means; None where nothing is known."""
    try:
        return run_components(runs)
    except ValueError:
        return None


@dataclass(frozen=True)
class Noise:
    """How much the mean of one run would move: by another evaluation, another training, other tasks.

    Standard deviations as fractions, pooled over the variants; None is unknown.
    """

    evaluation: float | None
    training: float | None
    tasks: float | None


def noise(scores: Scores, metric: str, aggregation: str = "by_task") -> Noise:
    """The noise of a metric: √ of the evaluation and training variance of run means, and of σ²_task / T."""
    values = list(variant_values(scores, metric, aggregation).values())
    tables = [table for table in map(_split, values) if table is not None]
    if not tables:
        return Noise(None, None, None)
    split = pooled(tables)
    cells = _pooled_cells(scores, values)
    task = cells["task"].sd if cells else None
    over_tasks = None if task is None or cells is None else task / cells.tasks**0.5
    return Noise(split["evaluation"].sd, split["training"].sd, over_tasks)


def _pooled_cells(scores: Scores, values: Sequence[Sequence[Any]]) -> Components | None:
    if scores.experiment.imported:
        return None
    tables = []
    for runs in values:
        try:
            tables.append(components(runs))
        except ValueError:
            continue
    return pooled(tables) if tables else None


def compare_records(
    scores: Scores,
    a: str,
    b: str,
    metrics: Sequence[str],
    scopes: Sequence[str] | None = None,
    aggregation: str = "by_task",
    level: float = 0.95,
) -> list[dict[str, Any]]:
    """Variant b against a: metric, scope, difference (b − a), low, high, p, verdict, runs_needed.

    For every metric all scopes that the scores allow, unless some are named. Raises `UserError` for an
    unknown variant and for `pass_n` of different numbers of attempts.
    """
    check_variants(scores, a, b)
    allowed = [scope for scope in SCOPES if scope != "new_tasks" or not scores.experiment.imported]
    records = []
    for metric in metrics:
        if not is_comparable(scores, metric):
            raise UserError(
                "pass_n of runs with different numbers of attempts can't be compared. Use pass_k."
            )
        values = variant_values(scores, metric, aggregation)
        for scope in scopes or allowed:
            found = compare_scope(values[a], values[b], scope, level, higher_is_better(metric))
            records.append(_comparison_record(metric, scope, found))
    return records


def _comparison_record(metric: str, scope: str, found: Comparison) -> dict[str, Any]:
    return {
        "metric": metric,
        "scope": scope,
        "difference": None if np.isnan(found.difference) else found.difference,
        "low": found.low,
        "high": found.high,
        "p": found.p,
        "verdict": found.verdict,
        "runs_needed": found.runs_needed,
    }


ALL_VARIANTS = "(all)"
OF_RUN_MEANS = " of run means"


def spread_records(
    scores: Scores, metrics: Sequence[str], aggregation: str = "by_task", level: float = 0.95
) -> list[dict[str, Any]]:
    """Where the spread comes from: variant, metric, component, variance, sd, degrees_of_freedom.

    Components "training of run means" and "evaluation of run means" come from one number per evaluation;
    task, training, task×training, evaluation and residual from single tasks, where they are known. The
    variant "(all)" pools what varies within variants.
    """
    records = []
    for metric in metrics:
        values = variant_values(scores, metric, aggregation)
        kept = {variant: table for variant, runs in values.items() if (table := _split(runs)) is not None}
        tables: dict[str, list[tuple[Components, str]]] = {
            variant: [(table, OF_RUN_MEANS)] for variant, table in kept.items()
        }
        if kept:
            tables[ALL_VARIANTS] = [(pooled(kept.values(), level), OF_RUN_MEANS)]
        if kept and not scores.experiment.imported:
            cells = {variant: components(values[variant], level) for variant in kept}
            for variant, table in cells.items():
                tables[variant].append((table, ""))
            tables[ALL_VARIANTS].append((pooled(cells.values(), level), ""))
        records += [
            record
            for variant, found in tables.items()
            for table, ending in found
            for record in _component_records(variant, metric, table, ending)
        ]
    return records


def _component_records(variant: str, metric: str, table: Components, ending: str) -> list[dict[str, Any]]:
    shown = [part for part in table.parts if not ending or part.name in ("training", "evaluation")]
    return [
        {
            "variant": variant,
            "metric": metric,
            "component": f"{part.name}{ending}",
            "variance": part.variance,
            "sd": part.sd,
            "degrees_of_freedom": part.degrees_of_freedom,
        }
        for part in shown
    ]
