"""What a launch will detect, by the std between runs of an earlier experiment."""

from pathlib import Path

import pytest

from core.errors import UserError
from core.preflight.pilot_noise import pilot
from core.preflight.power import detectable
from core.results.loading import load_scores
from core.specs.spec import read_spec
from core.spread.planning import detectable_difference
from core.synthetic.experiments import make_experiment


def test_an_earlier_experiment_of_the_same_kind_is_the_pilot(project: Path) -> None:
    spec = read_spec(project / "runs" / "my-question" / "experiment.yaml")
    metric = spec.metrics[0]
    known = pilot(load_scores(project, "my-question"), metric)
    next_one = spec.model_copy(update={"name": "next", "train_seeds": (0, 1, 2, 3, 4)})
    found = detectable(project, next_one)
    assert found is not None and (found.experiment, found.metric) == ("my-question", metric)
    assert (found.design.runs, found.design.variants, found.pilot) == (5, len(spec.variants), known)
    assert found.difference == detectable_difference(known.noise_for(found.design), 5, len(spec.variants))
    assert f"With 5 runs of each of {len(spec.variants)} variants" in found.sentence
    assert "with 10 runs" in found.sentence and "degrees of freedom tell the noise" in found.sentence


def test_the_noise_is_carried_over_to_the_design_that_is_launched(project: Path) -> None:
    spec = read_spec(project / "runs" / "my-question" / "experiment.yaml")
    here = detectable(project, spec)
    once = detectable(project, spec.model_copy(update={"name": "next", "eval_seeds": (0,)}))
    assert here is not None and once is not None and here.difference and once.difference
    assert once.difference >= here.difference and "carried over to" in once.sentence


def test_noise_of_runs_evaluated_once_is_not_carried_over(tmp_path: Path) -> None:
    spec = make_experiment(tmp_path, runs=3, evaluations=1, tasks=6)
    found = detectable(tmp_path, spec.model_copy(update={"eval_seeds": (0, 1)}))
    assert found is not None and not found.pilot.carries_over
    assert "carried over" not in found.sentence and "evaluated once can't tell" in found.sentence


def test_one_run_detects_nothing_and_the_sentence_states_it(project: Path) -> None:
    spec = read_spec(project / "runs" / "my-question" / "experiment.yaml")
    found = detectable(project, spec.model_copy(update={"train_seeds": (0,)}))
    assert found is not None and found.difference is None
    assert "One run per variant shows no difference" in found.sentence


def test_runs_that_all_scored_the_same_tell_nothing_of_noise(tmp_path: Path) -> None:
    spec = make_experiment(tmp_path, runs=2, evaluations=1, tasks=4, skills={"plain": -60})
    with pytest.raises(UserError, match="can't tell how large the noise of accuracy is"):
        pilot(load_scores(tmp_path, spec.name), "accuracy")
    assert detectable(tmp_path, spec) is None


@pytest.mark.parametrize("change", ["base", "source"])
def test_another_kind_of_experiment_is_no_pilot(project: Path, change: str) -> None:
    spec = read_spec(project / "runs" / "my-question" / "experiment.yaml")
    plain = spec.model_dump(mode="json")
    if change == "base":
        plain["recipe"]["base_model"] = "another"
    else:
        plain["evaluation"]["sources"] = [{"source": "elsewhere"}]
    assert detectable(project, type(spec).model_validate({**plain, "name": "next"})) is None


def test_an_experiment_without_any_evaluation_is_no_pilot(tmp_path: Path) -> None:
    spec = make_experiment(tmp_path, runs=1, evaluations=1, tasks=2)
    for path in (tmp_path / "runs").rglob("scores.parquet"):
        path.unlink()
    assert detectable(tmp_path, spec) is None
