"""What the page "How to read this" counts: one trap with real numbers, and the small sums behind the words.

In come figures that a reader can check by eye, out come records computed by `core.spread`. The figures of the
trap are the share of outputs with the right size, in percent, of two recipes A and B, measured by the author
of the lab note "Iteration 17. Revisit external training data" (2 September 2024): one model of each recipe
was evaluated five times, and the recipes were trained three times and twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from core.spread.budgets import expected_vote_curve
from core.spread.comparisons import Comparison, compare
from core.spread.intervals import Summary, summarize
from core.spread.metrics import pass_k

SOURCE = "“Iteration 17. Revisit external training data”, a lab note of 2 September 2024"
EVALUATIONS = {"A": (87.36, 87.77, 87.45, 87.53, 87.58), "B": (86.52, 86.81, 86.60, 86.33, 86.36)}
TRAININGS = {"A": (87.58, 86.72, 89.27), "B": (85.41, 86.36)}

ATTEMPTS, RIGHT = 8, 2
VOTES_FOR_TRUTH, OTHER_VOTES = 2, (3, 2, 1)


@dataclass(frozen=True)
class Judgement:
    """One way to judge: what was measured again and again (in percent), and what it says of B against A."""

    unit: str
    figures: Mapping[str, tuple[float, ...]]
    summaries: dict[str, Summary]
    comparison: Comparison


def trap() -> tuple[Judgement, Judgement]:
    """The same two recipes judged by evaluations of one model each, and by trainings (Welch)."""
    return _judged("evaluations", EVALUATIONS), _judged("trainings", TRAININGS)


def _judged(unit: str, percent: Mapping[str, tuple[float, ...]]) -> Judgement:
    shares = {name: [value / 100 for value in values] for name, values in percent.items()}
    summaries = {name: summarize(values) for name, values in shares.items()}
    return Judgement(unit, percent, summaries, compare(shares["A"], shares["B"]))


def pass_records() -> list[dict[str, float]]:
    """k, pass_k of `RIGHT` right answers among `ATTEMPTS`, for each k up to the attempts."""
    return [{"k": k, "pass_k": float(pass_k(ATTEMPTS, RIGHT, k))} for k in range(1, ATTEMPTS + 1)]


def vote_records() -> list[dict[str, float]]:
    """k, vote_k of one output with votes for the truth and for other answers; ties at random."""
    attempts = VOTES_FOR_TRUTH + sum(OTHER_VOTES)
    places = range(1, len(OTHER_VOTES) + 1)
    chances = [expected_vote_curve(attempts, VOTES_FOR_TRUTH, OTHER_VOTES, k)[-1] for k in places]
    return [{"k": k, "vote_k": float(chance)} for k, chance in zip(places, chances, strict=True)]
