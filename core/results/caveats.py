"""What a reader must know beside the numbers: what the model is, and where they can't be trusted far.

In come scores and the records of runs, out come plain sentences.
"""

from pathlib import Path

from core.results.leak_warnings import facts
from core.results.loading import Scores
from core.results.number_format import evaluated_sentence, missing_sentence
from core.results.tables import is_binary, progress_sentence
from core.results.verdicts import is_comparable
from core.runs.experiment import known_folder
from core.runs.layout import record_of_variant
from core.runs.record import read_record_file

FLOOR, CEILING = 0.01, 0.99
MANY_UNANSWERED = 0.2


def honest_sentence(root: Path, scores: Scores) -> str:
    """What was asked of which model: "42 tasks of arc1/evaluation, …, base model tiny, full training."."""
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
    return " ".join([", ".join(parts) + ".", *facts(root, scores.experiment.name)])


def warnings(scores: Scores, metric: str) -> list[str]:
    """Sentences of caution: what is unfinished, missing, near the floor, or based on too few runs."""
    found = [progress_sentence(scores), missing_sentence(scores)]
    found += _few_runs(scores)
    if not is_comparable(scores, metric):
        found.append("The runs made different numbers of attempts, so pass_n is not compared. Use pass_k.")
    if scores.columns:
        found += _near_the_ends(scores, metric)
    return [sentence.rstrip(".") + "." for sentence in found if sentence]


def _few_runs(scores: Scores) -> list[str]:
    counts = [len(runs) for runs in scores.runs.values() if runs]
    if counts and min(counts) == 1:
        return ["A variant with one run has no known std: nobody can tell it from others. Add train seeds"]
    if counts and min(counts) == 2:
        return ["With 2 runs a 95 % interval reaches 9 standard deviations to either side: add train seeds"]
    return []


def _near_the_ends(scores: Scores, metric: str) -> list[str]:
    made, right = scores.columns["attempts"].sum(), scores.columns["correct"].sum()
    if made == 0:
        return []
    found = []
    said = f"{right:,.0f} of {made:,.0f} attempts are right ({100 * right / made:.2g} %)"
    if is_binary(metric) and right / made < FLOOR:
        found.append(
            f"Near the floor: {said}. Differences in {metric} are a few lucky attempts;"
            " correct_pixels says more about so weak a model"
        )
    if is_binary(metric) and right / made > CEILING:
        found.append(f"Near the ceiling: {said}. Harder tasks would tell the variants apart better")
    unanswered = scores.columns["unanswered"].sum() / made
    if unanswered > MANY_UNANSWERED:
        found.append(f"{100 * unanswered:.0f} % of the attempts hold no grid and count as wrong")
    return found
