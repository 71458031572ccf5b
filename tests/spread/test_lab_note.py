"""The lab note that started it all: its tables, its components, its trap."""

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from core.spread.components import pooled, run_components
from core.spread.intervals import summarize
from core.spread.reml import reml
from core.spread.scope_verdicts import compare_scope
from core.spread.verdict import compare

TABLES = Path(__file__).resolve().parents[3] / "shared" / "reference" / "lab_note_tables.csv"
METRICS = ("accuracy", "correct_pixels", "correct_size", "pass_64", "unanswered", "pass_2")

# correct_size in percent: five evaluations of one model each, and trainings of the same two recipes.
EVALUATIONS_A, EVALUATIONS_B = [87.36, 87.77, 87.45, 87.53, 87.58], [86.52, 86.81, 86.60, 86.33, 86.36]
TRAININGS_A, TRAININGS_B = [87.58, 86.72, 89.27], [85.41, 86.36]
VARIANTS = ([EVALUATIONS_A, [86.72], [89.27]], [[85.41], EVALUATIONS_B])


def lab_note() -> dict[str, dict[str, dict[str, float]]]:
    if not TABLES.exists():
        pytest.skip("the lab note's tables are not beside this checkout")
    tables: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    with TABLES.open() as file:
        for row in csv.DictReader(file):
            tables[row["table"]][row["row"]] = {metric: float(row[metric]) for metric in METRICS}
    return tables


def column(table: dict[str, dict[str, float]], metric: str) -> list[float]:
    return [row[metric] for name, row in table.items() if name.isdigit()]


def test_every_printed_std_is_the_sample_std() -> None:
    checked = 0
    for name, table in lab_note().items():
        allowed = 0.0201 if name.startswith("training") else 0.0101
        for metric in METRICS:
            summary = summarize(column(table, metric))
            assert summary.std == pytest.approx(table["std"][metric], abs=allowed), (name, metric)
            assert summary.mean == pytest.approx(table["mean"][metric], abs=0.0101), (name, metric)
            checked += 1
    assert checked == 24


@pytest.mark.parametrize(
    ("metric", "evaluation", "training"),
    [
        ("accuracy", 0.084, 0.42),
        ("correct_pixels", 0.19, 0.56),
        ("correct_size", 0.18, 1.14),
        ("pass_2", 1.01, 3.24),
        ("pass_64", 2.07, 1.20),
    ],
)
def test_the_components_of_the_lab_note(metric: str, evaluation: float, training: float) -> None:
    tables = {name: column(table, metric) for name, table in lab_note().items()}
    # Row 1 of training_A is row 5 of evaluation_A, row 2 of training_B is row 5 of evaluation_B.
    assert tables["training_A"][0] == tables["evaluation_A"][4]
    assert tables["training_B"][1] == tables["evaluation_B"][4]
    variants = [
        [tables["evaluation_A"], *([score] for score in tables["training_A"][1:])],
        [tables["training_B"][:1], tables["evaluation_B"]],
    ]
    moments, likely = pooled(run_components(runs) for runs in variants), reml(variants)
    assert (likely.training_freedom, likely.evaluation_freedom) == (3, 8)
    assert moments["evaluation"].degrees_of_freedom == 8
    last_digit = 0.0006 if metric == "accuracy" else 0.0061
    assert moments["evaluation"].sd == pytest.approx(evaluation, abs=last_digit)
    assert np.sqrt(likely.training or 0) == pytest.approx(training, abs=0.0061)
    if metric == "pass_64":
        spread = np.average(
            [np.var(tables["training_A"], ddof=1), np.var(tables["training_B"], ddof=1)], weights=[2, 1]
        )
        assert spread - (moments["evaluation"].variance or 0) < 0


def test_the_trap_evaluations_tell_the_models_apart_trainings_do_not_tell_the_recipes() -> None:
    evaluations = compare_scope([EVALUATIONS_A], [EVALUATIONS_B], "checkpoint")
    assert evaluations.p == pytest.approx(2e-5, abs=0.5e-5)
    assert (evaluations.verdict, evaluations.n_a) == ("worse", 1)
    welch = compare_scope([TRAININGS_A], [TRAININGS_B], "checkpoint")
    assert welch.p == pytest.approx(0.11, abs=0.005)
    trainings = compare(TRAININGS_A, TRAININGS_B)
    assert trainings.verdict == welch.verdict == "cannot tell" and (trainings.p or 0) > 0.1


def test_correct_size_varies_six_times_more_between_trainings_than_between_evaluations() -> None:
    likely = reml(VARIANTS)
    assert np.sqrt([likely.training, likely.evaluation]) == pytest.approx([1.14, 0.18], abs=0.005)
