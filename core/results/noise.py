"""The noise behind a table: how much a run's mean would move, and from which sources.

In come scores and one metric, out come standard deviations and flat records. The components are those of
`core.spread`, pooled over the variants of an experiment.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import UserError
from core.results.loading import Scores
from core.results.run_values import Measured, measured
from core.spread.components import Components, components, pooled, run_components
from core.spread.crossed import shared_components, shared_run_components
from core.spread.intervals import known, mean_and_variance
from core.spread.judging_variance import BorrowedNoise, freedom_of_counts, pooled_noise
from core.spread.planning import std_interval
from core.spread.power_simulation import RunNoise
from core.spread.reml import reml

ALL_VARIANTS = "(all)"
OF_RUN_MEANS = " of run means"
BY_LIKELIHOOD = ", by likelihood"


def pooled_between_runs(found: Measured) -> BorrowedNoise | None:
    """The variance between runs, pooled over variants; None where no variant has two known runs."""
    runs = [known(own)[0] for own in found.per_run.values()]
    variances = [mean_and_variance(own)[1] for own in runs]
    return pooled_noise(
        [np.nan if variance is None else variance for variance in variances], [own.size for own in runs]
    )


def borrowed_noise(
    scores: Scores, lender: Scores, metric: str, aggregation: str = "by_task"
) -> BorrowedNoise:
    """The variance between runs of another experiment (or of this one), pooled over its variants.

    It must have measured the metric on as many evaluations per run, so that its runs vary as these do. Raises
    `UserError` where it has not, where none of its variants has two runs, and where its runs are all equal.
    """
    name = lender.experiment.name
    counts = [
        {len(places) for runs in one.runs.values() for places in runs.values()} for one in (scores, lender)
    ]
    if lender.experiment.name != scores.experiment.name and min(counts[0], default=1) < min(
        counts[1], default=1
    ):
        raise UserError(
            f"The runs of '{name}' have more evaluations each than these, so they vary less. Borrow the"
            f" noise of"
            " an experiment with as many."
        )
    units = [one.unit(metric) for one in (scores, lender)]
    if units[0] != units[1]:
        raise UserError(
            f"{metric} of '{name}' has the unit '{units[1]}', and here '{units[0]}', so its noise can't be"
            " borrowed. Name another experiment."
        )
    found = pooled_between_runs(measured(lender, metric, aggregation))
    if found is None or not found.variance > 0:
        raise UserError(
            f"'{name}' tells nothing of the noise between trainings of {metric}: no variant has two runs with"
            " different scores. Name another experiment."
        )
    return BorrowedNoise(found.variance, found.freedom, name)


def noise_to_come(found: Measured, variance: float, freedom: float) -> RunNoise:
    """What runs to come will vary by: a variance that is known on so many degrees of freedom, and the rate of
    a share."""
    runs = [own for own in (known(own)[0] for own in found.per_run.values()) if own.size]
    mean = float(np.mean([own.mean() for own in runs])) if found.resolution.share and runs else None
    step, seen = found.resolution.step, sum(own.size for own in runs)
    if found.counted and step is not None and mean is not None:
        freedom = round(freedom_of_counts(freedom, seen / len(runs), mean, step), 1)
    return RunNoise(variance**0.5, freedom, step, mean, seen, found.counted)


def run_mean_components(variants: Iterable[Sequence[Any]], *, shared: bool) -> Components | None:
    """Components of run means, pooled over variants; None without a known score. `shared`: all runs have the
    same views."""
    return _pooled(variants, shared_run_components if shared else run_components)


def task_components(variants: Iterable[Sequence[Any]], *, shared: bool) -> Components | None:
    """Components of single tasks, pooled over variants; None without a known score."""
    return _pooled(variants, shared_components if shared else components)


def _pooled(variants: Iterable[Sequence[Any]], decompose: Any) -> Components | None:
    tables = []
    for runs in variants:
        try:
            tables.append(decompose(runs))
        except ValueError:  # no known score
            continue
    return pooled(tables) if tables else None


@dataclass(frozen=True)
class Noise:
    """How much the mean of one run would move: by other evaluation seeds, another training, other tasks.

    Standard deviations as fractions, pooled over the variants; None is unknown. `common`: all runs have the
    same evaluations (equal seeds and views), and `own` is the part of `evaluation` that they do not have in
    common, which alone disturbs differences. `apart`: no two runs have an evaluation seed in
    common. `evaluations` is how many each run has, `training_high` the
    upper end of a 95 % interval.
    """

    evaluation: float | None
    training: float | None
    tasks: float | None
    common: bool = False
    own: float | None = None
    evaluations: int = 1
    training_high: float | None = None
    unit: str = "share"
    apart: bool = False

    @property
    def saved(self) -> float | None:
        """How many evaluations of its own each run would need to compare as well as with the common ones."""
        if not self.common or not self.own or self.evaluation is None:
            return None
        return self.evaluations * (self.evaluation / self.own) ** 2


def noise(scores: Scores, metric: str, aggregation: str = "by_task") -> Noise:
    """The noise of a metric: √ of the evaluation and training variance of run means, and of σ²_task / T."""
    found = measured(scores, metric, aggregation)
    values = list(found.values.values())
    split = None if scores.experiment.summaries else run_mean_components(values, shared=found.shared)
    if split is None:
        return Noise(None, None, None, unit=found.unit)
    task = None
    if not scores.experiment.imported:
        cells = task_components(values, shared=found.shared)
        sd = cells["task"].sd if cells else None
        task = None if sd is None or cells is None else sd / cells.tasks**0.5
    training = split["training"]
    seen = training.sd
    high = None
    if seen is not None and training.degrees_of_freedom:
        per_run = (training.mean_square or 0.0) / (split.evaluations / max(1, split.trainings))
        high = std_interval(per_run**0.5, training.degrees_of_freedom)[1]
    own = split["training×evaluation"].sd if found.shared else None
    each = round(split.evaluations / max(1, split.trainings))
    return Noise(
        split.sd_between_evaluations,
        seen,
        task,
        found.shared,
        own,
        each,
        high,
        found.unit,
        _are_apart(scores),
    )


def _are_apart(scores: Scores) -> bool:
    """Whether no two runs were evaluated with the same seed; results from elsewhere don't say."""
    seeds = [one.eval_seed for one in scores.evaluations]
    return not scores.experiment.imported and len(set(seeds)) == len(seeds)


