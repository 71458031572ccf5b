"""What a reader must know beside the numbers: what the model is, and where they can't be trusted far.

In come scores and the records of runs, out come plain sentences.
"""

from itertools import pairwise
from pathlib import Path

from core.experiments.experiment import known_folder
from core.experiments.look_log import looks_of
from core.number_words import share_text
from core.results.loading import Scores
from core.results.number_format import evaluated_sentence, missing_sentence, spread_text_of, unit_words
from core.results.reading import PLAIN, Reading
from core.results.run_values import is_binary, progress_sentence
from core.results.verdicts import is_comparable, judged
from core.runs.layout import record_of_variant
from core.runs.run_record import read_record_file
from core.spread.interim_looks import alarms_over_looks

FLOOR, CEILING = 0.01, 0.99
MANY_UNANSWERED = 0.2
MUCH_MORE = 3


def honest_sentence(root: Path, scores: Scores) -> str:
    """What was evaluated: "42 tasks of arc1/evaluation, …, base model tiny, full training."."""
    if scores.experiment.imported:
        return evaluated_sentence(scores)
    folder = known_folder(root, scores.experiment.name)
    models, methods = [], []
    for variant in scores.variants:
        path = record_of_variant(folder, variant)
        recipe = read_record_file(path).get("recipe", {}) if path else {}
        models.append(recipe.get("base_model"))
        methods.append(recipe.get("training", {}).get("method"))
    parts = [evaluated_sentence(scores)]
    parts += [f"base model {name}" for name in dict.fromkeys(filter(None, models))]
    parts += [f"{name} training" for name in dict.fromkeys(filter(None, methods))]
    return ", ".join(parts) + "."


def warnings(scores: Scores, reading: Reading = PLAIN) -> list[str]:
    """Sentences of caution: what is unfinished, missing, near the floor, or based on too few or unequal
    runs.
    """
    metric, scope, lender = reading.judged_metric(scores), reading.scope, reading.lender_name
    found = [progress_sentence(scores), missing_sentence(scores)]
    found += _few_runs(scores, lender) if scope == "recipe" else []
    found += _unequal(scores) if scope == "recipe" and lender is None else []
    if metric != scores.experiment.metrics[0]:
        found.append(
            f"{metric} is exploratory: {scores.experiment.metrics[0]} is the main metric of this"
            f" experiment, and"
            " verdicts on others are not corrected for having looked at several"
        )
    if not is_comparable(scores, metric):
        found.append("The runs made different numbers of attempts, so pass_n is not compared. Use pass_k.")
    if scores.columns:
        found += _near_the_ends(scores, metric)
    return [sentence.rstrip(".") + "." for sentence in found if sentence]


def spreads_sentence(scores: Scores, reading: Reading = PLAIN) -> str:
    """The std that verdicts on recipes rest on, pooled over the variants or lent, and how far those of the
    variants lie apart; empty at another scope.
    """
    metric = reading.judged_metric(scores)
    found = judged(scores, metric, reading).verdicts
    if found is None or found.std is None or all(one.p is None for one in found.pairs.values()):
        return ""
    if found.std == 0:
        return "The runs of each variant are equal: verdicts rest on the steps of the score, not on a std."
    whose = "" if reading.lender is None else f", lent by '{reading.lender_name}'"
    unit = scores.unit(metric)
    words = f"{spread_text_of(found.std, unit)} {unit_words(unit, of_difference=True)}".strip()
    apart = (
        "" if found.ratio is None else f"; the largest of one variant is {found.ratio:.1f} times the smallest"
    )
    freedom = f"({found.freedom:g} degrees of freedom)"
    return f"Verdicts rest on a std between runs of {words} {freedom}{whose}{apart}."


def looks_sentence(root: Path, scores: Scores, level: float = 0.95) -> str:
    """At which numbers of runs the table was looked at before, and what that does to its verdicts; empty
    where it was never extended."""
    earlier = looks_of(known_folder(root, scores.experiment.name))
    baseline = scores.experiment.baseline
    order = sorted((name for name, runs in scores.runs.items() if runs), key=lambda name: name != baseline)
    looks = [[look.get(name, 0) for name in order] for look in earlier]
    looks.append([len(scores.runs[name]) for name in order])
    looks = [look for look in looks if look and look[0] > 1 and max(look[1:], default=0) > 1]
    falling = any(b < a for one, later in pairwise(looks) for a, b in zip(one, later, strict=True))
    if len(looks) < 2 or order[0] != baseline or falling:
        return ""
    shares = alarms_over_looks(looks, level)
    counts = [str(min(look)) if min(look) == max(look) else f"{min(look)} to {max(look)}" for look in looks]
    named = f"{', '.join(counts[:-1])} and {counts[-1]}"
    found, first = (share_text(share, 0) for share in (shares[-1], shares[0]))
    return (
        f"This table was looked at with {named} runs per variant. Where nothing differs, {found} of tables"
        f" so looked at show some difference at one of the looks, {first} at the first"
    )


def _few_runs(scores: Scores, lender: str | None) -> list[str]:
    counts = [len(runs) for runs in scores.runs.values() if runs]
    if counts and min(counts) == 1 and lender is not None:
        return [
            f"A variant with one run has no std of its own: its verdict holds if its trainings vary as those"
            f" of '{lender}' do"
        ]
    if counts and min(counts) == 1:
        return [
            "A variant with one run has no known std: nobody can tell it from others. Add train seeds, or"
            " judge"
            " with the noise of another experiment"
        ]
    if counts and min(counts) == 2:
        return [
            "2 runs hardly tell how much trainings vary: the 95 % interval of a mean reaches 9 times their"
            " std to either side. Add train seeds"
        ]
    return []


def _unequal(scores: Scores) -> list[str]:
    """Where few runs of a variant weaken its verdicts."""
    counts = [len(runs) for runs in scores.runs.values() if len(runs) > 1]
    found = []
    if counts and max(counts) >= MUCH_MORE * min(counts):
        found.append(
            f"The variants have {min(counts)} to {max(counts)} runs: those with few count with more noise"
            " than they showed, as few runs can't show that they vary more. Add runs to them"
        )
    return found


def _near_the_ends(scores: Scores, metric: str) -> list[str]:
    made, right = scores.columns["attempts"].sum(), scores.columns["correct"].sum()
    if made == 0:
        return []
    found = []
    share = f"{right:,.0f} of {made:,.0f} attempts are right ({100 * right / made:.2g} %)"
    if is_binary(metric) and right / made < FLOOR:
        found.append(
            f"Near the floor: {share}. Differences in {metric} are a few lucky attempts"
            f"{'' if scores.experiment.search else '; correct_pixels says more about so weak a model'}"
        )
    if is_binary(metric) and right / made > CEILING:
        found.append(f"Near the ceiling: {share}. Harder tasks would tell the variants apart better")
    unanswered = scores.columns["unanswered"].sum() / made
    if unanswered > MANY_UNANSWERED:
        found.append(f"{share_text(unanswered, 0)} of the attempts hold no grid and count as wrong")
    return found
