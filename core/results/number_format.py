"""Numbers as people read them: `41.2 ± 0.8 (n = 3)` in percent, with no more digits than the spread deserves.

In come fractions and their unit, out comes text: a "share" is shown in percent and its differences in points,
any other unit (of an imported loss, of seconds) as it is. Digits follow the rule of the Particle Data Group
(Review of Particle Physics, introduction, §5.3): two of the std where they are at most 35, else one.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from core.errors import UserError
from core.number_words import amount
from core.results.loading import SHARE, Scores
from core.scoring.metrics import AGGREGATIONS, describe
from core.spread.scopes import SCOPES

if TYPE_CHECKING:
    from core.results.noise import Noise

UNKNOWN = "–"
MOST_DECIMALS = 4


def decimals_for(spread: float | None) -> int:
    """Decimals that a std (in the unit shown) deserves; 1 where it is unknown or 0."""
    if spread is None or not math.isfinite(spread) or spread <= 0:
        return 1
    if spread < 10.0 ** -(MOST_DECIMALS + 1):
        return MOST_DECIMALS
    power = math.floor(math.log10(spread))
    leading = spread / 10.0**power
    digits = 2 if leading < 3.55 or leading >= 9.5 else 1
    if leading >= 9.5:
        power += 1
    return min(MOST_DECIMALS, max(0, digits - 1 - power))


def scale_of(unit: str) -> int:
    """What a number of this unit is multiplied with before it is shown."""
    return 100 if unit == SHARE else 1


def unit_words(unit: str, *, of_difference: bool = False) -> str:
    """The unit behind a number: "%" ("points" of a difference), "s", or nothing for a plain number."""
    if unit == SHARE:
        return "points" if of_difference else "%"
    return "" if unit == "number" else unit


def titled(metric: str, unit: str) -> str:
    """A metric with its unit, as a heading: `vote_2, %`, `val_loss`."""
    return ", ".join(filter(None, (metric, unit_words(unit))))


def percent(value: float | None, decimals: int = 1, sign: bool = False, unit: str = SHARE) -> str:
    """A fraction in percent (or a difference in points), with a real minus; unknown is a dash."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    text = f"{scale_of(unit) * value:{'+' if sign else ''}.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "−")


def spread_text_of(value: float | None, unit: str = SHARE) -> str:
    """A std in its unit with the digits that it deserves, without a sign or a unit; "≈ 0" where these show
    none."""
    return _or_about_0(
        percent(value, decimals_for(None if value is None else scale_of(unit) * value), unit=unit)
    )


def _or_about_0(text: str) -> str:
    return "≈ 0" if text != UNKNOWN and float(text) == 0 else text


def spread_texts(values: Sequence[float | None], unit: str = SHARE) -> list[str]:
    """Stds as a column, each as `spread_text_of` has it, all with the decimals that their pooled std deserves
    (`column_texts`)."""
    decimals = decimals_of_column([scale_of(unit) * (value or 0.0) for value in values], 1)
    return [_or_about_0(percent(value, decimals, unit=unit)) for value in values]


def mean_and_std(record: Mapping[str, Any], with_n: bool = True) -> str:
    """`41.2 ± 0.8 (n = 3)`; without ± where the std is unknown."""
    n = f" (n = {record['n']})" if with_n else ""
    if record["mean"] is None:
        return UNKNOWN
    std, unit = record["std"], record.get("unit", SHARE)
    if std is None:
        return f"{percent(record['mean'], 1 if unit == SHARE else 3, unit=unit)}{n}"
    decimals = decimals_for(scale_of(unit) * std)
    return f"{percent(record['mean'], decimals, unit=unit)} ± {percent(std, decimals, unit=unit)}{n}"


