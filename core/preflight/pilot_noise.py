"""A pilot: what the runs at hand tell of the noise of a metric, and so of that of other designs.

A design is runs, evaluations, tasks and attempts of each variant; its noise follows from the components of
the runs at hand.
"""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from core.errors import UserError
from core.results.loading import SHARE, Scores
from core.results.noise import (
    noise_to_come,
    pooled_between_runs,
    run_mean_components,
    task_components,
)
from core.results.number_format import spread_text_of, unit_words
from core.results.run_values import measured
from core.scoring.metrics import parse_metric
from core.spread.planning import std_interval
from core.spread.power_simulation import RunNoise

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
    """What is known of the noise of a metric: that between run means, pooled over variants, and its sources.

    `design` is what was run. The variances are those of a training, of training and task together, of an
    evaluation (the part that is not common to all runs) and of single answers; None where the runs can't
    split them.
    """

    noise: RunNoise
    design: Design
    unit: str = SHARE
    training: float | None = None
    interplay: float | None = None
    evaluation: float | None = None
    residual: float | None = None
    averages_attempts: bool = False

    @property
    def carries_over(self) -> bool:
        """Whether the runs split their noise, so that other evaluations and tasks can be planned."""
        return self.training is not None and self.evaluation is not None

    def noise_for(self, design: Design) -> RunNoise:
        """The noise between run means of another design: the std seen, times √ of what the components make of
        both.

        σ²_training + σ²_task×training / T + σ²_evaluation / E + σ²_residual / (T·E) (Miller 2024, with
        trainings).
        """
        here, there = self._expected(self.design), self._expected(design)
        times = 1.0 if not here or there is None else (there / here) ** 0.5
        return replace(self.noise, std=self.noise.std * times, step=self._step_for(design))

    def _step_for(self, design: Design) -> float | None:
        if self.noise.step is None:
            return None
        parts = [(self.design.evaluations, design.evaluations), (self.design.tasks, design.tasks)]
        parts += [(self.design.attempts, design.attempts)] if self.averages_attempts else []
        return self.noise.step * float(np.prod([(here or 1) / (there or here or 1) for here, there in parts]))

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
    noise = pooled_between_runs(found)
    name = scores.experiment.name
    if noise is None:
        raise UserError(
            f"Nobody can plan {metric} of '{name}' from one run per variant: the std is unknown."
            " Add train_seeds to the spec and launch it again."
        )
    variants = list(found.values.values())
    design = _design(scores)
    summaries, shared = scores.experiment.summaries, found.shared
    of_means = None if summaries else run_mean_components(variants, shared=shared)
    own = "training×evaluation" if shared else "evaluation"
    # one evaluation each would spread the run means at least so far
    alone = 0.0 if of_means is None else max(0.0, of_means[own].variance or 0.0) / design.evaluations
    variance = max(noise.variance, alone)
    if not variance > 0:
        raise UserError(
            f"The runs of '{name}' can't tell how large the noise of {metric} is: those of each variant"
            " scored the same. Plan with a finer metric, such as correct_pixels, or add train_seeds."
        )
    family = "" if scores.experiment.imported else parse_metric(metric)[0]
    plain = Pilot(noise_to_come(found, variance, noise.freedom), design, found.unit)
    split = of_means
    if not summaries and not scores.experiment.imported:
        split = task_components(variants, shared=shared)
    if split is None:
        return plain
    values = {part.name: None if part.variance is None else max(0.0, part.variance) for part in split.parts}
    return replace(
        plain,
        training=values["training"],
        interplay=values["task×training"],
        evaluation=values[own],
        residual=values["residual"],
        averages_attempts=family in AVERAGED_OVER_ATTEMPTS,
    )


def _design(scores: Scores) -> Design:
    """The fewest runs of any variant, and the evaluations that most runs got; a variant alone is planned
    beside another."""
    counts = [len(runs) for runs in scores.runs.values() if runs]
    places = Counter(len(found) for runs in scores.runs.values() for found in runs.values())
    return Design(
        max(2, len(counts)),
        min(counts),
        places.most_common(1)[0][0],
        len(scores.tasks) or None,
        scores.attempts or None,
    )


def noise_known(scores: Scores, metric: str, aggregation: str = "by_task") -> str:
    """How sure the std between runs is, in words, or why nothing is known of it."""
    try:
        return std_sentence(pilot(scores, metric, aggregation))
    except UserError as problem:
        return str(problem)


def std_sentence(known_noise: Pilot, level: float = 0.95) -> str:
    """How sure the pilot's std is."""
    noise = known_noise.noise
    low, high = std_interval(noise.std, noise.freedom, level)
    words = unit_words(known_noise.unit, of_difference=True)
    std = f"The std between runs is {spread_text_of(noise.std, known_noise.unit)} {words}".rstrip()
    if low is None or high is None:
        return f"{std}."
    ends = " to ".join(spread_text_of(end, known_noise.unit) for end in (low, high))
    return (
        f"{std}; {noise.freedom:g} degrees of freedom leave {ends} possible, and all numbers here"
        " depend on it."
    )