def spread_records(
    scores: Scores, metrics: Sequence[str], aggregation: str = "by_task"
) -> list[dict[str, Any]]:
    """Where the spread comes from: variant, metric, unit, component, includes, variance, sd,
    degrees_of_freedom.

    Components "training of run means", "evaluation of run means" and, where all runs have the same views,
    "training×evaluation of run means" come from one number per evaluation; task, training, task×training and
    so on from single tasks, where they are known. `includes` names sources that the runs can't tell from the
    component, as evaluation where each run has one. The variant "(all)" pools what varies within variants.
    """
    records: list[dict[str, Any]] = []
    if scores.experiment.summaries:
        return records
    for metric in metrics:
        found = measured(scores, metric, aggregation)
        groups = {variant: [runs] for variant, runs in found.values.items()}
        groups[ALL_VARIANTS] = list(found.values.values())
        for variant, group in groups.items():
            table = None if scores.experiment.summaries else run_mean_components(group, shared=found.shared)
            if table is None:
                continue
            records += _component_records(variant, found, table, OF_RUN_MEANS)
            if variant == ALL_VARIANTS and not found.shared:
                records += _likelihood_records(found, group)
            if not scores.experiment.imported:
                cells = task_components(group, shared=found.shared)
                records += _component_records(variant, found, cells, "") if cells else []
    return records


def _likelihood_records(found: Measured, group: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """The same by restricted maximum likelihood, which weighs runs with few evaluations less."""
    likely = reml(group)
    parts = {"training": (likely.training, likely.training_freedom)}
    parts["evaluation"] = (likely.evaluation, likely.evaluation_freedom)
    return [
        {
            "variant": ALL_VARIANTS,
            "metric": found.metric,
            "unit": found.unit,
            "component": f"{name}{OF_RUN_MEANS}{BY_LIKELIHOOD}",
            "includes": "",
            "variance": variance,
            "sd": None if variance is None else variance**0.5,
            "degrees_of_freedom": freedom,
        }
        for name, (variance, freedom) in parts.items()
    ]


def _component_records(variant: str, found: Measured, table: Components, ending: str) -> list[dict[str, Any]]:
    of_runs = ("training", "evaluation", "training×evaluation")
    return [
        {
            "variant": variant,
            "metric": found.metric,
            "unit": found.unit,
            "component": f"{part.name}{ending}",
            "includes": ", ".join(name for name in part.includes if not ending or name in of_runs),
            "variance": part.variance,
            "sd": part.sd,
            "degrees_of_freedom": part.degrees_of_freedom,
        }
        for part in table.parts
        if not ending or part.name in of_runs
    ]