def column_texts(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """The records of one metric as a column, `47.2 ± 12.3` and `36.7 ±  0.9`: one number of decimals for all,
    and the signs ± below each other.

    The decimals are those of `decimals_of_records`.
    """
    decimals = decimals_of_records(records)
    means, stds = (
        [
            "" if one[part] is None else percent(one[part], decimals, unit=one.get("unit", SHARE))
            for one in records
        ]
        for part in ("mean", "std")
    )
    width = max(map(len, stds), default=0)
    return [
        UNKNOWN + " " * (width + 3 if width else 0)
        if not mean
        else f"{mean} ± {std:>{width}}"
        if std
        else f"{mean}{' ' * (width + 3 if width else 0)}"
        for mean, std in zip(means, stds, strict=True)
    ]


def decimals_of_records(records: Sequence[Mapping[str, Any]]) -> int:
    """Decimals of the records of one metric as a column."""
    plain = 1 if not records or records[0].get("unit", SHARE) == SHARE else 3
    return decimals_of_column(
        [scale_of(one.get("unit", SHARE)) * (one["std"] or 0.0) for one in records], plain
    )


def decimals_of_column(stds: Sequence[float], alone: int) -> int:
    """Decimals that the std pooled over a column (in the unit shown) deserves, and as many more as keep a std
    from being shown as the 0 that it is not; `alone` where none is above 0."""
    known = [std for std in stds if std > 0]
    if not known:
        return alone
    decimals = decimals_for(math.sqrt(sum(std**2 for std in known) / len(known)))
    while decimals < MOST_DECIMALS and any(round(std, decimals) == 0 for std in known):
        decimals += 1
    return decimals


def common_decimals(values: Sequence[float | None], most: int = MOST_DECIMALS) -> int | None:
    """Decimals that show a column of plain numbers alike, at most `most`; None where these would show one as
    the 0 that it is not."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if any(value and round(value, most) == 0 for value in known):
        return None
    needed = (
        decimals for decimals in range(most) if all(round(one, decimals) == round(one, most) for one in known)
    )
    return next(needed, most)


def table_texts(records: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    """The text of each (variant, metric) of a table, column by column, as `column_texts` has it."""
    found = {}
    for metric in dict.fromkeys(record["metric"] for record in records):
        column = [record for record in records if record["metric"] == metric]
        for record, text in zip(column, column_texts(column), strict=True):
            found[record["variant"], metric] = text
    return found


def interval(low: float | None, high: float | None, sign: bool = False, unit: str = SHARE) -> str:
    """`[40.1, 42.3]`; a dash where it is unknown."""
    if low is None or high is None:
        return UNKNOWN
    decimals = decimals_of_interval(low, high, scale_of(unit))
    return f"[{percent(low, decimals, sign, unit)}, {percent(high, decimals, sign, unit)}]"


def difference(change: float | None, low: float | None, high: float | None, unit: str = SHARE) -> str:
    """`+2.2 [+0.9, +3.5]` in points; the interval is left out where it is unknown."""
    if low is None or high is None:
        return percent(change, 1 if unit == SHARE else 3, sign=True, unit=unit)
    decimals = decimals_of_interval(low, high, scale_of(unit))
    return f"{percent(change, decimals, True, unit)} {interval(low, high, True, unit)}"


def difference_with_unit(record: Mapping[str, Any]) -> str:
    """`+2.2 [+0.9, +3.5] points`, of a record of `core.results.verdicts.compare_records`."""
    text = difference(record["difference"], record["low"], record["high"], record["unit"])
    return f"{text} {unit_words(record['unit'], of_difference=True)}".strip()


def decimals_of_interval(low: float, high: float, scale: int) -> int:
    """Decimals that half its width deserves, and up to two more where an end would be taken for the 0 that
    it is not: an interval that just excludes 0 must not show it."""
    deserved = decimals_for(scale * (high - low) / 2)
    ends = [abs(scale * end) for end in (low, high) if end]
    enough = (
        decimals
        for decimals in range(deserved, min(deserved + 2, MOST_DECIMALS) + 1)
        if all(round(end, decimals) for end in ends)
    )
    return next(enough, deserved)


def p_value(p: float | None) -> str:
    """A p with two digits, `0.11` or `0.00002`; those below a hundred-thousandth are not told apart."""
    if p is None:
        return UNKNOWN
    return f"{p:.2g}" if p >= 0.0001 else f"{p:.5f}" if p >= 0.00001 else "< 0.00001"


def p_text(p: float | None) -> str:
    """`p = 0.003`, `p < 0.00001` or `p unknown`."""
    return "p unknown" if p is None else f"p {'' if p < 0.00001 else '= '}{p_value(p)}"


def metric_sentence(metric: str) -> str:
    """What a metric means; metrics from elsewhere are only known by name."""
    try:
        return describe(metric)
    except UserError:
        return "A metric of the imported results."


def scope_sentence(scores: Scores, scope: str, aggregation: str, metrics: Sequence[str] | None = None) -> str:
    """Over what the numbers of a table generalise, in one line; of `metrics`, else of the spec's."""
    counts = [len(places) for runs in scores.runs.values() for places in runs.values()]
    each = _range(counts)
    averaged = f", each averaged over {each} evaluations" if each != "1" and scope != "checkpoint" else ""
    form = "" if scores.experiment.imported else f"; {AGGREGATIONS[aggregation]}"
    shares = any(scores.unit(metric) == SHARE for metric in metrics or scores.experiment.metrics)
    return (
        f"{'Percent, mean' if shares else 'Mean'} ± std over n {SCOPES[scope].counts}{averaged}{form}."
        f" Generalises over: {SCOPES[scope].over}."
    )


def evaluated_sentence(scores: Scores) -> str:
    """What was evaluated: tasks, sources, attempts."""
    if scores.experiment.imported:
        return f"Imported from {scores.experiment.origin}: no values per task."
    by_source: dict[str, int] = {}
    for source, _ in scores.tasks:
        by_source[source] = by_source.get(source, 0) + 1
    tasks = " and ".join(f"{amount(count, 'tasks')} of {source}" for source, count in by_source.items())
    return f"{tasks}, {amount(scores.attempts, 'attempts')} at each test output"


def missing_sentence(scores: Scores) -> str:
    """How many outputs were never attempted and count as wrong; empty where all were."""
    nothing = int((scores.columns["attempts"] == 0).sum()) if scores.columns else 0
    return f"{nothing} test outputs have no attempt and count as wrong." if nothing else ""


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts, default=0), max(counts, default=0)
    return str(low) if low == high else f"{low}–{high}"


