"""How many runs an experiment needs, from the spread between the runs that it has.

In come scores, out come flat records: what a design can show, or what a wanted difference needs. A design is
runs, evaluations, tasks and attempts of each variant; its noise follows from the components of the runs at
hand, and its power is that of the verdict that will be shown.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from core.errors import UserError
from core.results.loading import SHARE, Scores
from core.results.number_format import scale_of, spread_text_of, unit_words
from core.results.tables import Measured, measured
from core.scoring.metrics import parse_metric
from core.spread.components import Components, components, pooled, run_components
from core.spread.crossed import shared_components, shared_run_components
from core.spread.intervals import known, mean_and_variance
from core.spread.planning import detectable_difference, power, runs_needed, std_interval
from core.spread.verdict import pooled_noise

RUNS_SHOWN = (2, 3, 5, 10, 20)
EVALUATIONS_SHOWN = (1, 2, 4, 8)
TIMES_MORE = (2, 4)
AVERAGED_OVER_ATTEMPTS = ("accuracy", "correct_pixels", "correct_size", "unanswered")


@dataclass(frozen=True)
class Design:
    """What each variant of an experiment gets. `tasks` and `attempts` are None where results came from
    elsewhere.
    """

    variants: int
    runs: int
    evaluations: int
    tasks: int | None = None
    attempts: int | None = None


@dataclass(frozen=True)
class Pilot:
    """What is known of the noise of a metric: the std between run means, pooled over variants, and its
    sources.

    `design` is what was run, `freedom` the degrees of freedom of `std`. The variances are those of a
    training, of training and task together, of an evaluation (the part that is not common to all runs) and of
    single answers; None where the runs can't split them. `step` is how much one task or attempt moves a
    score.
    """

    std: float
    freedom: float
    design: Design
    step: float | None
    unit: str = SHARE
    training: float | None = None
    interplay: float | None = None
    evaluation: float | None = None
    residual: float | None = None
    averages_attempts: bool = False

    def std_for(self, design: Design) -> float:
        """The std between run means of another design: the one seen, times √ of what the components make of
        both.

        σ²_training + σ²_task×training / T + σ²_evaluation / E + σ²_residual / (T·E) (Miller 2024, with
        trainings).
        """
        here, there = self._expected(self.design), self._expected(design)
        return self.std if not here or there is None else self.std * (there / here) ** 0.5

    def step_for(self, design: Design) -> float | None:
        """The step of a score of another design."""
        if self.step is None:
            return None
        parts = [(self.design.evaluations, design.evaluations), (self.design.tasks, design.tasks)]
        parts += [(self.design.attempts, design.attempts)] if self.averages_attempts else []
        return self.step * float(np.prod([(here or 1) / (there or here or 1) for here, there in parts]))

    def _expected(self, design: Design) -> float | None:
        if self.training is None or self.evaluation is None:
            return None
        tasks = design.tasks or self.design.tasks or 1
        answers = (self.residual or 0.0) / (tasks * design.evaluations)
        if self.averages_attempts and design.attempts and self.design.attempts:
            answers *= self.design.attempts / design.attempts
        return (
            self.training + (self.interplay or 0.0) / tasks + self.evaluation / design.evaluations + answers
        )


def pilot(scores: Scores, metric: str, aggregation: str = "by_task") -> Pilot:
    """The pilot that the runs at hand are.

    Its std is never below what the evaluation noise alone makes. Raises `UserError` where no variant has two
    known runs, and where all runs of every variant scored the same: that tells nothing of how large the noise
    is.
    """
    found = measured(scores, metric, aggregation)
    runs = [known(own)[0] for own in found.per_run.values()]
    variances = [mean_and_variance(own)[1] for own in runs]
    noise = pooled_noise(
        [np.nan if variance is None else variance for variance in variances], [own.size for own in runs]
    )
    name = scores.experiment.name
    if noise is None:
        raise UserError(
            f"Nobody can plan {metric} of '{name}' from one run per variant: the std is unknown."
            " Add train_seeds to the spec and launch it again."
        )
    split = _split(found, scores)
    design = _design(scores)
    alone = _alone(found, scores) / design.evaluations
    variance = max(noise.variance, alone)
    if not variance > 0:
        raise UserError(
            f"The runs of '{name}' can't tell how large the noise of {metric} is: those of each variant"
            f" scored the"
            " same. Plan with a finer metric, such as correct_pixels, or add train_seeds."
        )
    family = "" if scores.experiment.imported else parse_metric(metric)[0]
    plain = Pilot(variance**0.5, noise.freedom, design, found.resolution.step, found.unit)
    if split is None:
        return plain
    own = "training×evaluation" if "training×evaluation" in split else "evaluation"
    values = {part.name: None if part.variance is None else max(0.0, part.variance) for part in split.parts}
    return replace(
        plain,
        training=values["training"],
        interplay=values["task×training"],
        evaluation=values[own],
        residual=values["residual"],
        averages_attempts=family in AVERAGED_OVER_ATTEMPTS,
    )


def _split(found: Measured, scores: Scores) -> Components | None:
    """Components of single tasks where there are some, else of run means; None where nothing is known."""
    if scores.experiment.summaries:
        return None
    if scores.experiment.imported:
        decompose = run_components
    else:
        decompose = shared_components if found.shared else components
    tables = []
    for runs in found.values.values():
        try:
            tables.append(decompose(runs))
        except ValueError:  # no known score
            continue
    return pooled(tables) if tables else None


def _alone(found: Measured, scores: Scores) -> float:
    """The variance between run means that one evaluation each would make by itself; 0 where it is unknown."""
    if scores.experiment.summaries:
        return 0.0
    tables = []
    for runs in found.values.values():
        try:
            tables.append(shared_run_components(runs) if found.shared else run_components(runs))
        except ValueError:
            continue
    if not tables:
        return 0.0
    part = pooled(tables)["training×evaluation" if found.shared else "evaluation"]
    return max(0.0, part.variance or 0.0)


def _design(scores: Scores) -> Design:
    """What most variants and runs of an experiment got."""
    counts = [len(runs) for runs in scores.runs.values() if runs]
    places = Counter(len(found) for runs in scores.runs.values() for found in runs.values())
    return Design(
        len(counts),
        Counter(counts).most_common(1)[0][0],
        places.most_common(1)[0][0],
        len(scores.tasks) or None,
        scores.attempts or None,
    )


def plan_records(
    scores: Scores,
    metrics: Sequence[str],
    points: float | None = None,
    wanted: float = 0.8,
    aggregation: str = "by_task",
    level: float = 0.95,
    variants: int | None = None,
    tasks: int | None = None,
    evaluations: int | None = None,
    attempts: int | None = None,
) -> list[dict[str, Any]]:
    """metric, unit, difference, runs_per_variant, evaluations_per_run, power, tasks, attempts, variants, low,
    high.

    Without `points` (percentage points of a share, else the metric's unit) the smallest that several numbers
    of runs show with the power `wanted`; `low` and `high` bound it by how well the pilot knows the noise.
    With one, the runs that it needs, for several numbers of evaluations and for more tasks and attempts;
    `low` and `high` bound the runs. Given numbers describe the design to be launched; the rest is as in the
    pilot.
    """
    records: list[dict[str, Any]] = []
    given = {"variants": variants, "tasks": tasks, "evaluations": evaluations, "attempts": attempts}
    for metric in metrics:
        try:
            from_runs = pilot(scores, metric, aggregation)
        except UserError:
            if len(metrics) == 1:
                raise
            continue  # the others can be planned
        base = replace(
            from_runs.design, **{name: value for name, value in given.items() if value is not None}
        )
        if points is None:
            records += [
                _detectable_record(metric, from_runs, replace(base, runs=runs), wanted, level)
                for runs in sorted({*RUNS_SHOWN, max(2, base.runs)})
            ]
            continue
        for design in _designs(from_runs, base):
            difference = points / scale_of(from_runs.unit)
            records.append(_needed_record(metric, from_runs, design, difference, wanted, level))
    return records


def _designs(known_noise: Pilot, base: Design) -> Iterator[Design]:
    """The design itself, then with other numbers of evaluations, more tasks and more attempts, one at a
    time.
    """
    yield base
    if known_noise.training is None:
        return
    yield from (replace(base, evaluations=count) for count in EVALUATIONS_SHOWN if count != base.evaluations)
    if base.tasks:
        yield from (replace(base, tasks=times * base.tasks) for times in TIMES_MORE)
    if base.attempts and known_noise.averages_attempts:
        yield from (replace(base, attempts=times * base.attempts) for times in TIMES_MORE)


def _detectable_record(
    metric: str, known_noise: Pilot, design: Design, wanted: float, level: float
) -> dict[str, Any]:
    std, step = known_noise.std_for(design), known_noise.step_for(design)
    found, low, high = (
        None if one is None else detectable_difference(one, design.runs, design.variants, wanted, level, step)
        for one in (std, *std_interval(std, known_noise.freedom, level))
    )
    return _record(metric, known_noise, design, found, wanted, low, high)


def _needed_record(
    metric: str, known_noise: Pilot, design: Design, difference: float, wanted: float, level: float
) -> dict[str, Any]:
    std, step = known_noise.std_for(design), known_noise.step_for(design)
    runs, low, high = (
        None if one is None else runs_needed(difference, one, design.variants, wanted, level, step)
        for one in (std, *std_interval(std, known_noise.freedom, level))
    )
    reached = None if runs is None else power(difference, std, runs, design.variants, level, step)
    record = _record(metric, known_noise, design, difference, reached, low, high)
    return {**record, "runs_per_variant": runs}


def _record(
    metric: str,
    known_noise: Pilot,
    design: Design,
    difference: float | None,
    reached: float | None,
    low: float | None,
    high: float | None,
) -> dict[str, Any]:
    return {
        "metric": metric,
        "unit": known_noise.unit,
        "difference": difference,
        "runs_per_variant": design.runs,
        "evaluations_per_run": design.evaluations,
        "power": reached,
        "tasks": design.tasks,
        "attempts": design.attempts,
        "variants": design.variants,
        "low": low,
        "high": high,
    }


def detectable_sentence(scores: Scores, metric: str, aggregation: str = "by_task") -> str:
    """What the runs at hand can detect, in words; why nobody knows where no std is known."""
    if scores.experiment.summaries:
        return ""
    try:
        known_noise = pilot(scores, metric, aggregation)
    except UserError as problem:
        return str(problem)
    return design_sentence(metric, known_noise, known_noise.design)


def design_sentence(metric: str, known_noise: Pilot, design: Design) -> str:
    """Which difference from the baseline a design shows in 4 of 5 cases, and with twice the runs; in
    words.
    """
    if design.runs < 2 or design.variants < 2:
        return "One run per variant shows no difference: noise is seen between runs. Add train_seeds."
    here = _detectable_record(metric, known_noise, design, 0.8, 0.95)
    twice = _detectable_record(metric, known_noise, replace(design, runs=2 * design.runs), 0.8, 0.95)
    words = unit_words(known_noise.unit, of_difference=True)
    unsure = ""
    if here["low"] is not None and here["high"] is not None:
        low, high = (spread_text_of(here[end], known_noise.unit) for end in ("low", "high"))
        unsure = f" ({low} to {high}, as {known_noise.freedom:g} degrees of freedom tell the noise)"
    return (
        f"With {design.runs} runs of each of {design.variants} variants, a difference from the baseline of"
        f" {spread_text_of(here['difference'], known_noise.unit)} {words} of {metric} is found in 4 of 5"
        f" cases{unsure}; with {2 * design.runs} runs,"
        f" {spread_text_of(twice['difference'], known_noise.unit)}."
    )


def noise_known(scores: Scores, metric: str, aggregation: str = "by_task") -> str:
    """How sure the std between runs is, in words, or why nothing is known of it."""
    try:
        return std_sentence(pilot(scores, metric, aggregation))
    except UserError as problem:
        return str(problem)


def std_sentence(known_noise: Pilot, level: float = 0.95) -> str:
    """How sure the pilot's std is."""
    low, high = std_interval(known_noise.std, known_noise.freedom, level)
    words = unit_words(known_noise.unit, of_difference=True)
    std = f"The std between runs is {spread_text_of(known_noise.std, known_noise.unit)} {words}".rstrip()
    if low is None or high is None:
        return f"{std}."
    ends = " to ".join(spread_text_of(end, known_noise.unit) for end in (low, high))
    return (
        f"{std}; {known_noise.freedom:g} degrees of freedom leave {ends} possible, and all numbers here"
        " depend on it."
    )
