"""Scores put together: variants → runs → evaluations → tasks, and the number of every run.

In come the scores of an experiment, out comes what `core.spread` judges, and flat records of runs.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from core.errors import UserError
from core.number_words import amount
from core.results.loading import SHARE, Floats, Scores
from core.scoring.metrics import check_for_search, form_of, output_metric, parse_metric, task_values
from core.settings import nearest
from core.spread.judging_variance import Resolution, resolution_of
from core.spread.scopes import run_means, summarize_scope

COUNTED = ("pass_n", "found", "vote_k", "rescored_k", "expected_vote_k", "any_correct_size")
"""Families of metrics that say yes or no of every test output."""


@dataclass(frozen=True)
class Measured:
    """One metric of an experiment, as `core.spread` takes it.

    `values` maps variants to runs, each an array (evaluations, tasks), or (evaluations,) for results from
    elsewhere. `shared`: all runs have the same evaluation seeds and made the same attempts, hence saw the
    same views. `counted`: the score is the share of tasks with a yes.
    """

    metric: str
    values: dict[str, list[Any]]
    shared: bool
    resolution: Resolution
    higher_is_better: bool
    unit: str = SHARE
    counted: bool = False

    @property
    def per_run(self) -> dict[str, Floats]:
        """One number per run: its evaluations averaged."""
        return {variant: run_means(runs) for variant, runs in self.values.items()}


def measured(scores: Scores, metric: str, aggregation: str = "by_task") -> Measured:
    """A metric with all that decides how it is judged. Raises `UserError` for a metric that is not there."""
    values = variant_values(scores, metric, aggregation)
    per_run = [run_means(runs) for runs in values.values()]
    found = resolution_of(per_run, _step(scores, metric, aggregation))
    unit = scores.unit(metric)
    return Measured(
        metric,
        values,
        has_shared_views(scores) and not any(np.isnan(run).any() for runs in values.values() for run in runs),
        # what stands for a mean and a std may lie outside of the scale; the mean itself does not
        replace(found, share=(found.share or scores.experiment.summaries) and unit == SHARE),
        scores.higher_is_better(metric),
        unit,
        not scores.experiment.imported and parse_metric(metric)[0] in COUNTED,
    )


def has_shared_views(scores: Scores) -> bool:
    """Whether all runs answer the same views: the same evaluation seeds, with the same attempts at every
    output. Runs may lack seeds, as those under way do, where each variant has one that lacks none.

    A view depends on evaluation seed, task, output and attempt alone. Results from elsewhere don't say.
    """
    variants = [list(runs.values()) for runs in scores.runs.values() if runs]
    if scores.experiment.imported or not variants or not scores.columns:
        return False
    by_seed: dict[int, int] = {}  # one evaluation of each seed
    for place, one in enumerate(scores.evaluations):
        by_seed.setdefault(one.eval_seed, place)
    if any(max(map(len, runs)) < len(by_seed) for runs in variants):
        return False
    attempts = scores.columns["attempts"]
    same = [by_seed[one.eval_seed] for one in scores.evaluations]
    return bool(np.array_equal(attempts, attempts[same]))


def _step(scores: Scores, metric: str, aggregation: str) -> float | None:
    """How much one task, or one attempt, moves the score of a run; None where only the scores can tell."""
    if scores.experiment.imported or not scores.columns:
        return None
    family, k = parse_metric(metric)
    counts = [len(places) for runs in scores.runs.values() for places in runs.values()]
    parts = (len(scores.outputs) if aggregation == "by_output" else len(scores.tasks)) * max(
        1, min(counts, default=1)
    )
    if family in COUNTED:
        return 1 / parts
    attempts = max(1, scores.attempts)
    if family in ("accuracy", "correct_size", "unanswered"):
        return 1 / (parts * attempts)
    return min(k, attempts) / (parts * attempts) if family == "pass_k" else None


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
            near = nearest(name, scores.variants)
            hint = f"Did you mean '{near}'?" if near else f"Known: {', '.join(scores.variants)}."
            raise UserError(f"'{scores.experiment.name}' has no variant '{name}'. {hint}")


def variant_values(scores: Scores, metric: str, aggregation: str = "by_task") -> dict[str, list[Any]]:
    """What `core.spread` takes: for each variant its runs, each an array (evaluations, tasks).

    For results from elsewhere (evaluations,). Variants without evaluations have no runs.
    """
    values = evaluation_values(scores, metric, aggregation)
    return {variant: [values[places] for places in runs.values()] for variant, runs in scores.runs.items()}


def evaluation_values(scores: Scores, metric: str, aggregation: str = "by_task") -> Floats:
    """The values of a metric, shape (evaluations, tasks); (evaluations,) for results from elsewhere.

    Their mean over tasks is the metric in the requested form. Raises `UserError` for unknown names.
    """
    if scores.experiment.imported:
        if metric not in scores.numbers:
            known = ", ".join(scores.numbers)
            raise UserError(f"'{scores.experiment.name}' holds no metric '{metric}'. Known: {known}.")
        return scores.numbers[metric]
    if scores.experiment.search:
        check_for_search(metric)
    values = output_metric(metric, scores.columns)
    form = form_of(metric, aggregation)
    if form == "by_output":
        return _flat_by_task(values, scores.task_index)
    return task_values(values, scores.task_index, form)


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
    Empty for results that came as mean, std and n: nobody knows their single runs.
    """
    if scores.experiment.summaries:
        return []
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


