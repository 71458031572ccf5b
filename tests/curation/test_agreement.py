"""Krippendorff's alpha against published values, a second way to compute it, and its interval's level."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from core.__main__ import app
from core.curation.agreement import (
    SECOND_PASS,
    agreements,
    alpha_interval,
    krippendorff,
    to_judge_again,
)
from core.curation.flags import add_flags
from core.curation.stored import load_stored
from core.seeds import generator
from core.synthetic.experiments import SOURCE, make_experiment

# Krippendorff 2011, "Computing Krippendorff's alpha-reliability", examples A and C (nominal).
TWO = ("0100000010", "1110010000")
FOUR = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")


def units_of(observers: tuple[str, ...]) -> list[list[str]]:
    """The values of each unit, a dot where an observer gave none."""
    return [[value for value in unit if value != "."] for unit in zip(*observers, strict=True)]


def by_pairs(units: list[list[str]]) -> float:
    """Alpha from its definition: how often two values of a unit differ, against any two values."""
    units = [unit for unit in units if len(unit) > 1]
    everything = [value for unit in units for value in unit]
    observed = sum(sum(a != b for a, b in permutations(unit, 2)) / (len(unit) - 1) for unit in units) / len(
        everything
    )
    pairs = list(permutations(everything, 2))
    return 1 - observed / (sum(a != b for a, b in pairs) / len(pairs))


def test_a_second_pass_repeats_a_fifth_of_what_a_person_judged(tmp_path: Path) -> None:
    make_experiment(tmp_path, runs=1, evaluations=1, tasks=20)
    ids = list(load_stored(tmp_path, SOURCE))
    first = {"source": SOURCE, "value": "yes"}
    add_flags(tmp_path, [{**first, "task_id": one, "by": "ada"} for one in ids[:14]])
    add_flags(tmp_path, [{**first, "task_id": one, "by": "bob"} for one in ids[14:]])
    wanted = to_judge_again(tmp_path, SOURCE, "ada")
    assert len(wanted) == 3 and set(wanted) < set(ids[:14])
    again = {**first, "by": "ada", "note": f"{SECOND_PASS} 1", "task_id": wanted[0], "value": "no"}
    add_flags(tmp_path, [again])
    assert to_judge_again(tmp_path, SOURCE, "ada") == wanted[1:]
    assert to_judge_again(tmp_path, SOURCE, "ada", "hard") == []


@pytest.mark.parametrize("observers, published", [(TWO, 0.095), (FOUR, 0.743)])
def test_alpha_is_the_published_one(observers: tuple[str, ...], published: float) -> None:
    found = krippendorff(units_of(observers))
    assert found == pytest.approx(published, abs=5e-4)
    assert found == pytest.approx(by_pairs(units_of(observers)), abs=1e-12)


def test_without_variation_alpha_is_unknown() -> None:
    assert krippendorff([["yes", "yes"]] * 9) is None
    assert krippendorff([["yes"], ["no"]]) is None
    assert krippendorff([]) is None
    assert alpha_interval([["yes"]], np.random.default_rng(0)) is None
    assert krippendorff([["yes", "yes"], ["no", "no"]]) == 1


def test_the_interval_covers_the_true_alpha() -> None:
    """Two observers who each see a fair coin and err one time in ten: true alpha is 1 − .18 / .5."""
    rng = generator(0, "coverage")
    covered, runs = 0, 400
    for _ in range(runs):
        truth = rng.random(80) < 0.5
        seen = truth[:, None] ^ (rng.random((80, 2)) < 0.1)
        ends = alpha_interval([["yes" if one else "no" for one in unit] for unit in seen], rng, draws=300)
        assert ends is not None
        covered += ends[0] <= 1 - 0.18 / 0.5 <= ends[1]
    assert 0.90 <= covered / runs <= 0.98


def test_pairs_everybody_and_a_second_pass_are_counted(tmp_path: Path) -> None:
    make_experiment(tmp_path, runs=1, evaluations=1, tasks=12)
    ids = list(load_stored(tmp_path, SOURCE))

    def judge(by: str, values: str, note: str = "") -> None:
        words = {"y": "yes", "n": "no", "-": "none"}
        marks = [
            {"task_id": task, "source": SOURCE, "value": words[value], "by": by, "note": note}
            for task, value in zip(ids, values, strict=False)
        ]
        add_flags(tmp_path, marks)

    judge("ada", "yynnyynnyynn")
    judge("bob", "yynnyynnyyyy")
    judge("cyd", "y-")
    judge("ada", "yynnyn", "second pass")
    found = {one.who: one for one in agreements(tmp_path)}
    assert list(found) == ["everybody", "ada and bob", "ada and cyd", "bob and cyd", "ada, second pass"]
    both = found["ada and bob"]
    assert both.tasks == 12 and both.agreeing == pytest.approx(10 / 12)
    expected = by_pairs([[a, b] for a, b in zip("yynnyynnyynn", "yynnyynnyyyy", strict=True)])
    assert both.alpha == pytest.approx(expected)
    assert both.low is not None and both.high is not None and both.low <= expected <= both.high
    assert (found["ada and cyd"].tasks, found["ada and cyd"].alpha) == (1, None)
    assert found["ada, second pass"].agreeing == pytest.approx(5 / 6)
    shown = CliRunner().invoke(app, ["flags", "agreement", "--root", str(tmp_path)])
    assert shown.exit_code == 0 and "ada and bob" in shown.output
