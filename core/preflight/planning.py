"""How many runs an experiment needs, from the spread between the runs that it has.

In come scores, out come flat records: what the runs at hand can detect, or the runs for a wanted difference.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import UserError
from core.results.loading import Scores
from core.results.number_format import decimals_for, percent
from core.results.tables import variant_values
from core.spread.comparisons import pooled_std
from core.spread.components import pooled, run_components
from core.spread.planning import Plan, detectable_difference, plan, std_interval, std_of_run
from core.spread.scopes import run_means

RUNS_SHOWN = (2, 3, 5, 10, 20)
EVALUATIONS_SHOWN = (1, 2, 4, 8)


@dataclass(frozen=True)
class Pilot:
    """What is known of the noise of a metric: std between run means (pooled over variants), and its split.

    `runs` and `evaluations` are the usual numbers per variant and per run. The variances are None
    where one evaluation per run can't split them.
    """

    std: float
    freedom: int
    runs: int
    evaluations: int
    training_variance: float | None
    evaluation_variance: float | None


def pilot(scores: Scores, metric: str, aggregation: str = "by_task") -> Pilot:
    """The pilot that the runs at hand are. Raises `UserError` where no variant has two runs."""
    values = variant_values(scores, metric, aggregation)
    means = {variant: run_means(runs) for variant, runs in values.items()}
    std = pooled_std(means.values())
    if std is None:
        raise UserError(
            f"Nobody can plan '{scores.experiment.name}' from one run per variant: the std is unknown."
            " Add train_seeds to the spec and launch it again."
        )
    counts = {variant: len(runs) for variant, runs in scores.runs.items()}
    places = Counter(len(found) for runs in scores.runs.values() for found in runs.values())
    split = pooled(run_components(runs) for runs in values.values() if runs)
    known = split["evaluation"].variance is not None
    return Pilot(
        std,
        sum(max(0, count - 1) for count in counts.values()),
        Counter(count for count in counts.values() if count).most_common(1)[0][0],
        places.most_common(1)[0][0],
        split["training"].variance if known else None,
        split["evaluation"].variance if known else None,
    )


def plan_records(
    scores: Scores,
    metrics: Sequence[str],
    difference: float | None = None,
    power: float = 0.8,
    aggregation: str = "by_task",
    level: float = 0.95,
) -> list[dict[str, Any]]:
    """metric, difference, runs_per_variant, evaluations_per_run, power.

    Without a `difference` (a fraction) the smallest that several numbers of runs detect with this power;
    with one, the runs that it needs for several numbers of evaluations, and the power that these reach.
    """
    records = []
    for metric in metrics:
        known = pilot(scores, metric, aggregation)
        if difference is None:
            for runs in sorted({*RUNS_SHOWN, max(2, known.runs)}):
                found = detectable_difference(known.std, runs, power, level)
                records.append(_record(metric, found, runs, known.evaluations, power))
            continue
        for evaluations in _evaluations(known):
            wanted = plan_for(known, difference, evaluations, power, level)
            records.append(_record(metric, difference, wanted.runs, evaluations, wanted.power))
    return records


def plan_for(
    known: Pilot, difference: float, evaluations: int, power: float = 0.8, level: float = 0.95
) -> Plan:
    """Runs per variant for a difference, with so many evaluations of each run."""
    variance = _variance_with(known, evaluations)
    return plan(difference, variance, 0.0, evaluations, known.freedom, power, level)


def _variance_with(known: Pilot, evaluations: int) -> float:
    """Variance between run means with so many evaluations; never larger with more of them.

    σ²_training + σ²_evaluation / evaluations; where σ²_training came out negative, this and the variance
    seen differ, and the seen one is the bound.
    """
    seen = known.std**2
    if known.training_variance is None or evaluations == known.evaluations:
        return seen
    expected = std_of_run(known.training_variance, known.evaluation_variance or 0.0, evaluations) ** 2
    return min(seen, expected) if evaluations > known.evaluations else max(seen, expected)


def detectable_sentence(scores: Scores, metric: str, aggregation: str = "by_task") -> str:
    """What the runs at hand can detect, in words; empty where no std is known."""
    try:
        known = pilot(scores, metric, aggregation)
    except UserError:
        return ""
    found = detectable_difference(known.std, known.runs)
    if found is None:
        return ""
    points = percent(found, decimals_for(100 * found))
    return (
        f"With {known.runs} runs per variant, differences from {points} points are found in 4 of 5 cases;"
        f" with {2 * known.runs}, from {_detected(known.std, 2 * known.runs)}."
    )


def _detected(std: float, runs: int) -> str:
    found = detectable_difference(std, runs)
    return percent(found, decimals_for(None if found is None else 100 * found))


def std_sentence(known: Pilot, level: float = 0.95) -> str:
    """How sure the pilot's std is, in points."""
    low, high = std_interval(known.std, known.freedom, level)
    if low is None or high is None:
        return f"The std between runs is {100 * known.std:.2g} points."
    return (
        f"The std between runs is {100 * known.std:.2g} points; {known.freedom} degrees of freedom leave"
        f" {100 * low:.2g} to {100 * high:.2g} possible, and all numbers here depend on it."
    )


def _evaluations(known: Pilot) -> list[int]:
    if known.training_variance is None:
        return [known.evaluations]
    return sorted({*EVALUATIONS_SHOWN, known.evaluations})


def _record(
    metric: str, difference: float | None, runs: int | None, evaluations: int, power: float | None
) -> dict[str, Any]:
    return {
        "metric": metric,
        "difference": difference,
        "runs_per_variant": runs,
        "evaluations_per_run": evaluations,
        "power": power,
    }
