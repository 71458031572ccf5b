"""How many runs an experiment needs, from the spread between the runs that it has.

In come scores, out come flat records: what a design can show, or what a wanted difference needs. A design is
runs, evaluations, tasks and attempts of each variant; its noise follows from the components of the runs at
hand, and its power is that of the verdict that will be shown.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from core.errors import UserError
from core.preflight.pilot_noise import Design, Pilot, pilot
from core.results.loading import Scores
from core.results.number_format import scale_of, spread_text_of, unit_words
from core.spread.planning import detectable_difference, noise_interval, power, runs_needed

RUNS_SHOWN = (2, 3, 5, 10, 20)
EVALUATIONS_SHOWN = (1, 2, 4, 8)
TIMES_MORE = (2, 4)


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
    if not known_noise.carries_over:
        return
    yield from (replace(base, evaluations=count) for count in EVALUATIONS_SHOWN if count != base.evaluations)
    if base.tasks:
        yield from (replace(base, tasks=times * base.tasks) for times in TIMES_MORE)
    if base.attempts and known_noise.averages_attempts:
        yield from (replace(base, attempts=times * base.attempts) for times in TIMES_MORE)


def _detectable_record(
    metric: str, known_noise: Pilot, design: Design, wanted: float, level: float
) -> dict[str, Any]:
    noise = known_noise.noise_for(design)
    found, low, high = (
        None if one is None else detectable_difference(one, design.runs, design.variants, wanted, level)
        for one in (noise, *noise_interval(noise, level))
    )
    return _record(metric, known_noise, design, found, wanted, low, high)


def _needed_record(
    metric: str, known_noise: Pilot, design: Design, difference: float, wanted: float, level: float
) -> dict[str, Any]:
    noise = known_noise.noise_for(design)
    runs, low, high = (
        None if one is None else runs_needed(difference, one, design.variants, wanted, level)
        for one in (noise, *noise_interval(noise, level))
    )
    reached = None if runs is None else power(difference, noise, runs, design.variants, level)
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
    unequal = len({len(runs) for runs in scores.runs.values() if runs}) > 1
    return design_sentence(metric, known_noise, known_noise.design, ", the fewest here," if unequal else "")


def design_sentence(metric: str, known_noise: Pilot, design: Design, remark: str = "") -> str:
    """Which difference from the baseline a design shows in 4 of 5 cases, and with twice the runs; in
    words. `remark` stands behind the number of runs.
    """
    if design.runs < 2 or design.variants < 2:
        return "One run per variant shows no difference: noise is seen between runs. Add train_seeds."
    here = _detectable_record(metric, known_noise, design, 0.8, 0.95)
    twice = _detectable_record(metric, known_noise, replace(design, runs=2 * design.runs), 0.8, 0.95)
    unit, words = known_noise.unit, unit_words(known_noise.unit, of_difference=True)
    start = f"With {design.runs} runs{remark} of each of {design.variants} variants,"
    more = "none" if twice["difference"] is None else spread_text_of(twice["difference"], unit)
    if here["difference"] is None:
        return (
            f"{start} no difference of {metric} from the baseline is sure to be found in 4 of 5 cases: these"
            f" runs tell the noise on {known_noise.noise.freedom:g} degrees of freedom. With"
            f" {2 * design.runs} runs, {more}{' is' if more == 'none' else f' {words} are'}."
        )
    unsure = ""
    if here["low"] is not None:
        high = "the end of the scale" if here["high"] is None else spread_text_of(here["high"], unit)
        unsure = (
            f" ({spread_text_of(here['low'], unit)} to {high}, as {known_noise.noise.freedom:g} degrees of"
            f" freedom tell the noise)"
        )
    return (
        f"{start} a difference from the baseline of {spread_text_of(here['difference'], unit)} {words} of"
        f" {metric} is found in 4 of 5 cases where variants go on to vary as these do{unsure}; with"
        f" {2 * design.runs} runs, {more}."
    )
