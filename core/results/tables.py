"""Tables of results: mean ± std per variant and metric, and the number of every run behind them.

In come the scores of an experiment, out come flat records. What a number is worth is decided in
`core.spread`; here it is only put together: variants → runs → evaluations → tasks.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import UserError
from core.results.loading import Floats, Scores, load_scores
from core.spread.intervals import Summary
from core.spread.metrics import output_metric, parse_metric, task_values
from core.spread.scopes import run_means, summarize_scope


def result_records(
    root: Path,
    experiment: str,
    metrics: Sequence[str] | None = None,
    aggregation: str = "by_task",
    scope: str = "recipe",
    level: float = 0.95,
) -> list[dict[str, Any]]:
    """One record per variant and metric: variant, metric, aggregation, scope, mean, std, n, low, high.

    Variants in the order of the spec, metrics (the spec's where none are named) in the order given.
    Fractions, None for unknown. Raises `UserError` where nothing is evaluated yet.
    """
    scores = with_evaluations(load_scores(root, experiment))
    return records_of(scores, metrics or scores.experiment.metrics, aggregation, scope, level)


def records_of(
    scores: Scores,
    metrics: Sequence[str],
    aggregation: str = "by_task",
    scope: str = "recipe",
    level: float = 0.95,
) -> list[dict[str, Any]]:
    """The same from scores at hand."""
    values = {metric: variant_values(scores, metric, aggregation) for metric in dict.fromkeys(metrics)}
    return [
        {
            "variant": variant,
            "metric": metric,
            "aggregation": None if scores.experiment.imported else aggregation,
            "scope": scope,
            **_numbers(summarize_scope(values[metric][variant], scope, level)),
        }
        for variant in scores.variants
        for metric in values
    ]


def _numbers(summary: Summary) -> dict[str, Any]:
    mean = None if np.isnan(summary.mean) else summary.mean
    return {
        "mean": mean,
        "std": summary.std,
        "n": summary.n,
        "low": summary.low,
        "high": summary.high,
    }


def with_evaluations(scores: Scores) -> Scores:
    """The scores themselves. Raises `UserError` where there is no evaluation so far."""
    if not scores.evaluations:
        name = scores.experiment.name
        raise UserError(
            f"No run of '{name}' is evaluated yet. See how far they are: python -m core runs list {name}"
        )
    return scores


def check_variants(scores: Scores, *names: str) -> None:
    """Raise `UserError` where the experiment has no variant of one of these names."""
    for name in names:
        if name not in scores.variants:
            known = ", ".join(scores.variants)
            raise UserError(f"'{scores.experiment.name}' has no variant '{name}'. Known: {known}.")


def variant_values(scores: Scores, metric: str, aggregation: str = "by_task") -> dict[str, list[Any]]:
    """What `core.spread` takes: for each variant its runs, each an array (evaluations, tasks).

    For results from elsewhere (evaluations,). Variants without evaluations have no runs.
    """
    values = evaluation_values(scores, metric, aggregation)
    return {variant: [values[places] for places in runs.values()] for variant, runs in scores.runs.items()}


def evaluation_values(scores: Scores, metric: str, aggregation: str = "by_task") -> Floats:
    """The values of a metric, shape (evaluations, tasks); (evaluations,) for results from elsewhere.

    Their mean over tasks is the metric in the form asked for. Raises `UserError` for unknown names.
    """
    if scores.experiment.imported:
        if metric not in scores.numbers:
            known = ", ".join(scores.numbers)
            raise UserError(f"'{scores.experiment.name}' holds no metric '{metric}'. Known: {known}.")
        return scores.numbers[metric]
    values = output_metric(metric, scores.columns)
    if aggregation == "by_output":
        return _flat_by_task(values, scores.task_index)
    return task_values(values, scores.task_index, aggregation)


def _flat_by_task(values: Floats, task_index: np.ndarray[Any, Any]) -> Floats:
    """Values per task whose mean is the flat mean over outputs.

    The flat mean is a ratio, Σ sums / Σ outputs. With R the ratio, m a task's number of outputs and m̄
    its mean, the linearised value R + (sum − R·m) / m̄ (Cochran 1977, chapter 6) has R as its mean over
    tasks, and the spread over tasks that R has.
    """
    outputs = np.bincount(task_index)
    sums = task_values(values, task_index) * outputs
    ratio = values.mean(axis=-1, keepdims=True)
    return np.asarray(ratio + (sums - ratio * outputs) / outputs.mean())


def run_records(scores: Scores, metric: str, aggregation: str = "by_task") -> list[dict[str, Any]]:
    """One record per run: variant, train_seed, value, evaluations, std_evaluations.

    `value` is the mean over the run's evaluations, `std_evaluations` their std, None where there is one.
    """
    values = variant_values(scores, metric, aggregation)
    records = []
    for variant, runs in scores.runs.items():
        means = run_means(values[variant])
        for (seed, places), mean, run in zip(runs.items(), means, values[variant], strict=True):
            within = summarize_scope([run], "checkpoint")
            records.append(
                {
                    "variant": variant,
                    "train_seed": seed,
                    "value": None if np.isnan(mean) else float(mean),
                    "evaluations": len(places),
                    "std_evaluations": within.std,
                }
            )
    return records


def progress_sentence(scores: Scores) -> str:
    """How much of what was asked for is evaluated, as in "2 of 4 runs evaluated"; empty where all is."""
    asked = scores.experiment
    runs = scores.runs
    counts = [len(runs[variant].get(seed, [])) for variant in asked.variants for seed in asked.train_seeds]
    whole = sum(count >= len(asked.eval_seeds) for count in counts)
    if whole == len(counts):
        return ""
    started = sum(0 < count < len(asked.eval_seeds) for count in counts)
    return f"{whole} of {len(counts)} runs evaluated" + (f", {started} in part" if started else "")


def offered_metrics(scores: Scores) -> list[str]:
    """Metrics that these scores can answer: the spec's first, then all others."""
    if scores.experiment.imported:
        return list(scores.experiment.metrics)
    rescored = ("rescored_1", "rescored_2") if np.isfinite(scores.columns["rescored_rank"]).any() else ()
    budgets = [k for k in (2**power for power in range(13)) if k <= scores.attempts]
    names = [
        *("accuracy", "correct_pixels", "max_correct_pixels", "correct_size", "any_correct_size"),
        *("unanswered", "vote_1", "vote_2", "expected_vote_1", "expected_vote_2", "pass_n"),
        *rescored,
        *(f"pass_{k}" for k in budgets),
    ]
    return list(dict.fromkeys([*scores.experiment.metrics, *names]))


def is_binary(metric: str) -> bool:
    """Whether a metric asks for exactly right answers, so that weak models sit on its floor."""
    try:
        family, _ = parse_metric(metric)
    except UserError:
        return False
    return family in ("accuracy", "pass_n", "pass_k", "vote_k", "rescored_k", "expected_vote_k")
