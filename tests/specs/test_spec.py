"""Specs: whatever is wrong in one is a sentence that names file, key and remedy."""

from pathlib import Path
from typing import Any

import pytest

from core.arc.tasks import parse_task
from core.curation.stored import SourceInfo, store_source
from core.errors import UserError
from core.settings import validated
from core.specs.differing_settings import differences
from core.specs.spec import (
    EvaluationSettings,
    checked_spec,
    evaluated_tasks,
    find_spec,
    merged,
    read_spec,
)
from core.yaml_text import parse_yaml
from tests.specs.tiny import spec_file, spec_of
from tests.training.tiny import tiny_spec


def with_value(place: str, value: Any) -> dict[str, Any]:
    """The tiny spec with a value at a dotted place."""
    spec = tiny_spec()
    *path, last = place.split(".")
    inner: Any = spec
    for part in path:
        inner = inner[int(part)] if isinstance(inner, list) else inner.setdefault(part, {})
    inner[last] = value
    return spec


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        ("varients", {}, r"trial.yaml: unknown key 'varients'. Did you mean 'variants'\?"),
        ("evaluation.sorces", [], r"trial.yaml: unknown key 'evaluation.sorces'. Did you mean 'sources'\?"),
        (
            "evaluation.sources.0.max_cels",
            9,
            r"'evaluation.sources.0.max_cels'. Did you mean 'max_cells'\?",
        ),
        ("evaluation.inference.atempts", 9, r"key 'evaluation.inference.atempts'. Did you mean 'attempts'\?"),
        (
            "evaluation.inference.views",
            {"color": "all"},
            r"key 'evaluation.inference.views.color'. Did",
        ),
        (
            "recipe.trainning",
            {},
            r"Experiment 'trial', variant 'plain': unknown key 'trainning'. Did",
        ),
        (
            "recipe.training.stepz",
            9,
            r"'plain': unknown key 'training.stepz'. Did you mean 'steps'\?",
        ),
        ("recipe.training.lora.alfa", 9, r"unknown key 'training.lora.alfa'. Did you mean 'alpha'\?"),
        ("recipe.mixture.sources.0.wheight", 9, r"'mixture.sources.0.wheight'. Did you mean 'weight'\?"),
        ("recipe.prompt.encoding.header", 9, r"key 'prompt.encoding.header'. Did you mean 'shape_header'\?"),
        (
            "variants",
            {"plain": {"zzz": 1}},
            r"unknown key 'zzz'. Known keys: base_model, mixture, prompt",
        ),
        ("baseline", "plane", r"baseline 'plane' is none of plain. Correct it in the file"),
        ("metrics", ["accurracy"], r"'metrics': Unknown metric 'accurracy'. Did you mean 'accuracy'\?"),
        ("metrics", [], r"'metrics': Tuple should have at least 1 item"),
        ("train_seeds", [1, 1], r"'train_seeds': seeds are different whole numbers; one stands there twice"),
        ("eval_seeds", [0, -1], r"'eval_seeds.1': Input should be greater than or equal to 0"),
        ("eval_seeds", ["one"], r"'eval_seeds.0': Input should be a valid integer"),
        ("name", "../x", r"trial.yaml: 'name': String should match pattern"),
        ("name", "a/b", r"trial.yaml: 'name': String should match pattern"),
        ("name", ".trash", r"trial.yaml: 'name': String should match pattern"),
        ("name", "x" * 65, r"trial.yaml: 'name': String should match pattern"),
        (
            "variants",
            {"plain": None, "../x": None},
            r"yaml, variants: 'name': String should match pattern",
        ),
        ("variants", {}, r"'variants': Dictionary should have at least 1 item"),
        ("recipe.base_model", None, r"variant 'plain': 'base_model': Input should be a valid string"),
        (
            "evaluation.sources",
            [{"source": "toy"}, {"source": "toy"}],
            r"'evaluation.sources': source 'toy' is listed twice; its tasks would count twice",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, place: str, value: Any, sentence: str) -> None:
    path = spec_file(tmp_path, **with_value(place, value))
    with pytest.raises(UserError, match=sentence) as problem:
        read_spec(path)
    assert "\n" not in str(problem.value)


def test_equal_runs_can_not_pose_as_a_spread_of_trainings(tmp_path: Path) -> None:
    changes = {"variants": {"plain": {"training": {"method": "none"}}}}
    assert checked_spec(tiny_spec(**changes), "a.yaml").recipe_of("plain").training.method == "none"
    with pytest.raises(UserError, match=r"a\.yaml: variant 'plain' trains nothing, so its runs would all be"):
        checked_spec(tiny_spec(**changes, train_seeds=[0, 1]), "a.yaml")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name: [", r"is no valid YAML \(.+\). Correct the file"),
        ("- 1", r"'the whole file': Input should be a valid dictionary"),
        ("", r"'the whole file': Input should be a valid dictionary"),
        ("name: !!python/object/apply:os.getcwd []", r"is no valid YAML \(.+\). Correct the file"),
        ("name: trial", r"'baseline': Field required. Correct it in the file"),
    ],
)
def test_a_file_that_is_no_spec_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "spec.yaml").write_text(text)
    with pytest.raises(UserError, match=sentence):
        read_spec(tmp_path / "spec.yaml")


