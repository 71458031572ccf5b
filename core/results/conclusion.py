"""The sentence that answers the question: which variant is better, by how much, or why nobody can tell.

In come the rows of the main metric, judged with the whole table in view; out comes one sentence in plain
text, the same on Results, on Home, on the command line and in a lab note.
"""

from collections.abc import Sequence

from core.number_words import amount
from core.results.loading import Scores
from core.results.number_format import decimals_of_interval, p_text, percent, scale_of, unit_words
from core.results.reading import PLAIN, Reading
from core.results.verdicts import Row, verdict_rows
from core.spread.scopes import SCOPES
from core.spread.verdict import BETTER, WORSE

MOST_NAMED = 3
UNITS = {scope: one.counts for scope, one in SCOPES.items()}
REMEDIES = {
    "checkpoint": "Add eval seeds",
    "recipe": "Add train seeds",
    "new_tasks": "Add train seeds and tasks",
}
LEND = ", or judge with the noise of another experiment"


def experiment_answer(scores: Scores, reading: Reading = PLAIN) -> str:
    """The answer of an experiment by the first metric of a reading; empty where nothing is evaluated yet."""
    if not scores.evaluations:
        return ""
    return answer_sentence(verdict_rows(scores, reading.judged_metric(scores), reading), scores, reading)


def answer_sentence(rows: Sequence[Row], scores: Scores, reading: Reading = PLAIN) -> str:
    """One sentence about the rows of the judged metric (`core.results.verdicts.verdict_rows`, best first)."""
    metric, baseline, scope = reading.judged_metric(scores), reading.baseline_of(scores), reading.scope
    others = [row for row in rows if row.variant != baseline and row.summary.n]
    known = next((row.summary.n for row in rows if row.variant == baseline), 0)
    if not others or not known:
        if not known:
            return f"The baseline, {baseline}, is not evaluated yet: nothing is held against it."
        return "Only the baseline is evaluated so far: nothing is compared yet."
    unit = UNITS[scope]
    name = reading.lender_name
    lent = f" Judged with the noise between runs of '{name}'." if name else ""
    decided = [row for row in others if row.verdict in (BETTER, WORSE)]
    if decided:
        better = [row for row in decided if row.verdict == BETTER]
        return _decided(better or decided[::-1], metric, baseline, known, unit) + lent
    return _untold(others, metric, baseline, known, scope) + lent


def _decided(rows: Sequence[Row], metric: str, baseline: str, known: int, unit: str) -> str:
    """The clearest first: the best of the better ones, the worst of the worse ones."""
    first = rows[0]
    found = first.comparison
    assert found is not None
    counts = _counts(known, first.summary.n, unit)
    sentence = (
        f"{first.variant} is {first.verdict} than {baseline} by {_size(first, abs(found.difference))} of"
        f" {metric}"
        f" ({_interval(first, towards=found.difference)}; {counts})."
    )
    more = [row.variant for row in rows[1:]]
    if more:
        named = ", ".join(more[:MOST_NAMED]) + (
            f" and {len(more) - MOST_NAMED} more" if len(more) > MOST_NAMED else ""
        )
        sentence += f" So {'is' if len(more) == 1 else 'are'} {named}."
    return sentence


def _untold(others: Sequence[Row], metric: str, baseline: str, known: int, scope: str) -> str:
    unit, remedy = UNITS[scope], REMEDIES[scope]
    if all(row.comparison is None for row in others):
        return f"The runs made different numbers of attempts, so {metric} is not compared. Use pass_k."
    compared = [row for row in others if row.comparison is not None and row.comparison.p is not None]
    if not compared:
        if known < 2 or max(row.summary.n for row in others) < 2:
            return (
                f"One {unit.removesuffix('s')} of a variant can't tell: how far another would lie from it"
                f" is unknown. {remedy}{LEND if scope == 'recipe' else ''}."
            )
        return (
            f"These {unit} can't tell how large the noise of {metric} is. {remedy}, or choose a finer metric."
        )
    lost = [row for row in compared if row.comparison is not None and row.comparison.lost_by_correction]
    row = (
        lost[0]
        if lost
        else max(compared, key=lambda one: abs(one.comparison.difference if one.comparison else 0))
    )
    found = row.comparison
    assert found is not None
    each = f"These {known} {unit}" if row.summary.n == known else f"{_counts(known, row.summary.n, unit)}"
    if known == row.summary.n == 1:
        each = f"One {unit.removesuffix('s')} each"
    start = f"{each} can't tell"
    shown = f"{row.variant} − {baseline} is {_signed(row)} of {metric} ({_interval(row)})"
    if lost:
        return (
            f"{start}; {shown}. Alone it would count ({p_text(found.p_alone)}), but {len(compared)}"
            f" comparisons were made, and one of them looks so by chance with {p_text(found.p)}."
        )
    if len(others) == 1:
        return f"{start}; {shown}."
    largest = "the largest difference" + ("" if len(compared) == len(others) else " that can be judged")
    return f"{start}; {largest}, {shown}, may be chance."


def _counts(baseline: int, other: int, unit: str) -> str:
    return f"{amount(other, unit)} each" if baseline == other else f"{amount(other, unit)} against {baseline}"


def _size(row: Row, value: float) -> str:
    return " ".join(filter(None, (percent(value, _decimals(row), unit=row.unit), _points(row))))


def _signed(row: Row) -> str:
    found = row.comparison
    value = percent(None if found is None else found.difference, _decimals(row), True, row.unit)
    return " ".join(filter(None, (value, _points(row))))


def _interval(row: Row, towards: float = 1.0) -> str:
    """`95 % 1.2 to 5.0`, seen in the direction of the difference."""
    found = row.comparison
    if found is None or found.low is None or found.high is None:
        return "no interval"
    ends = (found.low, found.high) if towards >= 0 else (-found.high, -found.low)
    low, high = (percent(end, _decimals(row), unit=row.unit) for end in ends)
    return f"{100 * found.level:g} % {low} to {high}"


def _decimals(row: Row) -> int:
    found = row.comparison
    if found is None or found.low is None or found.high is None:
        return 1
    return decimals_of_interval(found.low, found.high, scale_of(row.unit))


def _points(row: Row) -> str:
    return unit_words(row.unit, of_difference=True)
