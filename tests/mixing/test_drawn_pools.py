"""Pools are evaluated on tasks drawn from them, whose pairs no mixture draws."""

from dataclasses import replace
from pathlib import Path

import pytest

from core.arc.tasks import Task
from core.checks.leak_warnings import notices
from core.curation.source_names import stored_name
from core.curation.sources import load_tasks
from core.errors import UserError
from core.experiments.frozen_tasks import read_frozen
from core.launching import launch as launch_module
from core.launching.launch import launch
from core.mixing import demonstrations
from core.mixing.demonstrations import are_among, pair_form, without_pairs
from core.mixing.mixtures import MixtureSettings, SourceShare, load_mixture, mixture_leaks
from core.specs.spec import EvaluationSettings, evaluated_tasks
from tests.specs.tiny import spec_of
from tests.training.tiny import tiny_root, tiny_spec

from .test_demonstrations import VIEW, made, stored


def pool(task_id: str, seed: int) -> Task:
    """Twelve random pairs, of which two are disguises of others."""
    task = made(task_id, "pool", seed, pairs=11, side=3)
    pairs = task.pairs
    return replace(task, train=(*pairs, VIEW._pair(pairs[0]), pairs[1].reverse()), test=(), n_train=2)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tiny_root(tmp_path)
    stored(root, "pool", *[pool(f"p{n}", n) for n in range(5)])
    return root


def evaluation(*sources: str, **values: object) -> EvaluationSettings:
    return EvaluationSettings.model_validate({"sources": [{"source": one, **values} for one in sources]})


def test_a_task_is_drawn_from_each_pool_and_stays_the_same(root: Path) -> None:
    tasks = evaluated_tasks(root, evaluation("drawn:pool"))
    pools = load_tasks(root, "pool")
    assert [task.task_id for task in tasks] == list(pools)
    for task in tasks:
        assert (len(task.train), len(task.test), task.n_train) == (2, 1, None)
        assert all(any(pair == one for one in pools[task.task_id].train) for pair in task.pairs)
    assert tasks == evaluated_tasks(root, evaluation("drawn:pool"))


@pytest.mark.parametrize("sources", [["pool"], ["pool", "toy"]])
def test_a_pool_is_not_dropped_in_silence(root: Path, sources: list[str]) -> None:
    with pytest.raises(UserError, match=r"5 tasks of 'pool' are pools.*drawn:pool"):
        evaluated_tasks(root, evaluation(*sources))
    assert len(evaluated_tasks(root, evaluation(*sources, "drawn:pool"))) == 5 + 4 * ("toy" in sources)


def test_no_mixture_draws_a_pair_that_is_evaluated(root: Path) -> None:
    tasks = evaluated_tasks(root, evaluation("drawn:pool"))
    hidden = {pair_form(pair) for task in tasks for pair in task.pairs}
    settings = MixtureSettings(sources=(SourceShare(source="pool"),))
    mixture = load_mixture(root, settings, 0, tasks)
    samples = [mixture.sample(number) for number in range(300)]
    drawn = {pair_form(pair) for sample in samples for pair in sample.pairs}
    assert len(drawn) > 5 * 5
    assert not drawn & hidden


def test_the_gate_calls_them_known_rules_and_a_shared_pair_a_leak(root: Path) -> None:
    settings = MixtureSettings(sources=(SourceShare(source="pool"),))
    tasks = evaluated_tasks(root, evaluation("drawn:pool"))
    found = mixture_leaks(root, settings, tasks)
    assert found.leaks == () and len(found.known_rules) == 5
    stored(root, "copy", replace(load_tasks(root, "pool")["p0"], source="copy"))
    copied = MixtureSettings(sources=(SourceShare(source="copy"),))
    assert [leak.task_b for leak in mixture_leaks(root, copied, tasks).leaks] == ["p0"]


def test_equal_pairs_go_in_every_disguise() -> None:
    pairs = made("t", "s", 3, pairs=6).pairs
    others = [VIEW._pair(pairs[1]), pairs[2].reverse(), VIEW._pair(pairs[3].reverse())]
    assert without_pairs(pairs, others) == [pairs[0], pairs[4], pairs[5]]
    assert without_pairs([], others) == []


def test_forms_are_made_of_pairs_that_may_be_equal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four hundred tasks against all their test pairs took minutes when each made the forms of all."""
    pairs, others = made("t", "s", 5, pairs=6).pairs, made("u", "s", 6, pairs=6).pairs
    formed = []
    monkeypatch.setattr(demonstrations, "pair_form", lambda pair: formed.append(pair) or pair_form(pair))
    assert are_among(pairs, [*others, VIEW._pair(pairs[1].reverse())]) == [n == 1 for n in range(6)]
    assert len(formed) == 2


def test_drawn_pairs_are_frozen_and_reported(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch_module, "ensure_worker", lambda _: None)
    recipe = {**tiny_spec()["recipe"], "mixture": {"sources": [{"source": "pool"}]}}
    evaluated = {**tiny_spec()["evaluation"], "sources": [{"source": "drawn:pool"}]}
    spec = spec_of(root, allow_leaks=False, recipe=recipe, evaluation=evaluated)
    launch(root, spec, ["launch"])
    frozen = read_frozen(root, "trial")
    assert frozen is not None
    asked = {pair_form(pair) for task in frozen.load_evaluated(root) for pair in task.pairs}
    trained = frozen.load_trained(root, "plain", spec.recipe_of("plain").mixture)["pool"]
    assert not asked & {pair_form(pair) for task in trained for pair in task.train}
    assert notices(root, "trial") == [
        "Known rules: trained on other pairs of the evaluated pools were 'plain' on those of 5 tasks."
    ]
    stored(root, "pool", *[pool(f"p{n}", n + 10) for n in range(5)])
    with pytest.raises(UserError, match="changed since the launch"):
        frozen.load_evaluated(root)


def test_what_is_drawn_goes_with_no_other_prefix() -> None:
    assert stored_name("drawn:pool") == "pool"
    for name in ("reversed:drawn:pool", "drawn:demos:pool"):
        with pytest.raises(UserError, match="no name for a source"):
            stored_name(name)
