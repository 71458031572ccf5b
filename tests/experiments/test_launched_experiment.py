"""The door after a launch: how often anything is read and validated, and that it does not look at today."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.errors import UserError
from core.experiments import launched_experiment
from core.experiments.launched_experiment import LaunchedExperiment
from core.experiments.listing import list_runs
from core.launching.launch import enqueue, prepare
from core.runs import state
from core.specs import spec as specs
from core.specs.spec import ExperimentSpec, Recipe
from core.storage.files import read_json
from tests.specs.partitioned import deal_out_anew, partitioned
from tests.specs.tiny import spec_of

VARIANTS = {"plain": None, "longer": {"training": {"steps": 9}}}


def wide_spec(root: Path) -> ExperimentSpec:
    """Two variants with two seeds each."""
    return spec_of(root, variants=VARIANTS, train_seeds=[0, 1])


def counting(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> Counter[str]:
    """How often a function is called from now on, by its first argument."""
    calls: Counter[str] = Counter()
    honest: Callable[..., Any] = getattr(module, name)

    def counted(first: Any, *arguments: Any, **named: Any) -> Any:
        calls[getattr(first, "__name__", str(first))] += 1
        return honest(first, *arguments, **named)

    monkeypatch.setattr(module, name, counted)
    return calls


def test_preparing_validates_each_recipe_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    validated = counting(monkeypatch, specs, "validated")
    spec = wide_spec(root)
    assert len(prepare(root, spec, ["launch"])) == 4
    assert validated[Recipe.__name__] == 2, "one for each variant, from the file to the records"


def test_enqueueing_reads_each_state_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = wide_spec(root)
    runs = prepare(root, spec, ["launch"])
    read = counting(monkeypatch, state, "read_as_or_none")
    assert enqueue(LaunchedExperiment(root, spec), runs) == runs
    assert sum(count for path, count in read.items() if path.endswith("state.json")) == 4


def test_what_is_left_of_runs_is_known_without_another_look(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(root, wide_spec(root), ["launch"])
    experiment = LaunchedExperiment.open(root, "trial")
    read = counting(monkeypatch, launched_experiment, "read_spec")
    validated = counting(monkeypatch, specs, "validated")
    assert [experiment.stages_left(run) for run in list_runs(root, "trial")] == [
        ["train", "infer", "score"]
    ] * 4
    assert (sum(read.values()), sum(validated.values())) == (0, 0)


def test_a_copy_with_other_settings_has_other_recipes(root: Path) -> None:
    spec = wide_spec(root)
    assert spec.recipe_of("longer") is spec.recipe_of("longer")
    copied = spec.model_copy(update={"variants": {"plain": None, "longer": {"training": {"steps": 11}}}})
    assert (spec.recipe_of("longer").training.steps, copied.recipe_of("longer").training.steps) == (9, 11)
    assert spec == wide_spec(root), "what was resolved is no setting"


def test_tasks_stay_those_of_the_launch_when_a_partition_is_dealt_out_anew(root: Path) -> None:
    spec, asked = partitioned(root)
    prepare(root, spec, ["launch"])
    assert deal_out_anew(root) != asked
    opened = LaunchedExperiment.open(root, "trial")
    assert [task.task_id for task in opened.evaluated] == asked


def test_a_missing_spec_is_a_sentence(root: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        LaunchedExperiment.open(root, "nowhere")


def test_the_kind_of_work_is_recorded_and_an_unknown_one_refused(root: Path) -> None:
    spec = spec_of(root)
    with pytest.raises(UserError, match=r"There is no kind of work 'magic'. Known: pretended, real"):
        prepare(root, spec, ["launch"], work="magic")
    (run,) = prepare(root, spec, ["launch"], work="pretended")
    assert read_json(run.record_file)["work"] == "pretended" and json.loads(run.record_file.read_text())