def noise_sentence(noise: "Noise") -> str:
    """Where the noise of one run's mean comes from, in points, and what common views save."""
    training = None if noise.training is None else spread_text_of(noise.training, noise.unit)
    if training is not None and noise.training == 0 and noise.training_high:
        training += f" (at most {spread_text_of(noise.training_high, noise.unit)})"
    parts = {
        "evaluation": None if noise.evaluation is None else spread_text_of(noise.evaluation, noise.unit),
        "training" if noise.evaluation is not None else "training and evaluation together": training,
        "tasks": None if noise.tasks is None else spread_text_of(noise.tasks, noise.unit),
    }
    shown = [f"{name} {text}" for name, text in parts.items() if text is not None]
    if not shown:
        return ""
    words = " ".join(filter(None, (" · ".join(shown), unit_words(noise.unit, of_difference=True))))
    return f"Noise: {words}.{_views_sentence(noise)}"


def _views_sentence(noise: "Noise") -> str:
    """Whether evaluation noise stands in the way of a difference."""
    if not noise.common:
        return " Runs were evaluated each with views of its own." if noise.apart else ""
    common = (
        " All runs answer the same views, so what a draw of views does to all cancels in every difference"
    )
    if noise.saved is None or noise.evaluations < 2 or noise.saved < 1.5 * noise.evaluations:
        return f"{common}."
    count = "more than 100" if noise.saved > 100 else f"about {noise.saved:.0f}"
    return (
        f"{common}: {noise.evaluations} evaluations per run compare as well as {count} with views"
        " of their own."
    )


def spread_text(record: Mapping[str, Any]) -> tuple[str, str]:
    """A component's std in points, with "≈ 0" for a variance that came out negative, and its freedom."""
    freedom = f"{record['degrees_of_freedom']:g}"
    if record["variance"] is None:
        return UNKNOWN, freedom
    return ("≈ 0" if record["variance"] <= 0 else spread_text_of(record["sd"], record["unit"])), freedom
