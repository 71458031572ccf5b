"""A launch with template pair is refused where a task would have no token, or the canvas is another."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.arc.tasks import Pair
from core.curation.sources import load_tasks
from core.curation.stored import SourceInfo, store_source
from core.errors import UserError
from core.experiments.frozen_tasks import freeze
from core.launching.launch import leaks_of
from core.preflight.cautions import cautions_of
from core.preflight.pair_requirements import check_pairs
from core.specs.spec import ExperimentSpec, checked_spec, merged
from core.training.models import ModelShape, init_model
from tests.training.tiny import tiny_root, tiny_spec

SHAPE = ModelShape(hidden_size=32, layers=1, heads=1, mlp_size=32, context=64, positions="grid", canvas=4)


def checked(root: Path, **changes: Any) -> ExperimentSpec:
    recipe = {
        "base_model": "grid",
        "prompt": {"template": "pair", "encoding": {"canvas": 4}},
        "mixture": {"sources": [{"source": "demos:toy"}]},
    }
    common = merged(tiny_spec()["recipe"], merged(recipe, changes))
    spec = checked_spec(tiny_spec(recipe=common), "test")
    check_pairs(root, spec, freeze(root, spec))
    return spec


def test_evaluated_tasks_without_a_token_are_named(tmp_path: Path) -> None:
    root = tiny_root(tmp_path, model=False)
    init_model(root / "data" / "models" / "grid", SHAPE, 0)
    checked(root)
    fewer = {"sources": [{"source": "demos:toy", "exclude": ["00000002"]}]}
    (said,) = [one for one in cautions_of(root, checked(root, mixture=fewer)) if "token," in one]
    assert said.startswith("1 of 4 evaluated tasks have no token") and said.endswith("wrong: 00000002.")
    with pytest.raises(UserError, match=r"a token for none .* Add .* mixture: demos:toy."):
        checked(root, training={"method": "none"})


def test_evaluated_tasks_that_test_time_training_can_t_learn_are_named(tmp_path: Path) -> None:
    root = tiny_root(tmp_path, model=False)
    init_model(root / "data" / "models" / "grid", SHAPE, 0)
    large = Pair(np.arange(5, dtype=np.uint8)[None], np.arange(5, dtype=np.uint8)[:, None])
    known = load_tasks(root, "toy")["00000000"]
    wide = replace(known, task_id="wide", family="wide", train=(large,))
    store_source(root, SourceInfo("toy", "made up", "1", "none", "0"), [known, wide])
    without = {"sources": [{"source": "demos:toy", "exclude": ["wide"]}]}
    spec = checked(root, mixture=without, training={"method": "none"}, test_time={"method": "full"})
    (said,) = [one for one in cautions_of(root, spec) if "token," in one]
    assert said.startswith("1 of 2 evaluated tasks have no token") and said.endswith("wrong: wide.")
    assert leaks_of(root, spec)[spec.baseline].test_time == (
        ("toy", "00000000"),
    )  # nobody sees what does not fit


def test_the_canvas_is_the_model_s(tmp_path: Path) -> None:
    root = tiny_root(tmp_path, model=False)
    init_model(root / "data" / "models" / "grid", SHAPE, 0)
    with pytest.raises(UserError, match=r"positions on a canvas of 4. Set prompt.encoding.canvas to 4"):
        checked(root, prompt={"encoding": {"canvas": 5}})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"mixture": {"augmentation": {"composed": ["padding"]}}}, "leave out composed"),
        ({"training": {"loss_on": "outputs"}}, "training.loss_on to answer"),
        ({"training": {"validation": {"every": 2}}}, "validation.hold_out to pairs"),
        ({"training": {"lora": {"init": "olora"}}}, "training.lora.init to zero"),
    ],
)
def test_settings_that_contradict_the_pair_template_are_refused(
    tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    with pytest.raises(UserError, match=why):
        checked(tiny_root(tmp_path, model=False), **changes)