def test_a_missing_file_is_named_with_the_known_specs(tmp_path: Path) -> None:
    spec_file(tmp_path)
    assert find_spec(tmp_path, "trial") == find_spec(tmp_path, str(tmp_path / "data/experiments/trial.yaml"))
    (tmp_path / "data/experiments/folder.yaml").mkdir()
    (tmp_path / "data/experiments/gone.yaml").symlink_to("nowhere")
    with pytest.raises(UserError, match=r"no spec 'trail'. Give a file, or one of data/experiments: trial\."):
        find_spec(tmp_path, "trail")
    with pytest.raises(UserError, match=r"absent.yaml does not exist. Check the name"):
        read_spec(tmp_path / "absent.yaml")


def test_a_variant_holds_only_what_differs(tmp_path: Path) -> None:
    changes = {"training": {"steps": 9, "lora": {"alpha": 3.0}}}
    spec = spec_of(tmp_path, variants={"plain": None, "longer": changes})
    plain, longer = spec.recipe_of("plain"), spec.recipe_of("longer")
    assert (longer.training.steps, longer.training.lora.alpha, longer.training.lora.rank) == (9, 3.0, 4)
    assert (plain.training.steps, plain.base_model) == (6, longer.base_model)
    common = {"a": {"b": 1, "c": [1, 2]}}
    assert merged(common, {"a": {"c": [3]}}) == {"a": {"b": 1, "c": [3]}}
    assert common == {"a": {"b": 1, "c": [1, 2]}}


def evaluation(**changes: Any) -> EvaluationSettings:
    return validated(EvaluationSettings, {"sources": [{"source": "toy", **changes}]}, "trial")


def test_excluded_tasks_are_not_evaluated(root: Path) -> None:
    everything = evaluated_tasks(root, evaluation())
    left = evaluated_tasks(root, evaluation(exclude=[everything[1].task_id]))
    assert left == [everything[0], *everything[2:]]
    with pytest.raises(UserError, match="though it is to be excluded"):
        evaluated_tasks(root, evaluation(exclude=["00nosuch"]))


def test_tasks_that_can_not_be_evaluated_are_named(root: Path) -> None:
    assert len(evaluated_tasks(root, evaluation())) == 4
    with pytest.raises(UserError, match=r"No task is left to evaluate. Raise max_cells under evaluation"):
        evaluated_tasks(root, evaluation(max_cells=1))
    record = {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3]]}]}
    store_source(
        root, SourceInfo("toy", "made up", "1", "none", "0"), [parse_task(record, task_id="a", source="toy")]
    )
    with pytest.raises(
        UserError, match=r"Task 'a' of toy has no known answer, so it can't be scored. Evaluate on a source"
    ):
        evaluated_tasks(root, evaluation())


@pytest.mark.parametrize("variant", ["experiment.yaml", "tasks.json", "launches.jsonl"])
def test_a_variant_named_like_a_file_of_its_folder_is_refused(root: Path, variant: str) -> None:
    with pytest.raises(UserError, match=r"is named like a file of the experiment's folder. Choose"):
        spec_of(root, variants={"plain": None, variant: None})


def test_a_key_that_stands_twice_is_named_with_its_line() -> None:
    with pytest.raises(UserError, match=r"line 4: the key 'steps' stands there twice\). Correct the file"):
        parse_yaml("name: x\ntraining:\n  steps: 1\n  steps: 2\n", "The spec")
    with pytest.raises(UserError, match="the key 'a' stands there twice"):
        parse_yaml("- {a: 1, b: 2, a: 3}\n", "The spec")


def test_a_merged_mapping_may_be_overridden() -> None:
    text = "common: &c {steps: 1, rate: 2}\none: {<<: *c, steps: 3}\ntwo: {<<: *c}\n"
    assert parse_yaml(text, "The spec")["one"] == {"steps": 3, "rate": 2}
    assert parse_yaml(text, "The spec")["two"] == {"steps": 1, "rate": 2}


def test_settings_that_a_variant_does_without_are_told(tmp_path: Path) -> None:
    longer = {"test_time": {"steps": 5, "replay": 0.5}}
    for variants in (
        {"plain": {}, "short": {"test_time": {"steps": 5}}, "mixed": longer},
        {"mixed": longer, "plain": {}, "short": {"test_time": {"steps": 5}}},
    ):
        spec = spec_of(tmp_path, variants=variants, baseline="plain")
        found = {one.key: one.values for one in differences(spec)}
        assert found == {
            "test_time": {"plain": "–", "short": "yes", "mixed": "yes"},
            "test_time.steps": {"plain": "–", "short": "5", "mixed": "5"},
            "test_time.replay": {"plain": "–", "short": "0", "mixed": "0.5"},
        }
