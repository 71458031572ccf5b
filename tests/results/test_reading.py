"""What a person chose of a table (metric, form, scope, baseline, lender) holds in every form of it."""

import json
import re
import shutil
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from core.__main__ import app
from core.checks.caveats import spreads_sentence, warnings
from core.errors import UserError
from core.exchange.import_scores import import_results
from core.preflight import run_plan
from core.reports.html_report import html_report
from core.reports.text_tables import results_table
from core.results.conclusion import experiment_answer
from core.results.curves import solved
from core.results.loading import Scores, load_scores
from core.results.noise import noise
from core.results.note_references import references
from core.results.number_format import difference, noise_sentence
from core.results.reading import Reading
from core.results.run_values import has_shared_views
from core.results.table_records import records_of
from core.results.verdicts import compare_records, judged, verdict_rows
from core.runs.layout import Run
from core.seeds import generator
from core.spread.scope_verdicts import compare_scope, comparisons_beside
from core.spread.verdict import CANNOT_TELL
from core.synthetic.experiments import make_experiment
from tests.dashboard.alone import page_alone

SINGLE, LENDER = "single", "lender"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment of one training each, evaluated twice, and one whose trainings vary."""
    root = tmp_path_factory.mktemp("reading")
    make_experiment(root, SINGLE, {"plain": -2, "longer": 2}, runs=1, tasks=20)
    make_experiment(root, LENDER, {"plain": 0, "longer": 1, "other": 1}, runs=3, tasks=20)
    return root


def said(root: Path, *arguments: str) -> str:
    result = CliRunner().invoke(app, [*arguments, "--root", str(root)])
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split())


def bold(note: str) -> str:
    return unescape(re.findall("<strong>(.*?)</strong>", note)[0])


def test_whoever_lends_noise_is_named_wherever_its_verdicts_stand(root: Path, tmp_path: Path) -> None:
    borrowed = ("--noise-of", LENDER, "--metric", "accuracy")
    shown = said(root, "results", SINGLE, *borrowed)
    said(root, "results", SINGLE, *borrowed, "--html", str(tmp_path / "note.html"))
    note = unescape((tmp_path / "note.html").read_text(encoding="utf-8"))
    for text in (shown, " ".join(note.split())):
        assert "longer is better than plain by" in text
        assert f"Judged with the noise between runs of '{LENDER}'" in text
        assert f"(6 degrees of freedom), lent by '{LENDER}'" in text
        assert f"its verdict holds if its trainings vary as those of '{LENDER}' do" in text
        assert "no known std" not in text and "One training of a variant" not in text
    table = said(root, "results", SINGLE, *borrowed, "--format", "markdown")
    assert f"at 95 %, with the noise between runs of '{LENDER}'." in table
    compared = said(root, "compare", SINGLE, "plain", "longer", *borrowed)
    assert f"judged with the noise between runs of '{LENDER}'" in compared
    assert f"--noise-of {LENDER}" in note and "better" in note


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("results", SINGLE, "--noise-of", LENDER, "--by", "source"), "--noise-of can't stand beside --by"),
        (("results", SINGLE, "--noise-of", LENDER, "--scope", "checkpoint"), "can't stand beside --scope"),
        (("results", SINGLE, "--html", "x.html", "--by", "size"), "--html can't stand beside --by"),
        (("results", SINGLE, "--html", "x.html", "--level", "0.9", "--json"), "--level and --json"),
        (("results", SINGLE, "--html", "x.html", "--format", "csv"), "--html can't stand beside --format"),
        (("compare", SINGLE, "plain", "longer", "--by", "size", "--noise-of", LENDER), "--by can't stand"),
        (
            ("compare", SINGLE, "plain", "longer", "--by", "size", "--tasks"),
            "--by can't stand beside --tasks",
        ),
        (("compare", SINGLE, "plain", "longer", "--tasks", "--scope", "recipe"), "--tasks can't stand"),
    ],
)
def test_an_option_without_effect_is_refused(root: Path, arguments: tuple[str, ...], words: str) -> None:
    result = CliRunner().invoke(app, [*arguments, "--root", str(root)])
    assert isinstance(result.exception, UserError) and words in str(result.exception)


def test_the_file_is_read_as_the_table(root: Path) -> None:
    scores = load_scores(root, LENDER)
    reading = Reading(("vote_2", "accuracy"), "by_output", "checkpoint", "other")
    note = html_report(root, LENDER, reading)
    rows = verdict_rows(scores, "vote_2", reading)
    assert bold(note) == experiment_answer(scores, reading) and "vote_2" in bold(note)
    assert "other" in bold(note) and "evaluations" in bold(note)
    assert all(row.verdict is None or row.verdict in note for row in rows)
    command = f"results {LENDER} --scope checkpoint --metric vote_2 --metric accuracy"
    assert command in note and "--aggregation by_output --baseline other" in note
    assert "<h3>plain against other</h3>" in note and "against plain" not in note
    assert spreads_sentence(scores, reading) == ""  # these verdicts rest on evaluations


def test_the_table_of_a_file_judges_the_metric_that_comes_first(root: Path) -> None:
    records = records_of(
        load_scores(root, LENDER),
        Reading(("vote_2", "accuracy")),
    )
    assert "vote_2 against the baseline, points" in results_table(records).header


def test_advice_names_the_seeds_that_a_scope_lacks(tmp_path: Path) -> None:
    make_experiment(tmp_path, "once", {"plain": -9, "longer": -9}, runs=2, evaluations=1, tasks=6)
    scores = load_scores(tmp_path, "once")
    over_evaluations = Reading(scope="checkpoint")
    assert "Add eval seeds" in experiment_answer(scores, over_evaluations)
    assert "train seeds" not in experiment_answer(scores, over_evaluations)


def test_unequal_runs_are_not_called_one_each(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "runs", tmp_path / "runs")
    shutil.rmtree(Run(tmp_path, LENDER, "plain", 1).folder)
    shutil.rmtree(Run(tmp_path, LENDER, "plain", 2).folder)
    scores = load_scores(tmp_path, LENDER)
    lent = Reading(("accuracy",), lender=load_scores(root, LENDER))
    answer = experiment_answer(scores, lent)
    assert "3 trainings against 1" in answer and "each" not in answer
    assert not any("few count with more noise" in one for one in warnings(scores, lent))


def test_comparisons_are_those_that_were_made(root: Path, tmp_path: Path) -> None:
    """A variant with one training is evaluated, but nothing can be compared with it."""
    shutil.copytree(root / "runs", tmp_path / "runs")
    for seed in (1, 2):
        shutil.rmtree(Run(tmp_path, LENDER, "other", seed).folder)
    scores = load_scores(tmp_path, LENDER)
    (record,) = compare_records(scores, "plain", "longer", Reading(("accuracy",)), ["recipe"])
    assert record["comparisons"] == 1 and record["p"] == pytest.approx(record["p_alone"])
    (of_models,) = compare_records(scores, "plain", "longer", Reading(("accuracy",)), ["checkpoint"])
    assert of_models["comparisons"] == 2


def test_pairs_share_their_error_where_the_baseline_is_not_evaluated(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "runs", tmp_path / "runs")
    shutil.rmtree(tmp_path / "runs" / LENDER / "plain")
    table = judged(load_scores(tmp_path, LENDER), "accuracy", Reading(scope="new_tasks"))
    found = table.between("longer", "other")
    assert found.p == found.p_alone  # nobody else needs the error
    of_recipes = judged(load_scores(tmp_path, LENDER), "accuracy").between("longer", "other")
    assert of_recipes.p == pytest.approx(of_recipes.p_alone)
    answer = experiment_answer(load_scores(tmp_path, LENDER))
    assert answer == "The baseline, plain, is not evaluated yet: nothing is held against it."

    rng, variants, tables, false = generator(0, "no baseline"), 4, 500, 0
    beside = comparisons_beside(variants, with_baseline=False, baseline_evaluated=False)
    for values in rng.normal(size=(tables, variants, 1, 8)):
        pairs = [(a, b) for b in range(variants) for a in range(b)]
        words = (compare_scope(values[a], values[b], "checkpoint", comparisons=beside) for a, b in pairs)
        false += any(one.verdict != CANNOT_TELL for one in words)
    assert false / tables <= 0.05


def test_a_variant_alone_is_planned_beside_another(tmp_path: Path) -> None:
    make_experiment(tmp_path, "alone", {"plain": 0}, runs=3, tasks=20)
    scores = load_scores(tmp_path, "alone")
    assert all(
        one["variants"] == 2 and one["difference"] for one in run_plan.plan_records(scores, ["accuracy"])
    )
    needed = run_plan.plan_records(scores, ["accuracy"], points=20)
    assert all(one["runs_per_variant"] for one in needed)
    assert run_plan.detectable_sentence(scores, "accuracy").startswith("With 3 runs of each of 2 variants,")


def test_a_reference_has_the_unit_of_its_metric(tmp_path: Path) -> None:
    table = tmp_path / "x.csv"
    rows = "".join(
        f"{name},{seed},0,{value + seed / 99}\n" for seed in range(3) for name, value in (("a", 2), ("b", 1))
    )
    table.write_text(f"variant,train_seed,eval_seed,val_loss\n{rows}")
    import_results(tmp_path, table, "x")
    (found,) = references("{b against a, val_loss}", load_scores(tmp_path, "x"), {})
    assert found.shown is not None and found.shown.startswith("−1.0") and "points" not in found.shown


def test_what_can_not_be_compared_is_not_called_the_baseline(root: Path) -> None:
    scores = load_scores(root, LENDER)
    scores.columns["attempts"][0] += 1
    rows = results_table(
        [*records_of(scores, Reading(("accuracy",))), *records_of(scores, Reading(("pass_n",)))], marks=None
    ).rows
    assert [row[-1] for row in rows].count("baseline") == 1
    only = {row["variant"]: row for row in records_of(scores, Reading(("pass_n",)))}
    assert {row["verdict"] for row in only.values()} == {None} and only["longer"]["baseline"] == "plain"


def test_always_solved_means_that_no_attempt_lacks(root: Path) -> None:
    scores = load_scores(root, SINGLE)
    columns = {name: values.copy() for name, values in scores.columns.items()}
    columns["correct"][:] = columns["attempts"]
    every: Scores = replace(scores, columns=columns)
    tasks = len(scores.tasks)
    assert solved(every).kinds == (0, 0, tasks)
    columns["attempts"][0, 0] = columns["correct"][0, 0] = 0  # an output that one evaluation lacks
    assert solved(every).kinds == (0, 1, tasks - 1)
    assert int(solved(every).always.sum()) == np.count_nonzero(solved(every).always)


def test_a_pair_has_the_verdict_of_the_table_that_it_is_part_of(root: Path) -> None:
    scores = load_scores(root, LENDER)
    rows = {row.variant: row for row in verdict_rows(scores, "accuracy", Reading(baseline="other"))}
    (record,) = compare_records(
        scores, "other", "longer", Reading(("accuracy",), baseline="other"), ["recipe"]
    )
    found = rows["longer"].comparison
    assert found is not None and (record["low"], record["high"], record["p"]) == (
        found.low,
        found.high,
        found.p,
    )
    assert record["comparisons"] == 2
    line = ("compare", LENDER, "other", "longer", "--baseline", "other", "--format", "markdown")
    assert "whole table of 3 variants against other at 95 %" in said(root, *line)
    (own,) = compare_records(scores, "other", "longer", Reading(("accuracy",)), ["recipe"])
    assert own["comparisons"] == 3 and own["p"] >= record["p"]
    assert own["high"] - own["low"] > record["high"] - record["low"]


def test_the_link_from_a_table_leads_to_its_verdict(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    query = {"experiment": LENDER, "a": "other", "b": "longer", "metric": "accuracy"}
    scores = load_scores(root, LENDER)
    for baseline in ("other", "longer"):
        page = page_alone(root, "compare", monkeypatch, **query, baseline=baseline)
        (record,) = compare_records(
            scores, "other", "longer", Reading(("accuracy",), baseline=baseline), ["recipe"]
        )
        shown = difference(record["difference"], record["low"], record["high"])
        assert any(shown in str(one.value) for one in page.markdown)
        lines = " ".join(str(one.value) for one in page.code)
        assert ("--baseline other" in lines) == (baseline == "other")


def test_an_evaluation_that_is_missing_changes_no_verdict_of_others(root: Path, tmp_path: Path) -> None:
    whole = load_scores(root, LENDER)
    shutil.copytree(root / "runs", tmp_path / "runs")
    shutil.rmtree(Run(tmp_path, LENDER, "other", 1).scores(1).parent)
    lacking = load_scores(tmp_path, LENDER)
    assert has_shared_views(lacking)
    for scope in ("checkpoint", "new_tasks"):
        before, after = (
            judged(scores, "accuracy", Reading(scope=scope)).between("plain", "longer")
            for scores in (whole, lacking)
        )
        assert (before.low, before.high, before.p) == pytest.approx((after.low, after.high, after.p))
    assert "views of its own" not in noise_sentence(noise(lacking, "accuracy"))
    shutil.rmtree(Run(tmp_path, LENDER, "plain", 0).scores(1).parent)
    for seed in (1, 2):
        shutil.rmtree(Run(tmp_path, LENDER, "plain", seed).scores(0).parent)
    assert not has_shared_views(load_scores(tmp_path, LENDER))  # no run of plain has both


def test_noise_of_another_unit_is_not_lent(root: Path, tmp_path: Path) -> None:
    table = tmp_path / "x.csv"
    table.write_text("variant,train_seed,eval_seed,accuracy\na,0,0,41\na,1,0,44\n")
    import_results(tmp_path, table, "x", units={"accuracy": "number"})
    reading = Reading(("accuracy",), lender=load_scores(tmp_path, "x"))
    with pytest.raises(UserError, match="has the unit 'number', and here 'share'"):
        experiment_answer(load_scores(root, LENDER), reading)


def test_means_and_stds_are_read_as_recipes_alone(tmp_path: Path) -> None:
    table = tmp_path / "x.csv"
    table.write_text("variant,mean,std,n\nbase,0.40,0.02,3\nnew,0.46,0.02,3\n")
    import_results(tmp_path, table, "x")
    with pytest.raises(UserError, match="nothing of single ones"):
        verdict_rows(load_scores(tmp_path, "x"), "score", Reading(scope="checkpoint"))


def test_a_sentence_gives_the_reason_that_holds(root: Path, tmp_path: Path) -> None:
    scores = load_scores(root, LENDER)
    scores.columns["attempts"][0] += 1
    assert "is not compared. Use pass_k" in experiment_answer(scores, Reading(("pass_n",)))
    make_experiment(tmp_path, "equal", {"plain": -20, "longer": -20}, runs=3, tasks=6)
    equal = load_scores(tmp_path, "equal")
    assert "verdicts rest on the steps of the score" in spreads_sentence(equal)
    (record,) = compare_records(scores, "longer", "other", Reading(("accuracy",)), ["recipe"])
    assert record["runs_needed"] is None  # plans are for differences from the baseline


def test_unequal_runs_are_planned_with_the_fewest(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "runs", tmp_path / "runs")
    shutil.rmtree(Run(tmp_path, LENDER, "other", 2).folder)
    sentence = run_plan.detectable_sentence(load_scores(tmp_path, LENDER), "accuracy")
    assert sentence.startswith("With 2 runs, the fewest here, of each of 3 variants,")


def test_parts_are_worth_what_their_level_says(root: Path) -> None:
    assert "up to 20 of 100" in said(root, "results", LENDER, "--by", "source", "--level", "0.8")
    assert "up to 5 of 100" in said(root, "results", LENDER, "--by", "source")


def test_a_page_says_what_runs_can_detect_where_their_noise_judges(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detects = {}
    for scope, lender in (("recipe", ""), ("checkpoint", ""), ("recipe", SINGLE)):
        lent = {"noise_of": LENDER} if lender else {}
        page = page_alone(root, "results", monkeypatch, experiment=lender or LENDER, scope=scope, **lent)
        captions = " ".join(str(one.value) for one in page.caption)
        detects[scope, lender] = "in 4 of 5 cases" in captions or "One run per variant" in captions
    assert detects == {("recipe", ""): True, ("checkpoint", ""): False, ("recipe", SINGLE): False}


def test_json_names_the_baseline(root: Path) -> None:
    records = json.loads(CliRunner().invoke(app, ["results", LENDER, "--json", "--root", str(root)]).stdout)
    assert {record["baseline"] for record in records} == {"plain"}