def dot_records(
    scores: Scores, metric: str, aggregation: str = "by_task", scope: str = "recipe"
) -> list[dict[str, Any]]:
    """What the chart shows as dots, one record each: variant, train_seed, value, evaluations, hint.

    Runs; at scope "checkpoint" evaluations, with what sets their run apart from the others taken out, as bar
    and whisker there are about evaluations of these models.
    """
    runs = run_records(scores, metric, aggregation)
    if scope != "checkpoint":
        return [
            {**run, "hint": f"train seed {run['train_seed']}, {amount(run['evaluations'], 'evaluations')}"}
            for run in runs
        ]
    values = evaluation_values(scores, metric, aggregation)
    means = values if values.ndim == 1 else values.mean(axis=1)
    level = {(run["variant"], run["train_seed"]): run["value"] for run in runs}
    known = {
        variant: np.mean(
            [run["value"] for run in runs if run["variant"] == variant and run["value"] is not None]
        )
        for variant in scores.variants
    }
    return [
        {
            "variant": one.variant,
            "train_seed": one.train_seed,
            "value": float(mean - (level[one.variant, one.train_seed] or 0.0) + known[one.variant]),
            "evaluations": 1,
            "hint": f"train seed {one.train_seed}, eval seed {one.eval_seed}, its run's own level taken out",
        }
        for one, mean in zip(scores.evaluations, means, strict=True)
        if not np.isnan(mean) and (one.variant, one.train_seed) in level
    ]


def progress_sentence(scores: Scores) -> str:
    """How much of what was requested is evaluated, as in "2 of 4 runs evaluated"; empty where all is."""
    spec = scores.experiment
    runs = scores.runs
    counts = [
        len(runs[variant].get(seed, []))
        for variant in spec.variants
        for seed in (*spec.train_seeds, *spec.more_seeds.get(variant, ()))
    ]
    whole = sum(count >= len(spec.eval_seeds) for count in counts)
    if whole == len(counts):
        return ""
    started = sum(0 < count < len(spec.eval_seeds) for count in counts)
    return f"{whole} of {len(counts)} runs evaluated" + (f", {started} in part" if started else "")


def offered_metrics(scores: Scores) -> list[str]:
    """Metrics that these scores can answer: the spec's first, then all others."""
    if scores.experiment.imported:
        return list(scores.experiment.metrics)
    rescored = ("rescored_1", "rescored_2") if np.isfinite(scores.columns["rescored_rank"]).any() else ()
    budgets = [k for k in (2**power for power in range(13)) if k <= scores.attempts]
    if scores.experiment.search:
        searched = ("found", "candidates", "max_correct_pixels", "any_correct_size", *rescored)
        return list(dict.fromkeys([*scores.experiment.metrics, *searched]))
    names = [
        *("accuracy", "correct_pixels", "max_correct_pixels", "correct_size", "any_correct_size"),
        *("unanswered", "vote_1", "vote_2", "expected_vote_1", "expected_vote_2", "pass_n"),
        *rescored,
        *(f"pass_{k}" for k in budgets),
    ]
    return list(dict.fromkeys([*scores.experiment.metrics, *names]))


def is_binary(metric: str) -> bool:
    """Whether a metric counts exactly right answers, so that weak models sit on its floor."""
    try:
        family, _ = parse_metric(metric)
    except UserError:
        return False
    return family in ("accuracy", "found", "pass_n", "pass_k", "vote_k", "rescored_k", "expected_vote_k")
