"""References show the numbers of the table, and say where these or the verdict contradict the note."""

from pathlib import Path

import pytest

from core.experiments.notes import Notes, write_notes
from core.results.loading import Scores, load_scores
from core.results.note_references import filled, frozen_note, references
from core.results.number_format import mean_and_std
from core.results.reading import Reading
from core.results.table_records import records_of
from core.synthetic.experiments import make_experiment

NAMES = "{accuracy longer} {longer against plain, accuracy}"


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Scores:
    root = tmp_path_factory.mktemp("references") / "project"
    Path(root).mkdir()
    make_experiment(root, "trial", {"plain": 0, "longer": 4}, runs=4, evaluations=1, tasks=20)
    return load_scores(root, "trial")


def test_a_reference_shows_the_number_of_the_table(scores: Scores) -> None:
    record = next(one for one in records_of(scores, Reading(("accuracy",))) if one["variant"] == "longer")
    value, against = references(NAMES, scores, {})
    assert value.shown == mean_and_std(record) and value.verdict is None and value.problem is None
    assert against.verdict == "better" and against.shown is not None and "better" in against.shown
    assert filled(NAMES, [value, against]) == f"{value.shown} {against.shown}"


def test_the_baseline_has_that_name_too(scores: Scores) -> None:
    named = references("{accuracy plain} {longer against plain, accuracy}", scores, {})
    meant = references("{accuracy baseline} {longer against baseline, accuracy}", scores, {})
    assert [one.shown for one in meant] == [one.shown for one in named] and None not in meant


def test_a_changed_number_is_reported(scores: Scores) -> None:
    value, _ = references(NAMES, scores, {"accuracy longer": "12.0 ± 0.1 (n = 2)"})
    assert value.problem == "It was 12.0 ± 0.1 (n = 2) when this was written."


def test_a_claim_is_held_against_the_verdict(scores: Scores) -> None:
    (right,) = references("It helps: {longer against plain, accuracy}.", scores, {})
    (wrong,) = references("Longer hurts {longer against plain, accuracy}.", scores, {})
    (other,) = references("Cutting hurts. See {longer against plain, accuracy}.", scores, {})
    assert right.problem is None and wrong.problem == "The verdict is 'better'." and other.problem is None


def test_a_claim_is_that_of_the_words_beside_the_reference(scores: Scores) -> None:
    better, turned = "{longer against plain, accuracy}", "{plain against longer, accuracy}"
    assert [one.verdict for one in references(f"{better} {turned}", scores, {})] == ["better", "worse"]
    for agreed in (
        f"Longer training helps {better}, but less hurts {turned}.",
        f"Longer is better than plain: it is better {better}, and does not hurt {turned}.",
        f"Longer training does no harm: {better}.",
        f"{better}: it helped.",
    ):
        assert [one.problem for one in references(agreed, scores, {})] in ([None], [None, None])
    first, second = references(f"Longer training hurts {better}, but less helps {turned}.", scores, {})
    assert first.problem == "The verdict is 'better'." and second.problem == "The verdict is 'worse'."


def test_what_names_nothing_is_a_sentence_and_stays(scores: Scores) -> None:
    text = "{accuracy other} {nothing} {no_metric plain}"
    found = references(text, scores, {})
    assert len(found) == 3 and all(one.shown is None and one.problem for one in found)
    assert filled(text, found) == text


def test_a_frozen_note_holds_todays_numbers_and_what_is_wrong_with_them(tmp_path: Path) -> None:
    make_experiment(tmp_path, "trial", {"plain": 0, "longer": 4}, runs=4, evaluations=1, tasks=20)
    scores = load_scores(tmp_path, "trial")
    assert frozen_note(tmp_path, scores) == ""
    text = "It hurts: {longer against plain, accuracy}."
    write_notes(tmp_path, "trial", Notes(text=text))
    (found,) = references(text, scores, {})
    wrong = f"- {found.name}: {found.shown}. The verdict is 'better'."
    assert frozen_note(tmp_path, scores) == f"It hurts: {found.shown}.\n\nNumbers to look at:\n\n{wrong}\n"
