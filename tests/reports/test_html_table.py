"""The table of results on a page leads on: a variant to its comparison, a word to the dictionary."""

from pathlib import Path

from core.reports.glossary import WORDS, meaning
from core.reports.html_table import result_table
from core.results.loading import load_scores
from core.results.reading import Reading
from core.results.table_records import records_of
from core.results.verdicts import verdict_rows
from core.synthetic.experiments import make_experiment


def test_a_variant_and_a_word_lead_on_where_there_is_a_page(tmp_path: Path) -> None:
    make_experiment(tmp_path, "trial", {"plain": 0, "longer": 4}, runs=3, evaluations=2, tasks=20)
    scores = load_scores(tmp_path, "trial")
    rows = verdict_rows(scores, "accuracy")
    cells = {(one["variant"], one["metric"]): one for one in records_of(scores, Reading(("accuracy",)))}
    table = (rows, cells, ["accuracy"], "accuracy", "plain", "recipe", {"plain": "#888", "longer": "#00f"})
    assert "<a " not in result_table(*table)
    shown = result_table(*table, links={"longer": "compare?a=plain&b=longer"}, dictionary="how_to_read?word=")
    assert '<a href="compare?a=plain&amp;b=longer">longer</a>' in shown
    assert shown.count('<a href="how_to_read?word=') == 5  # metric, letters, verdict, two deviations


def test_every_word_of_an_address_stands_in_the_dictionary() -> None:
    found = [
        meaning(word) for word in (*WORDS, "vote_2", "expected_vote_1", "uncertain", "by_output", "recipe")
    ]
    assert all(found)
    assert meaning("no-such-word") is None
