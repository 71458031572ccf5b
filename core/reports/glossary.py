"""What the page "How to read this" counts: one trap with real numbers, and the small sums behind the words.

In come figures that a reader can check by eye, out come records computed by `core.spread`. The figures of the
trap are the share of outputs with the right size, in percent, of two recipes A and B, measured by the author
of the lab note "Iteration 17. Revisit external training data" (2 September 2024): one model of each recipe
was evaluated five times, and the recipes were trained three times and twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from core.errors import UserError
from core.results.answers import ORDERS
from core.results.number_format import decimals_for, interval, p_text, percent
from core.scoring.attempt_budgets import expected_vote_curve
from core.scoring.metrics import AGGREGATIONS, describe, pass_k
from core.spread.intervals import Summary, summarize
from core.spread.scope_verdicts import compare_scope
from core.spread.scopes import SCOPES
from core.spread.verdict import Comparison

SOURCE = "“Iteration 17. Revisit external training data”, a lab note of 2 September 2024"
EVALUATIONS = {"A": (87.36, 87.77, 87.45, 87.53, 87.58), "B": (86.52, 86.81, 86.60, 86.33, 86.36)}
TRAININGS = {"A": (87.58, 86.72, 89.27), "B": (85.41, 86.36)}

ATTEMPTS, RIGHT = 8, 2
VOTES_FOR_TRUTH, OTHER_VOTES = 2, (3, 2, 1)

TERMS = {
    "41.2 ± 0.8 (n = 3)": "three trainings; their mean is 41.2 %, and one training typically lies 0.8 points"
    " from it. Evaluations of a training are averaged first. 0.8 is the spread of one training, not the error"
    " of the mean",
    "no ±": "one training: its spread is unknown, which is not 0",
    "[40.1, 42.3]": "the mean of very many trainings lies in here, in about 95 of 100 such intervals; for any"
    " evaluation seeds where runs share two or more, for the views of that one seed where they share one",
    "better, worse": "the difference to the baseline is larger than the noise between trainings explains."
    " The noise is pooled over the variants, the error is shared by all comparisons of the table (Dunnett):"
    " where nothing differs, at most 5 of 100 tables show any difference, up to 10 where the baseline varies"
    " twice as much as the others",
    "cannot tell": "it is not, or there are too few trainings; that is no proof that both are equal",
    "+2.2 [+0.9, +3.5]": "a difference to the baseline, with the interval that belongs to the verdict",
    "letters a, ab, b": "recipes that share a letter can't be told apart, by the same verdict for all pairs",
    "exploratory": "a metric that is not the first of the spec: who looks at five finds one that differs by"
    " chance in about one of five tables",
    "training std, evaluation std": "how much trainings of one recipe differ, with evaluation noise taken out"
    " where each was evaluated more than once, and how much evaluations of one run differ",
}
"""What stands in a table, and what it means."""

ELSEWHERE = {
    "families": "tasks that were made from one task, or by one generator, are a family; where one of them is"
    " trained on, the others count as leaked",
    "−0.16 per token": "how sure a model was of an answer: the mean log-probability of its tokens. Nearer to"
    " 0 is surer; −0.16 is a chance of 85 % for a typical token",
    "symmetry 0, colours 0819623475": "the view in which one attempt saw the task: which of the eight turns"
    " and mirrors, and which colour each of 0 to 9 became. Answers are turned back before they count",
    "recompute": "a training that makes the values between layers again in the backward pass instead of"
    " keeping them: less memory, about a third more time, the same numbers",
}
"""Words of the other pages, and what they mean."""

WORDS = {
    "letters": "letters a, ab, b",
    "std": "training std, evaluation std",
    "verdict": "better, worse",
    "exploratory": "exploratory",
    "interval": "[40.1, 42.3]",
    "token": "−0.16 per token",
    "view": "symmetry 0, colours 0819623475",
}
"""Short words of an address, and the term that each stands for."""


def meaning(word: str) -> tuple[str, str] | None:
    """The term that a word of an address asks for and what it means; None for a word that is not explained.

    Known are `WORDS`, every term of `TERMS` and `ELSEWHERE`, metrics (also with a number, such as vote_2),
    orders of tasks, scopes and aggregations.
    """
    term = WORDS.get(word, word)
    scopes = {name: f"the spread tells how the number moves for {SCOPES[name].over}" for name in SCOPES}
    known = {**TERMS, **ELSEWHERE, **ORDERS, **scopes, **AGGREGATIONS}
    if term in known:
        return term, known[term]
    try:
        return term, describe(term).removesuffix(".")
    except UserError:
        return None


MORAL = (
    "Both are right, about different questions. Evaluating one trained model again shows it the same tasks in"
    " other views: it answers almost the same, so even a small difference of two models shows. But a recipe"
    " is not one model. Train it again with another seed and the result moves much further than any"
    " evaluation did, and the difference drowns in that.",
    "Whoever evaluates two models often and reports the small p has learnt which file is better, and may"
    " believe to know which idea is. More evaluations can't mend that, only more trainings can. Hence every"
    " verdict here counts trainings, unless you choose another scope.",
)


@dataclass(frozen=True)
class Judgement:
    """One way to judge: what was measured again and again (in percent), and what it says of B against A."""

    unit: str
    figures: Mapping[str, tuple[float, ...]]
    summaries: dict[str, Summary]
    comparison: Comparison


def trap() -> tuple[Judgement, Judgement]:
    """The same two recipes judged by evaluations of one model each, and by trainings, each by Welch's
    test.
    """
    return _judged("evaluations", EVALUATIONS), _judged("trainings", TRAININGS)


def _judged(unit: str, percent: Mapping[str, tuple[float, ...]]) -> Judgement:
    shares = {name: [value / 100 for value in values] for name, values in percent.items()}
    summaries = {name: summarize(values) for name, values in shares.items()}
    return Judgement(unit, percent, summaries, compare_scope([shares["A"]], [shares["B"]], "checkpoint"))


def judged_sentence(judgement: Judgement) -> str:
    """Both means, the interval of the difference, p and the verdict, in words."""
    found = judgement.comparison
    low, high = interval(found.low, found.high, sign=True).strip("[]").split(", ")
    both = ", ".join(f"{name} {_summary_text(judgement, name)}" for name in judgement.summaries)
    return (
        f"{both}; B − A lies between {low} and {high} points, {p_text(found.p)}."
        f" The verdict on B: {found.verdict}."
    )


def _summary_text(judgement: Judgement, name: str) -> str:
    """`87.54 ± 0.15 (n = 5)`."""
    summary = judgement.summaries[name]
    decimals = decimals_for(100 * (summary.std or 0))
    return f"{percent(summary.mean, decimals)} ± {percent(summary.std, decimals)} (n = {summary.n})"


def pass_records() -> list[dict[str, float]]:
    """k, pass_k of `RIGHT` right answers among `ATTEMPTS`, for each k up to the attempts."""
    return [{"k": k, "pass_k": float(pass_k(ATTEMPTS, RIGHT, k))} for k in range(1, ATTEMPTS + 1)]


def vote_records() -> list[dict[str, float]]:
    """k, vote_k of one output with votes for the truth and for other answers; ties at random."""
    attempts = VOTES_FOR_TRUTH + sum(OTHER_VOTES)
    places = range(1, len(OTHER_VOTES) + 1)
    chances = [expected_vote_curve(attempts, VOTES_FOR_TRUTH, OTHER_VOTES, k)[-1] for k in places]
    return [{"k": k, "vote_k": float(chance)} for k, chance in zip(places, chances, strict=True)]
