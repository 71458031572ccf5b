"""How far people agree with each other and with earlier judgements of their own: Krippendorff's alpha.

In come the judgements of tasks, out comes one record for each pair of people, for everybody together, and
for each person who judged tasks again in a second pass. An alpha of 1 is full agreement, 0 that of chance.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.curation.flags import REVERSIBLE, Flag, all_flags
from core.seeds import generator

SECOND_PASS = "second pass"
"""How the note of a judgement begins that was made without seeing the earlier ones."""
REPEATED = 0.2
"""The share of a person's judgements that a second pass repeats."""
DRAWS = 2_000
FEWEST = 5
"""Tasks judged by both, below which no interval is given."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """Whose judgements were held against each other, over how many tasks, and with which result.

    `agreeing` is the share of tasks on which all judgements are the same. `alpha` is None where nothing
    varies, for then chance would agree too; `low` and `high`, its 95 % interval, also below `FEWEST` tasks.
    """

    who: str
    tasks: int
    agreeing: float
    alpha: float | None
    low: float | None
    high: float | None


def agreements(root: Path, flag: str = REVERSIBLE, source: str | None = None) -> list[Agreement]:
    """Agreement of everybody, of each pair of people, and of each person with a second pass, where at least
    one task was judged by both. What was withdrawn does not count."""
    marks = [mark for mark in all_flags(root) if mark["flag"] == flag and source in (None, mark["source"])]
    latest = _by_person(mark for mark in marks if not _is_second(mark))
    people = sorted(latest)
    groups = [("everybody", people)] if len(people) > 2 else []
    groups += [(f"{a} and {b}", [a, b]) for a, b in combinations(people, 2)]
    found = [_agreement(who, [latest[name] for name in names]) for who, names in groups]
    again = _by_person(filter(_is_second, marks))
    found += [
        _agreement(f"{name}, second pass", [latest[name], again[name]])
        for name in sorted(again)
        if name in latest
    ]
    return [one for one in found if one.tasks]


def to_judge_again(root: Path, source: str, by: str, flag: str = REVERSIBLE) -> list[str]:
    """The tasks of a second pass that a person has not judged again: `REPEATED` of those that the person
    judged, the same ones whenever it is asked, in an order of their own."""
    marks = [
        mark for mark in all_flags(root) if (mark["flag"], mark["source"], mark["by"]) == (flag, source, by)
    ]
    first = {mark["task_id"]: mark["value"] for mark in marks if not _is_second(mark)}
    again = {mark["task_id"]: mark["value"] for mark in marks if _is_second(mark)}
    judged = [task_id for task_id, value in first.items() if value != "none"]
    shuffled = sorted(judged, key=lambda task_id: sha256(f"{by} {task_id}".encode()).digest())
    return [
        task_id
        for task_id in shuffled[: math.ceil(REPEATED * len(judged))]
        if again.get(task_id, "none") == "none"
    ]


def krippendorff(values: Sequence[Sequence[str]]) -> float | None:
    """Krippendorff's alpha for nominal values, each inner list those of one unit by any number of observers.

    1 − observed / expected disagreement, from the matrix of coincidences, in which a unit of m values counts
    each ordered pair of them 1 / (m − 1) times (Krippendorff 2011, "Computing Krippendorff's
    alpha-reliability"). Units with one value do not count. None where no two values could differ.
    """
    matrices = _coincidences(values)
    (alpha,) = _alphas(matrices.sum(axis=0)[None])
    return None if np.isnan(alpha) else float(alpha)


def alpha_interval(
    values: Sequence[Sequence[str]], rng: np.random.Generator, draws: int = DRAWS
) -> tuple[float, float] | None:
    """The 95 % interval of `krippendorff`: percentiles over `draws` resamplings of units.

    Zapf et al. 2016, "Measuring inter-rater reliability for nominal data", found it to hold its level. None
    where a unit of two values or more is missing, or every resampling lacks variation.
    """
    matrices = _coincidences(values)
    count = len(matrices)
    if not count:
        return None
    weights = rng.multinomial(count, np.full(count, 1 / count), size=draws).astype(np.float64)
    sums = (weights @ matrices.reshape(count, -1)).reshape(draws, *matrices.shape[1:])
    alphas = _alphas(sums)
    if np.isnan(alphas).all():
        return None
    low, high = np.nanquantile(alphas, (0.025, 0.975))
    return float(low), float(high)


def _coincidences(values: Sequence[Sequence[str]]) -> Floats:
    """The coincidences of each unit with two values or more, shape (units, kinds, kinds)."""
    kinds = sorted({value for unit in values for value in unit})
    units = [unit for unit in values if len(unit) > 1]
    counts = np.zeros((len(units), len(kinds)))
    for place, unit in enumerate(units):
        counts[place] = [unit.count(kind) for kind in kinds]
    ordered = counts[:, :, None] * (counts[:, None, :] - np.eye(len(kinds)))  # a value is no pair with itself
    total = counts.sum(axis=1)[:, None, None]
    return np.asarray(ordered / np.maximum(total - 1, 1))


def _alphas(coincidences: Floats) -> Floats:
    """Alpha of each matrix, shape (any, kinds, kinds); NaN where all values are the same."""
    by_kind = coincidences.sum(axis=2)
    n = by_kind.sum(axis=1)
    observed = n - np.trace(coincidences, axis1=1, axis2=2)
    expected = n**2 - (by_kind**2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(expected > 1e-9, 1 - (n - 1) * observed / expected, np.nan))


Judged = dict[tuple[str, str], str]
"""The value of each judged task, by source and id."""


def _by_person(marks: Iterable[Flag]) -> dict[str, Judged]:
    latest: dict[str, Judged] = {}
    for mark in marks:
        latest.setdefault(mark["by"], {})[mark["source"], mark["task_id"]] = mark["value"]
    return latest


def _is_second(mark: Flag) -> bool:
    return bool(mark["note"].startswith(SECOND_PASS))


def _agreement(who: str, judged: Sequence[Judged]) -> Agreement:
    tasks = sorted({task for one in judged for task in one})
    kept = ([one[task] for one in judged if one.get(task, "none") != "none"] for task in tasks)
    units = [unit for unit in kept if len(unit) > 1]
    agreeing = sum(len(set(unit)) == 1 for unit in units) / max(1, len(units))
    alpha = krippendorff(units)
    ends = None
    if alpha is not None and len(units) >= FEWEST:
        ends = alpha_interval(units, generator(0, "agreement", who))
    low, high = ends or (None, None)
    return Agreement(who, len(units), agreeing, alpha, low, high)
