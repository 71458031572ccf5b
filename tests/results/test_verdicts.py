"""Verdicts, components and plans say what `core.spread` says, in the records that the verbs promise."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from core.bench.synthetic import make_experiment
from core.errors import UserError
from core.preflight import planning
from core.results import caveats, number_format, verdicts
from core.results.loading import Scores, load_scores
from core.results.tables import evaluation_values, run_records
from tests.results.test_tables import NAME, run_verb


@pytest.fixture(scope="module")
def scores(project: Path) -> Scores:
    return load_scores(project, NAME)


def per_run(scores: Scores, metric: str) -> dict[str, list[float]]:
    records = run_records(scores, metric)
    return {name: [r["value"] for r in records if r["variant"] == name] for name in scores.variants}


def test_compare_is_welchs_test_over_trainings(project: Path, scores: Scores) -> None:
    said = run_verb(project, "compare", NAME, "plain", "twice-as-long", "--json", "--scope", "recipe")
    records = json.loads(said.stdout)
    assert [record["metric"] for record in records] == list(scores.experiment.metrics)
    for record in records:
        runs = per_run(scores, record["metric"])
        expected = scipy.stats.ttest_ind(runs["twice-as-long"], runs["plain"], equal_var=False)
        low, high = expected.confidence_interval()
        assert record["p"] == pytest.approx(expected.pvalue, rel=1e-6)
        assert (record["low"], record["high"]) == (pytest.approx(low), pytest.approx(high))
        assert set(record) == {
            *("metric", "scope", "difference", "low", "high", "p", "verdict", "runs_needed")
        }
    words = {record["metric"]: record["verdict"] for record in records}
    assert words["accuracy"] == "better" and words["unanswered"] == "cannot tell"


def test_compare_turned_round(scores: Scores) -> None:
    there = verdicts.compare_records(scores, "plain", "twice-as-long", ["accuracy"])
    back = verdicts.compare_records(scores, "twice-as-long", "plain", ["accuracy"])
    assert [record["scope"] for record in there] == ["checkpoint", "recipe", "new_tasks"]
    for one, other in zip(there, back, strict=True):
        assert one["difference"] == pytest.approx(-other["difference"])
        assert (one["verdict"], other["verdict"]) == ("better", "worse")


def test_rows_come_best_first_with_letters_and_verdicts(scores: Scores) -> None:
    rows = verdicts.verdict_rows(scores, "accuracy")
    assert [row.variant for row in rows] == ["twice-as-long", "more-colours", "plain"]
    assert [row.letters for row in rows] == ["a", "b", "b"]
    assert [row.verdict for row in rows] == ["better", "cannot tell", None]
    assert rows[1].comparison is not None and rows[1].comparison.runs_needed is not None
    downwards = verdicts.verdict_rows(scores, "unanswered")
    means = [row.summary.mean for row in downwards]
    assert means == sorted(means)


def test_another_baseline_and_scope(scores: Scores) -> None:
    rows = {row.variant: row for row in verdicts.verdict_rows(scores, "accuracy", baseline="twice-as-long")}
    assert rows["twice-as-long"].comparison is None
    assert rows["plain"].verdict == "worse"
    assert {row.letters for row in verdicts.verdict_rows(scores, "accuracy", scope="new_tasks")} == {None}
    with pytest.raises(UserError, match="no variant 'nobody'"):
        verdicts.verdict_rows(scores, "accuracy", baseline="nobody")


def test_pass_n_of_different_attempts_is_not_compared(project: Path) -> None:
    scores = load_scores(project, NAME)
    assert verdicts.is_comparable(scores, "pass_n")
    scores.columns["attempts"][0] = 16
    assert not verdicts.is_comparable(scores, "pass_n")
    rows = verdicts.verdict_rows(scores, "pass_n")
    assert {row.comparison for row in rows} == {None} and {row.letters for row in rows} == {None}
    assert any("pass_n is not compared" in sentence for sentence in caveats.warnings(scores, "pass_n"))
    with pytest.raises(UserError, match="Use pass_k"):
        verdicts.compare_records(scores, "plain", "twice-as-long", ["pass_n"])


def test_components_of_run_means_and_of_cells_agree(project: Path, scores: Scores) -> None:
    records = json.loads(run_verb(project, "spread", NAME, "--metric", "accuracy", "--json").stdout)
    assert set(records[0]) == {"variant", "metric", "component", "variance", "sd", "degrees_of_freedom"}
    found = {(r["variant"], r["component"]): r["variance"] for r in records}
    tasks = len(scores.tasks)
    for variant in [*scores.variants, verdicts.ALL_VARIANTS]:
        of_means = found[variant, "evaluation of run means"]
        assert of_means == pytest.approx(
            found[variant, "evaluation"] + found[variant, "residual"] / tasks, abs=1e-12
        )
        assert found[variant, "training of run means"] == pytest.approx(
            found[variant, "training"] + found[variant, "task×training"] / tasks, abs=1e-12
        )
    plain = evaluation_values(scores, "accuracy")[scores.runs["plain"][0]].mean(axis=1)
    assert len(plain) == 2 and min(r["degrees_of_freedom"] for r in records) == 2


def test_plans_reach_the_power_they_promise(project: Path, scores: Scores) -> None:
    records = json.loads(run_verb(project, "plan", NAME, "--points", "3", "--json").stdout)
    assert set(records[0]) == {"metric", "difference", "runs_per_variant", "evaluations_per_run", "power"}
    assert {record["evaluations_per_run"] for record in records} == {1, 2, 4, 8}
    assert all(record["power"] >= 0.8 and record["difference"] == 0.03 for record in records)
    for metric in scores.experiment.metrics:
        runs = [record["runs_per_variant"] for record in records if record["metric"] == metric]
        assert runs == sorted(runs, reverse=True)
    detectable = planning.plan_records(scores, ["accuracy"])
    by_runs = {record["runs_per_variant"]: record["difference"] for record in detectable}
    spread = planning.pilot(scores, "accuracy").std
    assert by_runs[3] / spread == pytest.approx(3.07, abs=0.01)
    assert by_runs[5] / spread == pytest.approx(2.02, abs=0.01)


def test_one_run_per_variant_can_tell_nothing(tmp_path: Path) -> None:
    make_experiment(tmp_path, runs=1, evaluations=1, tasks=6, skills={"plain": -9, "longer": -9})
    scores = load_scores(tmp_path, NAME)
    row = verdicts.verdict_rows(scores, "accuracy")[0]
    assert (row.summary.std, row.sd_training, row.sd_evaluation) == (None, None, None)
    assert {row.verdict for row in verdicts.verdict_rows(scores, "accuracy")} == {None, "cannot tell"}
    with pytest.raises(UserError, match="one run per variant"):
        planning.pilot(scores, "accuracy")
    assert planning.detectable_sentence(scores, "accuracy") == ""
    cautions = " ".join(caveats.warnings(scores, "accuracy"))
    assert "no known std" in cautions and "Near the floor" in cautions
    assert "Near the floor" not in " ".join(caveats.warnings(scores, "correct_pixels"))
    said = run_verb(tmp_path, "compare", NAME, "plain", "longer")
    assert "cannot tell" in said.stdout and said.returncode == 0


def test_the_sentences_name_model_tasks_and_scope(project: Path, scores: Scores) -> None:
    assert caveats.honest_sentence(project, scores) == (
        "40 tasks of toy/evaluation, 8 attempts at each test output, base model tiny, full training."
    )
    assert "Generalises over: new trainings" in number_format.scope_sentence(scores, "recipe", "by_task")
    assert "nothing of other trainings" in number_format.scope_sentence(scores, "checkpoint", "by_task")
    noise = verdicts.noise(scores, "accuracy")
    assert noise.tasks is not None and noise.tasks > 0.01
    assert number_format.noise_sentence(noise).startswith("Noise: evaluation 2.0 · training 1.4 · tasks ")
    assert np.isfinite([part for part in (noise.evaluation, noise.training) if part is not None]).all()
