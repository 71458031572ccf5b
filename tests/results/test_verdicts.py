"""Verdicts, components and plans say what `core.spread` says, in the records that the verbs promise."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.checks import caveats
from core.errors import UserError
from core.preflight import run_plan
from core.preflight.pilot_noise import pilot
from core.results import number_format, verdicts
from core.results.conclusion import answer_sentence, experiment_answer
from core.results.loading import Scores, load_scores
from core.results.noise import ALL_VARIANTS, borrowed_noise, noise
from core.results.reading import Reading
from core.results.run_values import evaluation_values, has_shared_views, measured, run_records
from core.spread.planning import detectable_difference
from core.spread.verdict import judge
from core.synthetic.experiments import make_experiment
from tests.results.test_run_values import NAME, run_verb


@pytest.fixture(scope="module")
def scores(project: Path) -> Scores:
    return load_scores(project, NAME)


def per_run(scores: Scores, metric: str) -> dict[str, list[float]]:
    records = run_records(scores, metric)
    return {name: [r["value"] for r in records if r["variant"] == name] for name in scores.variants}


def test_compare_and_results_agree(project: Path, scores: Scores) -> None:
    compared = json.loads(run_verb(project, "compare", NAME, "plain", "twice-as-long", "--json").stdout)
    rows = json.loads(run_verb(project, "results", NAME, "--json").stdout)
    by_metric = {row["metric"]: row for row in rows if row["variant"] == "twice-as-long"}
    over_recipes = [record for record in compared if record["scope"] == "recipe"]
    assert [record["metric"] for record in over_recipes] == list(scores.experiment.metrics)
    assert [record["main"] for record in over_recipes] == [True] + [False] * (len(over_recipes) - 1)
    for record in over_recipes:
        row = by_metric[record["metric"]]
        assert (row["verdict"], row["verdict_low"], row["verdict_high"], row["main"]) == (
            *(record["verdict"], record["low"], record["high"], record["main"]),
        )
        runs = per_run(scores, record["metric"])
        expected = judge(runs, "plain", higher_is_better=scores.higher_is_better(record["metric"]))
        assert record["difference"] == pytest.approx(expected.between("plain", "twice-as-long").difference)
        told = record["low"] > 0 or record["high"] < 0
        assert told == (record["verdict"] != "cannot tell") == (record["p"] < 0.05)
        assert record["comparisons"] == 2 and record["p_alone"] < record["p"]
        assert (record["runs_needed_high"] is None) == (not told)
    assert {row["verdict"] for row in rows if row["variant"] == "plain"} == {None}
    words = {record["metric"]: record["verdict"] for record in over_recipes}
    assert words["accuracy"] == "better" and words["unanswered"] == "cannot tell"


def test_another_baseline_is_one_of_the_variants(project: Path) -> None:
    def table(*options: str) -> dict[str, dict[str, Any]]:
        said = run_verb(project, "results", NAME, "--metric", "accuracy", "--json", *options).stdout
        return {row["variant"]: row for row in json.loads(said)}

    usual, turned = table(), table("--baseline", "twice-as-long")
    assert turned["twice-as-long"]["verdict"] is None and turned["plain"]["verdict"] == "worse"
    assert turned["plain"]["verdict_difference"] == -usual["twice-as-long"]["verdict_difference"]
    assert table("--baseline", "twice-as-long", "--by", "source")["plain"]["verdict"] == "worse"
    said = run_verb(project, "results", NAME, "--baseline", "twice-as-long").stdout
    assert "twice-as-long is better than" in said or "than twice-as-long" in said
    refused = run_verb(project, "results", NAME, "--baseline", "twice-as-lon")
    assert refused.returncode and "Did you mean 'twice-as-long'?" in refused.stderr


def test_compare_turned_round(scores: Scores) -> None:
    there = verdicts.compare_records(scores, "plain", "twice-as-long", Reading(("accuracy",)))
    back = verdicts.compare_records(scores, "twice-as-long", "plain", Reading(("accuracy",)))
    assert [record["scope"] for record in there] == ["checkpoint", "recipe", "new_tasks"]
    for one, other in zip(there, back, strict=True):
        assert one["difference"] == pytest.approx(-other["difference"])
        assert one["low"] == pytest.approx(-other["high"]) and one["p"] == pytest.approx(other["p"])
    assert (there[1]["verdict"], back[1]["verdict"]) == ("better", "worse")


def test_noise_is_borrowed_under_its_name(tmp_path: Path) -> None:
    make_experiment(tmp_path, runs=1, evaluations=1, tasks=30, skills={"plain": -2, "longer": 2})
    single = load_scores(tmp_path, NAME)
    (tmp_path / "runs" / NAME).rename(tmp_path / "runs" / "single")
    make_experiment(tmp_path, runs=4, evaluations=1, tasks=30)
    said = run_verb(tmp_path, "results", "single", "--noise-of", NAME, "--json", "--metric", "accuracy")
    found = {row["variant"]: row for row in json.loads(said.stdout)}
    assert (found["longer"]["verdict"], found["longer"]["std"]) == ("better", None)
    words = run_verb(tmp_path, "results", "single", "--noise-of", NAME, "--metric", "accuracy").stdout
    assert f"noise between runs of '{NAME}'" in " ".join(words.split())
    alone = json.loads(run_verb(tmp_path, "results", "single", "--json").stdout)
    assert {row["verdict"] for row in alone} == {None, "cannot tell"}
    with pytest.raises(UserError, match="tells nothing of the noise"):
        borrowed_noise(single, single, "accuracy")


def test_common_views_are_seen_and_their_noise_taken_out(project: Path, scores: Scores) -> None:
    assert has_shared_views(scores)
    seen = noise(scores, "accuracy")
    assert seen.common and seen.own is not None and seen.evaluations == 2
    found = measured(scores, "accuracy")
    assert found.resolution.step == pytest.approx(1 / (40 * 8 * 2)) and found.shared
    scores.columns["attempts"][0] += 1
    try:
        assert not has_shared_views(scores)
    finally:
        scores.columns["attempts"][0] -= 1


def test_rows_come_best_first_with_letters_and_verdicts(scores: Scores) -> None:
    rows = verdicts.verdict_rows(scores, "accuracy")
    assert [row.variant for row in rows] == ["twice-as-long", "more-colours", "plain"]
    assert [row.letters for row in rows] == ["a", "b", "b"]
    assert [row.verdict for row in rows] == ["better", "cannot tell", None]
    assert answer_sentence(rows, scores).startswith("twice-as-long is better than plain by ")
    downwards = verdicts.verdict_rows(scores, "unanswered")
    means = [row.summary.mean for row in downwards]
    assert means == sorted(means)


def test_another_baseline_and_scope(scores: Scores) -> None:
    rows = {
        row.variant: row
        for row in verdicts.verdict_rows(scores, "accuracy", Reading(baseline="twice-as-long"))
    }
    assert rows["twice-as-long"].comparison is None
    assert rows["plain"].verdict == "worse"
    assert {row.letters for row in verdicts.verdict_rows(scores, "accuracy", Reading(scope="new_tasks"))} == {
        None
    }
    with pytest.raises(UserError, match="no variant 'nobody'"):
        verdicts.verdict_rows(scores, "accuracy", Reading(baseline="nobody"))


def test_pass_n_of_different_attempts_is_not_compared(project: Path) -> None:
    scores = load_scores(project, NAME)
    assert verdicts.is_comparable(scores, "pass_n")
    scores.columns["attempts"][0] = 16
    assert not verdicts.is_comparable(scores, "pass_n")
    rows = verdicts.verdict_rows(scores, "pass_n")
    assert {row.comparison for row in rows} == {None} and {row.letters for row in rows} == {None}
    assert any(
        "pass_n is not compared" in sentence for sentence in caveats.warnings(scores, Reading(("pass_n",)))
    )
    with pytest.raises(UserError, match="Use pass_k"):
        verdicts.compare_records(scores, "plain", "twice-as-long", Reading(("pass_n",)))


def test_components_of_run_means_and_of_cells_agree(project: Path, scores: Scores) -> None:
    records = json.loads(run_verb(project, "spread", NAME, "--metric", "accuracy", "--json").stdout)
    assert set(records[0]) >= {"variant", "metric", "component", "variance", "sd", "degrees_of_freedom"}
    found = {(r["variant"], r["component"]): r["variance"] for r in records}
    tasks = len(scores.tasks)
    for variant in [*scores.variants, ALL_VARIANTS]:
        for name, with_task in (
            ("evaluation", "task×evaluation"),
            ("training", "task×training"),
            ("training×evaluation", "residual"),
        ):
            assert found[variant, f"{name} of run means"] == pytest.approx(
                found[variant, name] + found[variant, with_task] / tasks, abs=1e-12
            )
    plain = evaluation_values(scores, "accuracy")[scores.runs["plain"][0]].mean(axis=1)
    assert len(plain) == 2 and min(r["degrees_of_freedom"] for r in records) == 1


def test_plans_reach_the_power_they_promise(project: Path, scores: Scores) -> None:
    records = json.loads(run_verb(project, "plan", NAME, "--points", "3", "--json").stdout)
    promised = {"metric", "difference", "runs_per_variant", "evaluations_per_run", "power"}
    assert set(records[0]) >= promised
    assert {record["evaluations_per_run"] for record in records} == {1, 2, 4, 8}
    assert all(record["power"] >= 0.8 and record["difference"] == 0.03 for record in records)
    for metric in scores.experiment.metrics:
        own = [record for record in records if record["metric"] == metric and record["tasks"] == 40]
        own = [record for record in own if record["attempts"] == 8]
        runs = [one["runs_per_variant"] for one in sorted(own, key=lambda one: one["evaluations_per_run"])]
        assert runs == sorted(runs, reverse=True) and all(
            one["low"] <= one["runs_per_variant"] for one in own
        )
    detectable = run_plan.plan_records(scores, ["accuracy"])
    by_runs = {record["runs_per_variant"]: record["difference"] for record in detectable}
    known = pilot(scores, "accuracy")
    assert by_runs[3] == detectable_difference(known.noise, 3, 3)
    assert (
        by_runs[5] < by_runs[3] and detectable[0]["low"] < detectable[0]["difference"] < detectable[0]["high"]
    )
    more = run_plan.plan_records(scores, ["accuracy"], tasks=400, attempts=64)
    fewer = run_plan.plan_records(scores, ["accuracy"], tasks=3)
    assert more[0]["difference"] < detectable[0]["difference"] < fewer[0]["difference"]


def test_one_run_per_variant_can_tell_nothing(tmp_path: Path) -> None:
    make_experiment(tmp_path, runs=1, evaluations=1, tasks=6, skills={"plain": -9, "longer": -9})
    scores = load_scores(tmp_path, NAME)
    row = verdicts.verdict_rows(scores, "accuracy")[0]
    assert (row.summary.std, row.sd_training, row.sd_evaluation) == (None, None, None)
    assert {row.verdict for row in verdicts.verdict_rows(scores, "accuracy")} == {None, "cannot tell"}
    with pytest.raises(UserError, match="one run per variant"):
        pilot(scores, "accuracy")
    assert "the std is unknown" in run_plan.detectable_sentence(scores, "accuracy")
    assert "One training of a variant can't tell" in experiment_answer(scores)
    cautions = " ".join(caveats.warnings(scores, Reading(("accuracy",))))
    assert "no known std" in cautions and "Near the floor" in cautions
    assert "Near the floor" not in " ".join(caveats.warnings(scores, Reading(("correct_pixels",))))
    said = run_verb(tmp_path, "compare", NAME, "plain", "longer")
    assert "cannot tell" in said.stdout and said.returncode == 0


def test_the_sentences_name_model_tasks_and_scope(project: Path, scores: Scores) -> None:
    assert caveats.honest_sentence(project, scores) == (
        "40 tasks of toy/evaluation, 8 attempts at each test output, base model tiny, full training."
    )
    assert "Generalises over: new trainings" in number_format.scope_sentence(scores, "recipe", "by_task")
    assert "nothing of other trainings" in number_format.scope_sentence(scores, "checkpoint", "by_task")
    found = noise(scores, "accuracy")
    assert found.tasks is not None and found.tasks > 0.01
    assert number_format.noise_sentence(found).startswith("Noise: evaluation 2.0 · training 1.4 · tasks ")
    assert "All runs answer the same views" in number_format.noise_sentence(found)
    assert np.isfinite([part for part in (found.evaluation, found.training) if part is not None]).all()
