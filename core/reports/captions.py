"""The caption of a table that leaves the workbench: what its numbers are, and what their trainings saw.

In come scores and the records of runs, out comes plain text that stands below a table in a note or a paper.
"""

from pathlib import Path

from core.checks.leak_warnings import leaked_by_variant, notices, seen_by_variant
from core.number_words import amount
from core.results.loading import Scores
from core.results.number_format import evaluated_sentence, scope_sentence
from core.results.reading import PLAIN, Reading

SAW, LEAKED = "†", "‡"


def results_caption(root: Path, scores: Scores, reading: Reading = PLAIN, beside: str | None = None) -> str:
    """Question, what was evaluated, over what the spread generalises, how verdicts were made; then what
    trainings saw of the evaluated tasks, those of an experiment `beside` too."""
    name = scores.experiment.name
    question = scores.experiment.question or name
    verdicts = f"Verdicts{_against(scores, reading)} are for the whole table at {_level(reading)}"
    over = scope_sentence(scores, reading.scope, reading.aggregation, reading.metrics_of(scores))
    sentences = [question, evaluated_sentence(scores), over, verdicts]
    other = [] if beside is None else [f"In {beside}: {one}" for one in _marked(root, beside)]
    return " ".join([*(_ended(one) for one in sentences), *_marked(root, name), *other])


def comparison_caption(root: Path, scores: Scores, a: str, b: str, reading: Reading = PLAIN) -> str:
    """The same for two variants of a table."""
    name = scores.experiment.name
    evaluated = amount(sum(bool(runs) for runs in scores.runs.values()), "variants")
    against = _against(scores, reading)
    sentences = [
        f"{b} against {a} in {name}",
        evaluated_sentence(scores),
        f"Intervals and verdicts are for the whole table of {evaluated}{against} at {_level(reading)}",
    ]
    return " ".join([*(_ended(one) for one in sentences), *_marked(root, name)])


def _against(scores: Scores, reading: Reading) -> str:
    """The baseline of a table where it is not the spec's."""
    baseline = reading.baseline_of(scores)
    return "" if baseline == scores.experiment.baseline else f" against {baseline}"


def _level(reading: Reading) -> str:
    """The level of verdicts, and whose noise judges recipes where it is not their own."""
    lent = f", with the noise between runs of '{reading.lender_name}'" if reading.lender else ""
    return f"{100 * reading.level:g} %{lent}"


def marks(root: Path, experiment: str) -> dict[str, str]:
    """The sign behind each variant whose training saw something of the evaluated tasks: † their
    demonstrations (test-time training), ‡ the tasks themselves (a leak)."""
    found = {variant: SAW for variant, count in seen_by_variant(root, experiment).items() if count}
    leaked = {variant for variant, count in leaked_by_variant(root, experiment).items() if count}
    return found | {variant: found.get(variant, "") + LEAKED for variant in leaked}


def _marked(root: Path, experiment: str) -> list[str]:
    """The notices, each behind the sign that it explains."""
    signs = ((LEAKED, "Leak:"), (SAW, "test-time training"))
    return [
        next((f"{sign} {sentence}" for sign, word in signs if word in sentence), sentence)
        for sentence in notices(root, experiment)
    ]


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."
