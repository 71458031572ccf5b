"""Alarms: signs that a number is not what it seems, each a pure function of a few facts.

An alarm does not say that something is wrong, but that a person must look before believing the run.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from core.number_words import share_text

MOST_CUT = 0.05
MOST_UNANSWERED = 0.20
LEAST_SEEN_ACCURACY = 0.5
MOST_CHANGED = 0.25

ALARMS: dict[str, str] = {
    "identical_predictions": "two evaluations with different seeds answered alike",
    "identical_trainings": "two trainings with different seeds answered alike",
    "same_as_base": "the adapter answers as the base model does",
    "cut": f"more than {share_text(MOST_CUT, 0)} of the answers are cut at the token limit",
    "unanswered": f"more than {share_text(MOST_UNANSWERED, 0)} of the attempts hold no grid",
    "nan_loss": "the loss was no number",
    "low_seen_accuracy": "tasks seen in training are rarely solved, as where prompt and answer don't fit",
    "leaks": "evaluated tasks, or twins of them, are in the training mixture",
    "not_deterministic": "the same seed gave other answers",
    "computed_unlike": "runs of one table were computed in different ways",
}
"""Every alarm with what it says."""


@dataclass(frozen=True)
class Alarm:
    """One alarm: its name in `ALARMS`, the value that set it off, and what a person should know."""

    name: str
    value: float
    detail: str


@dataclass(frozen=True)
class Answers:
    """What an evaluation answered, in short: counts, shares, and fingerprints of all answers and of all
    views; these are None where they were not read, as nobody answered alike."""

    attempts: int
    cut: float
    unanswered: float
    texts: str | None = None
    views: str | None = None


def identical(groups: Mapping[int, Answers], name: str, what: str) -> dict[int, Alarm]:
    """For each seed whose answers equal those of another seed, an alarm; `what` names the seeds."""
    found = {}
    for seed, answers in groups.items():
        others = (other for other in groups if other != seed and groups[other].texts == answers.texts)
        same = next(others, None)
        if same is not None and answers.texts is not None:
            though = "" if groups[same].views == answers.views else ", though the views differ"
            detail = f"all {answers.attempts} answers equal those of {what} {same}{though}"
            found[seed] = Alarm(name, 1.0, detail)
    return found


def shares(answers: Answers) -> list[Alarm]:
    """Alarms for too many answers that are cut or hold no grid."""
    found = []
    if answers.cut > MOST_CUT:
        detail = f"{share_text(answers.cut, 0)} are cut; raise inference.max_output_tokens or max_model_len"
        found.append(Alarm("cut", answers.cut, detail))
    if answers.unanswered > MOST_UNANSWERED:
        detail = f"{share_text(answers.unanswered, 0)} hold no grid; inference.only_grids allows nothing else"
        found.append(Alarm("unanswered", answers.unanswered, detail))
    return found


def losses(steps: Iterable[tuple[int, float | None]]) -> list[Alarm]:
    """An alarm for the first step whose loss is no finite number; None is a loss that was not recorded."""
    for step, loss in steps:
        if loss is not None and not math.isfinite(loss):
            return [Alarm("nan_loss", float(step), f"first at step {step}; lower training.learning_rate")]
    return []


def seen_accuracy(values: Sequence[float]) -> list[Alarm]:
    """An alarm where the accuracy on tasks seen in training ends low; none where it was not measured."""
    if not values or values[-1] >= LEAST_SEEN_ACCURACY:
        return []
    detail = f"{share_text(values[-1], 0)} of the tasks seen in training are solved at its end"
    return [Alarm("low_seen_accuracy", values[-1], detail)]


def leaks(tasks: int) -> list[Alarm]:
    """An alarm where evaluated tasks are in the mixture."""
    if not tasks:
        return []
    return [Alarm("leaks", float(tasks), f"{tasks} evaluated tasks are trained on; list them under exclude")]


def repeated(equal: int, compared: int, *, exact: bool = True) -> list[Alarm]:
    """An alarm where a repeated evaluation did not give every answer again; in 16 bits, where the last bits
    of a sum depend on what is asked beside it, where more than `MOST_CHANGED` of them differ."""
    if equal >= compared * (1 if exact else 1 - MOST_CHANGED):
        return []
    share = 1 - equal / compared
    more = "" if exact else f", more than {share_text(MOST_CHANGED, 0)} that rounding may change"
    detail = f"{compared - equal} of {compared} repeated answers differ{more}"
    return [Alarm("not_deterministic", share, detail)]


def computed_unlike(what: str, ways: Mapping[tuple[str, int], str]) -> dict[tuple[str, int], Alarm]:
    """For each run whose `what` was computed in another way than that of most, an alarm."""
    usual, count = Counter(ways.values()).most_common(1)[0]
    return {
        run: Alarm(
            "computed_unlike", 1.0, f"its {what} by {way}, that of {count} of {len(ways)} runs by {usual}"
        )
        for run, way in ways.items()
        if way != usual
    }


def same_as_base(equal: int, compared: int) -> list[Alarm]:
    """An alarm where the base model gives every answer that its adapter gave."""
    if not compared or equal < compared:
        return []
    return [Alarm("same_as_base", 1.0, f"all {compared} answers compared are the base model's")]
