"""Numbers in a lab note: references that show the value of today, and say where that changed.

`{vote_2 reversed}` is a metric of a variant, `{reversed against baseline, vote_2}` a difference; `baseline`
is the experiment's, whatever it is called.
Words of judgement in the same sentence ("helps", "hurts") are held against its verdict.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.errors import UserError
from core.experiments.notes import read_notes
from core.results.loading import Scores
from core.results.number_format import difference_with_unit, mean_and_std
from core.results.reading import Reading
from core.results.run_values import check_variants
from core.results.table_records import records_of
from core.results.verdicts import compare_records

_AGAINST = re.compile(r"^(?P<b>\S+) against (?P<a>\S+?),\s*(?P<metric>\S+)$")
_VALUE = re.compile(r"^(?P<metric>\S+) (?P<variant>\S+)$")
_REFERENCE = re.compile(r"\{([^{}\n]{3,200})\}")
_NEGATED = re.compile(r"\b(not|no|neither|nor|never|cannot|without)\b|n['’]t\b", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
CLAIMS = {
    "better": r"\b(help(s|ed)?|improve[sd]?|is better)\b",
    "worse": r"\b(hurts?|is worse|harm(s|ed)?)\b",
}


@dataclass(frozen=True)
class Reference:
    """A reference, what it shows now (None: it names nothing), what it showed when the note was written
    (None: it is new), the verdict where it compares, and what is wrong with it, if anything."""

    name: str
    shown: str | None
    before: str | None
    verdict: str | None
    problem: str | None


def references(text: str, scores: Scores, before: Mapping[str, str]) -> list[Reference]:
    """All references of a note in their order, each once; `before` is what they showed before."""
    claims = {name: kind for sentence in _SENTENCE.split(text) for name, kind in _claims(sentence)}
    return [
        _reference(name, scores, before.get(name), claims.get(name))
        for name in dict.fromkeys(_REFERENCE.findall(text))
    ]


def _claims(sentence: str) -> Iterator[tuple[str, str]]:
    """Each reference of a sentence with what it is said to show.

    By the words since the reference before, else by those up to the next; those that say both or are negated
    claim nothing.
    """
    parts = _REFERENCE.split(sentence)  # words, reference, words, …
    for place in range(1, len(parts), 2):
        for words in (parts[place - 1], parts[place + 1]):
            kinds = [kind for kind, claim in CLAIMS.items() if re.search(claim, words)]
            if kinds:
                if len(kinds) == 1 and not _NEGATED.search(words):
                    yield parts[place], kinds[0]
                break


def _reference(name: str, scores: Scores, before: str | None, claim: str | None) -> Reference:
    try:
        shown, verdict = value_of(name, scores)
    except UserError as unknown:
        return Reference(name, None, before, None, str(unknown))
    problem = None
    if before is not None and before != shown:
        problem = f"It was {before} when this was written."
    elif claim is not None and verdict is not None and claim != verdict:
        problem = f"The verdict is '{verdict}'."
    return Reference(name, shown, before, verdict, problem)


def value_of(name: str, scores: Scores) -> tuple[str, str | None]:
    """What a reference shows, and its verdict where it compares. `UserError` where it names nothing."""
    against, value = _AGAINST.match(name), _VALUE.match(name)
    if against:
        a, b = _variant(against["a"], scores), _variant(against["b"], scores)
        metric = against["metric"]
        record = compare_records(scores, a, b, Reading((metric,)), ["recipe"])[0]
        return f"{difference_with_unit(record)} of {metric}, {record['verdict']}", record["verdict"]
    if value:
        variant = _variant(value["variant"], scores)
        check_variants(scores, variant)
        found = records_of(scores, Reading((value["metric"],)))
        record = next(one for one in found if one["variant"] == variant)
        return mean_and_std(record), None
    raise UserError(
        f"{{{name}}} is no reference. Write {{METRIC VARIANT}} or {{VARIANT against VARIANT, METRIC}}."
    )


def _variant(name: str, scores: Scores) -> str:
    """The variant of this name; `baseline` is the experiment's, whatever that is called."""
    return scores.experiment.baseline if name == "baseline" and name not in scores.variants else name


def filled(text: str, found: list[Reference]) -> str:
    """The note with its references replaced by what they show; those that name nothing stay."""
    shown = {one.name: one.shown for one in found}
    return _REFERENCE.sub(lambda match: shown.get(match[1]) or match[0], text)


def frozen_note(root: Path, scores: Scores) -> str:
    """The lab note of an experiment with its numbers as they are today, and below it which of them are not
    what the note says; empty where there is none. Raises `UserError` where the note can't be read."""
    notes = read_notes(root, scores.experiment.name)
    if not notes.text.strip():
        return ""
    found = references(notes.text, scores, notes.numbers)
    wrong = [f"- {one.name}: {one.shown or 'nothing'}. {one.problem}" for one in found if one.problem]
    marks = "\n\nNumbers to look at:\n\n" + "\n".join(wrong) if wrong else ""
    return filled(notes.text, found).strip() + marks + "\n"
