"""Whatever shows numbers of a variant that was trained at test time says so, in every form."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from core.checks import leak_warnings
from core.checks.leak_warnings import TEST_TIME, no_leak_sentence
from core.commands.printing import print_table
from core.experiments.experiment import Experiment
from core.reports import figures, html_table
from core.reports.svg import svg
from core.reports.text_tables import comparison_table, results_table, with_test_time
from core.reports.variant_styles import TEST_TIME_COLOUR, variant_colours
from core.results.loading import Evaluation, Scores
from core.results.verdicts import Row
from core.spread.intervals import summarize

LABEL = f"{TEST_TIME}: saw the demonstrations of the 2 evaluated tasks"
SENTENCE = f"'with': {LABEL}."


@pytest.fixture
def scores() -> Scores:
    experiment = Experiment(
        name="trial", baseline="plain", metrics=("vote_2",), variants=("plain", "with"), test_time={"with": 2}
    )
    evaluations = tuple(Evaluation(variant, 0, 0) for variant in ("plain", "with"))
    return Scores(experiment, evaluations, tasks=(("toy", "a"), ("toy", "b")))


def records(scores: Scores) -> list[dict[str, Any]]:
    numbers = {"mean": 0.5, "std": 0.1, "n": 3, "low": 0.3, "high": 0.7, "unit": "share", "verdict": None}
    return [{"variant": variant, "metric": "vote_2", "main": True, **numbers} for variant in scores.variants]


def test_a_table_says_it_in_every_form(scores: Scores, capsys: pytest.CaptureFixture[str]) -> None:
    assert leak_warnings.seen_sentence(leak_warnings.seen_labels(scores)) == SENTENCE
    table = with_test_time(results_table(records(scores)), scores)
    assert table.markdown.endswith(f"\n\n{SENTENCE}\n")
    assert rf"\caption{{{SENTENCE}}}" in table.latex
    assert [row["test_time"] for row in csv.DictReader(io.StringIO(table.csv))] == ["", LABEL]
    print_table(table, "json")
    assert [row["test_time"] for row in json.loads(capsys.readouterr().out)] == [None, LABEL]
    print_table(table)
    assert capsys.readouterr().out.endswith(f"{SENTENCE}\n")


def test_a_record_without_a_variant_names_all(scores: Scores) -> None:
    numbers = dict.fromkeys(("difference", "low", "high", "p", "p_alone"))
    record = {"metric": "vote_2", "main": True, "unit": "share", "scope": "recipe", "verdict": "cannot tell"}
    table = with_test_time(comparison_table([{**record, **numbers}], "plain", "with"), scores)
    assert table.records[0]["test_time"] == SENTENCE and table.notes == (SENTENCE,)


def test_where_nothing_was_trained_at_test_time_nothing_is_said(scores: Scores) -> None:
    plain = replace(scores, experiment=scores.experiment.model_copy(update={"test_time": {}}))
    table = results_table(records(plain))
    assert with_test_time(table, plain) is table


def rows(scores: Scores) -> Sequence[Row]:
    return [Row(variant, summarize([0.4, 0.5, 0.6]), None, None, None, None) for variant in scores.variants]


def test_the_table_of_the_pages_marks_the_variant_in_its_own_colour(scores: Scores) -> None:
    cells = {(record["variant"], "vote_2"): record for record in records(scores)}
    colours = variant_colours(scores.variants, "plain")
    parts = (cells, ["vote_2"], "vote_2", "plain", "recipe", colours)
    shown = html_table.result_table(rows(scores), *parts, leak_warnings.seen_labels(scores))
    assert shown.count(f'<span class="verdict test-time">{TEST_TIME}</span>') == 1
    assert f'title="{LABEL}"' in shown
    assert "</span>with <span" in shown
    assert TEST_TIME not in html_table.result_table(rows(scores), *parts).replace("test-time {", "")


def test_charts_mark_the_variant_on_the_page_and_in_a_lab_note(scores: Scores) -> None:
    seen = scores.experiment.test_time
    chart = figures.run_chart(rows(scores), [], scores.variants, "plain", "vote_2", seen)
    plain, marked = chart.layout.yaxis.ticktext
    assert plain == "plain" and TEST_TIME_COLOUR in marked and TEST_TIME in marked
    drawn = svg(chart, "vote_2")
    assert f'with<tspan fill="{TEST_TIME_COLOUR}"> {TEST_TIME}</tspan>' in drawn
    assert drawn.count(TEST_TIME) == 1
    points = [
        {"variant": name, "k": k, "mean": 0.1, "std": None, "n": 1}
        for name in scores.variants
        for k in (1, 2)
    ]
    curve = figures.curve_chart(points, scores.variants, "plain", "pass_k, %", seen)
    assert [TEST_TIME in trace.name for trace in curve.data] == [False, True]
    assert svg(curve, "pass_k").count(TEST_TIME) == 1
    solved = SimpleNamespace(
        runs=[("plain", 0), ("with", 0)], tasks=[("toy", "a")], share=np.zeros((2, 1)),
        right=np.zeros((2, 1)), attempts=np.ones((2, 1)),
    )  # fmt: skip
    strip = figures.solved_chart(solved, seen)
    assert [TEST_TIME in name for name in strip.data[0].y] == [False, True]


def test_a_clean_gate_does_not_deny_what_was_seen() -> None:
    assert no_leak_sentence(29, {"plain": 0}).startswith("No leak: none of the 29 evaluated tasks")
    said = no_leak_sentence(29, {"plain": 0, "with": 28})
    assert "No leak" not in said and "No test pair of the 29 evaluated tasks" in said
    assert "of 28 tasks the demonstrations are, which is test-time training" in said
