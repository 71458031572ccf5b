"""Numbers as people read them: `41.2 ± 0.8 (n = 3)` in percent, with no more digits than the spread deserves.

In come fractions, out comes text. Digits follow the rule of the Particle Data Group (Review of Particle
Physics, introduction, §5.3): two of the std where they are at most 35, else one.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from core.errors import UserError
from core.results.loading import Scores
from core.spread.metrics import describe

if TYPE_CHECKING:
    from core.results.verdicts import Noise

UNKNOWN = "–"
MOST_DECIMALS = 4

OVER = {
    "checkpoint": "these trained models, evaluated with other seeds; it says nothing of other trainings",
    "recipe": "new trainings of the same recipe, on the same tasks",
    "new_tasks": "new trainings of the same recipe, on new tasks of the same kind",
}
ALONE = {
    "checkpoint": "One evaluation of each model",
    "recipe": "One training",
    "new_tasks": "One training, or one task",
}
"""What there is of a variant whose spread is unknown at a scope."""
UNITS = {"checkpoint": "evaluations", "recipe": "trainings", "new_tasks": "trainings"}
FORMS = {
    "by_task": "mean over a task's outputs, then over tasks",
    "by_output": "mean over all outputs",
    "all_outputs": "a task counts only if all its outputs are right",
}


def decimals_for(spread: float | None) -> int:
    """Decimals that a std (in the unit shown) deserves; 1 where it is unknown or 0."""
    if spread is None or not math.isfinite(spread) or spread <= 0:
        return 1
    power = math.floor(math.log10(spread))
    leading = spread / 10.0**power
    digits = 2 if leading < 3.55 or leading >= 9.5 else 1
    if leading >= 9.5:
        power += 1
    return min(MOST_DECIMALS, max(0, digits - 1 - power))


def percent(value: float | None, decimals: int = 1, sign: bool = False) -> str:
    """A fraction in percent (or a difference in points), with a real minus; unknown is a dash."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    text = f"{100 * value:{'+' if sign else ''}.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "−")


def mean_and_std(record: Mapping[str, Any], with_n: bool = True) -> str:
    """`41.2 ± 0.8 (n = 3)`; without ± where the std is unknown."""
    n = f" (n = {record['n']})" if with_n else ""
    if record["mean"] is None:
        return UNKNOWN
    std = record["std"]
    if std is None:
        return f"{percent(record['mean'])}{n}"
    decimals = decimals_for(100 * std)
    return f"{percent(record['mean'], decimals)} ± {percent(std, decimals)}{n}"


def interval(low: float | None, high: float | None, sign: bool = False) -> str:
    """`[40.1, 42.3]`; a dash where it is unknown."""
    if low is None or high is None:
        return UNKNOWN
    decimals = _decimals_of_interval(low, high)
    return f"[{percent(low, decimals, sign)}, {percent(high, decimals, sign)}]"


def difference(change: float | None, low: float | None, high: float | None) -> str:
    """`+2.2 [+0.9, +3.5]` in points; the interval is left out where it is unknown."""
    if low is None or high is None:
        return percent(change, 1, sign=True)
    decimals = _decimals_of_interval(low, high)
    return f"{percent(change, decimals, sign=True)} {interval(low, high, sign=True)}"


def _decimals_of_interval(low: float, high: float) -> int:
    """Decimals that half its width deserves, and up to two more where an end would be taken for the 0 that
    it is not: an interval that just excludes 0 must not show it."""
    deserved = decimals_for(50 * (high - low))
    ends = [abs(100 * end) for end in (low, high) if end]
    enough = (
        decimals
        for decimals in range(deserved, min(deserved + 2, MOST_DECIMALS) + 1)
        if all(round(end, decimals) for end in ends)
    )
    return next(enough, deserved)


def metric_sentence(metric: str) -> str:
    """What a metric means; metrics from elsewhere are only known by name."""
    try:
        return describe(metric)
    except UserError:
        return "A metric of the imported results."


def scope_sentence(scores: Scores, scope: str, aggregation: str) -> str:
    """Over what the numbers of a table generalise, in one line."""
    counts = [len(places) for runs in scores.runs.values() for places in runs.values()]
    each = _range(counts)
    averaged = f", each averaged over {each} evaluations" if each != "1" and scope != "checkpoint" else ""
    form = "" if scores.experiment.imported else f"; {FORMS[aggregation]}"
    return f"Percent, mean ± std over n {UNITS[scope]}{averaged}{form}. Generalises over: {OVER[scope]}."


def evaluated_sentence(scores: Scores) -> str:
    """What was evaluated: tasks, sources, attempts."""
    if scores.experiment.imported:
        return f"Imported from {scores.experiment.origin}: no values per task."
    by_source: dict[str, int] = {}
    for source, _ in scores.tasks:
        by_source[source] = by_source.get(source, 0) + 1
    tasks = " and ".join(f"{count} tasks of {source}" for source, count in by_source.items())
    return f"{tasks}, {scores.attempts} attempts at each test output"


def missing_sentence(scores: Scores) -> str:
    """How many outputs were never attempted and count as wrong; empty where all were."""
    nothing = int((scores.columns["attempts"] == 0).sum()) if scores.columns else 0
    return f"{nothing} test outputs have no attempt and count as wrong." if nothing else ""


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts, default=0), max(counts, default=0)
    return str(low) if low == high else f"{low}–{high}"


def noise_sentence(noise: "Noise") -> str:
    """Where the noise of one run's mean comes from, in points."""
    parts = {"evaluation": noise.evaluation, "training": noise.training, "tasks": noise.tasks}
    shown = [f"{name} {_points(sd)}" for name, sd in parts.items() if sd is not None]
    return f"Noise: {' · '.join(shown)} points." if shown else ""


def _points(sd: float) -> str:
    return "≈ 0" if sd == 0 else percent(sd, decimals_for(100 * sd))


def spread_text(record: Mapping[str, Any]) -> tuple[str, str]:
    """A component's std in points, with "≈ 0" for a variance that came out negative, and its freedom."""
    freedom = f"{record['degrees_of_freedom']:g}"
    if record["variance"] is None:
        return UNKNOWN, freedom
    points = 100 * record["sd"]
    return ("≈ 0" if record["variance"] <= 0 else percent(record["sd"], decimals_for(points))), freedom
