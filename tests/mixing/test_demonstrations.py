"""Demonstrations as a source: each is asked from the others, no test pair is ever drawn, and the gate tells
test-time training from a leak."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.arc.tasks import Pair, Task
from core.arc.views import View
from core.curation.canonical import canonical_pair
from core.curation.flags import add_flag
from core.curation.source_names import asked_without_demonstrations, stored_name
from core.curation.sources import content_key, load_tasks, source_fingerprint, tasks_named
from core.curation.stored import SourceInfo, store_source
from core.errors import UserError
from core.mixing.mixtures import (
    Augmentation,
    Gate,
    MixtureSettings,
    SourceShare,
    load_mixture,
    mixture_leaks,
    mixture_tasks,
)

VIEW = View(6, (3, 1, 4, 0, 5, 9, 2, 6, 8, 7))
PLAIN = Augmentation(symmetries=False, colours="none")


def made(task_id: str, source: str, seed: int, pairs: int = 4, side: int = 5) -> Task:
    """A task of random pairs, the last of them its test."""
    rng = np.random.default_rng(seed)
    drawn = [Pair(*rng.integers(0, 6, (2, side, side), dtype=np.uint8)) for _ in range(pairs)]
    return Task(task_id, source, task_id, tuple(drawn[:-1]), (drawn[-1],))


def stored(root: Path, source: str, *tasks: Task) -> None:
    store_source(root, SourceInfo(source, "made up", "1", "none", "0"), tasks)


@pytest.fixture
def asked(tmp_path: Path) -> list[Task]:
    """Six tasks of source `toy`, which are evaluated; the last has a single demonstration."""
    tasks = [made(f"t{n}", "toy", n) for n in range(5)] + [made("t5", "toy", 5, pairs=2)]
    stored(tmp_path, "toy", *tasks)
    return tasks


def share(source: str, **values: object) -> MixtureSettings:
    return MixtureSettings.model_validate(
        {"sources": [{"source": source, **values}], "augmentation": PLAIN.model_dump()}
    )


def gate(root: Path, settings: MixtureSettings, evaluated: list[Task]) -> Gate:
    return mixture_leaks(root, settings, evaluated)


def test_each_demonstration_is_predicted_from_all_others(tmp_path: Path, asked: list[Task]) -> None:
    mixture = load_mixture(tmp_path, share("demos:toy"), 3)
    originals = {task.task_id: task for task in asked}
    questions = set()
    for sample in map(mixture.sample, range(200)):
        task = originals[sample.task_id]
        (question,) = [index for index, pair in enumerate(task.train) if pair == sample.test[0]]
        shown = [index for index, pair in enumerate(task.train) if any(pair == one for one in sample.train)]
        assert shown == [index for index in range(len(task.train)) if index != question]
        assert len(sample.train) == len(task.train) - 1
        questions.add((sample.task_id, question))
    assert len(questions) == 5 * 3 + 1


def test_no_draw_ever_holds_a_test_pair(tmp_path: Path, asked: list[Task]) -> None:
    """Hashed over every drawn pair, with the views that a training draws."""
    for task in asked[:5]:
        add_flag(tmp_path, task.task_id, "toy", "yes", "me")
    sources = (SourceShare(source="demos:toy"), SourceShare(source="reversed:demos:toy"))
    settings = MixtureSettings(sources=sources, augmentation=Augmentation(fewer_demonstrations=True))
    mixture = load_mixture(tmp_path, settings, 0)
    tests = {form for task in asked for pair in task.test for form in _forms(pair)}
    samples = [mixture.sample(number) for number in range(300)]
    drawn = {form for sample in samples for pair in sample.pairs for form in _forms(pair)}
    assert len(drawn) == 2 * (5 * 3 + 1)
    assert not drawn & tests


def _forms(pair: Pair) -> tuple[bytes, bytes]:
    assert pair.output is not None
    return canonical_pair(pair.input, pair.output), canonical_pair(pair.output, pair.input)


def test_a_drawn_number_of_the_others_can_be_shown(tmp_path: Path, asked: list[Task]) -> None:
    settings = share("demos:toy").model_copy(
        update={"augmentation": PLAIN.model_copy(update={"fewer_demonstrations": True})}
    )
    mixture = load_mixture(tmp_path, settings, 3)
    samples = [sample for sample in map(mixture.sample, range(100)) if sample.task_id != "t5"]
    assert {len(sample.train) for sample in samples} == {1, 2}


def test_a_single_demonstration_has_no_others_in_its_prompt_and_is_listed(
    tmp_path: Path, asked: list[Task]
) -> None:
    tasks = list(load_tasks(tmp_path, "demos:toy").values())
    assert asked_without_demonstrations(tasks) == ["t5"]
    drawn = load_mixture(tmp_path, share("demos:toy"), 0)
    alone = next(sample for sample in map(drawn.sample, range(100)) if sample.task_id == "t5")
    assert alone.train == () and alone.test == asked[5].train


def test_a_share_can_be_of_the_evaluated_tasks_only(tmp_path: Path, asked: list[Task]) -> None:
    settings = share("demos:toy", evaluated_only=True)
    assert [task.task_id for task in mixture_tasks(tmp_path, settings, asked[1:3])["demos:toy"]] == [
        "t1",
        "t2",
    ]
    with pytest.raises(UserError, match="evaluated_only"):
        load_mixture(tmp_path, settings, 0)


def test_demonstrations_turned_around_follow_the_flags_and_the_evaluation(
    tmp_path: Path, asked: list[Task]
) -> None:
    before = content_key(tmp_path, "reversed:demos:toy")
    add_flag(tmp_path, "t1", "toy", "yes", "me")
    add_flag(tmp_path, "t4", "toy", "yes", "me")
    settings = share("reversed:demos:toy", evaluated_only=True)
    (turned,) = mixture_tasks(tmp_path, settings, asked[:3])["reversed:demos:toy"]
    assert turned.task_id == "t1-reversed" and turned.test == () and turned.n_train == 2
    assert list(turned.train) == [pair.reverse() for pair in asked[1].train]
    assert content_key(tmp_path, "reversed:demos:toy") != before
    assert tasks_named(tmp_path, "reversed:demos:toy", ["t1-reversed"]) == [turned]
    assert source_fingerprint(tmp_path, "reversed:demos:toy") != source_fingerprint(tmp_path, "reversed:toy")


def test_the_other_order_of_prefixes_is_refused() -> None:
    with pytest.raises(UserError, match="reversed:demos:"):
        stored_name("demos:reversed:toy")


def test_pools_have_no_demonstrations(tmp_path: Path) -> None:
    pool = replace(made("p", "pool", 1), test=(), n_train=2)
    stored(tmp_path, "pool", pool, made("q", "pool", 2))
    assert list(load_tasks(tmp_path, "demos:pool")) == ["q"]


def test_demonstrations_of_evaluated_tasks_are_test_time_training(tmp_path: Path, asked: list[Task]) -> None:
    add_flag(tmp_path, "t1", "toy", "yes", "me")
    seen = (("toy", "t1"), ("toy", "t2"))
    assert gate(tmp_path, share("demos:toy"), asked[1:3]) == Gate((), seen)
    assert gate(tmp_path, share("reversed:demos:toy"), asked[1:3]) == Gate((), seen[:1])
    assert gate(tmp_path, share("demos:toy"), [made("other", "b", 90)]) == Gate((), ())


def test_the_same_demonstrations_under_another_name_are_test_time_training_too(
    tmp_path: Path, asked: list[Task]
) -> None:
    """The gate looks at pairs: a source that repeats the evaluated tasks holds the same demonstrations."""
    stored(tmp_path, "copy", *[replace(VIEW.apply(task), source="copy") for task in asked[:2]])
    assert gate(tmp_path, share("demos:copy"), asked) == Gate((), (("toy", "t0"), ("toy", "t1")))


DISGUISES = (lambda pair: pair, VIEW._pair, Pair.reverse, lambda pair: VIEW._pair(pair.reverse()))


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_demonstration_that_equals_a_test_pair_leaks(
    tmp_path: Path, asked: list[Task], disguise: Callable[[Pair], Pair]
) -> None:
    """Of its own task or of another one, in every disguise."""
    hidden = disguise(asked[3].test[0])
    stored(tmp_path, "b", replace(made("x", "b", 70), train=(*made("x", "b", 70).train, hidden)))
    (leak,) = gate(tmp_path, share("demos:b"), asked).leaks
    assert (leak.task_a, leak.task_b, leak.kind, leak.pairs) == ("x", "t3", "test pair", 1)


def test_a_test_pair_leaks_however_small(tmp_path: Path) -> None:
    dot = np.array([[1, 0], [0, 0]], dtype=np.uint8)
    small = Task("s", "small", "s", (Pair(dot, dot[:1, :1]), Pair(dot, dot)), (Pair(dot.T, 2 * dot[:1, :1]),))
    own = Task("own", "small", "own", (Pair(dot, dot[:1, :1]), Pair(dot, dot)), (Pair(dot, dot[:1, :1]),))
    stored(tmp_path, "small", small, own)
    found = gate(tmp_path, share("demos:small"), [own]).leaks
    assert {(leak.task_a, leak.kind) for leak in found} == {("own", "test pair"), ("s", "test pair")}


def test_twins_of_whole_tasks_still_leak(tmp_path: Path, asked: list[Task]) -> None:
    """Demonstrations of a twin that has other pairs of the same rule are no demonstrations of the task."""
    stored(tmp_path, "twins", replace(made("t0-twin", "twins", 71), family="t0"))
    assert [leak.kind for leak in gate(tmp_path, share("demos:twins"), asked).leaks] == ["same family"]
    stored(tmp_path, "whole", *[replace(task, source="whole") for task in asked])
    assert len(gate(tmp_path, share("whole"), asked).leaks) >= 6
    mixed = MixtureSettings(sources=(SourceShare(source="whole"), SourceShare(source="demos:toy")))
    assert len(gate(tmp_path, mixed, asked).leaks) >= 6


def test_leaving_out_leaks_leaves_the_demonstrations(tmp_path: Path, asked: list[Task]) -> None:
    twisted = replace(
        asked[0], task_id="tt", family="tt", train=(*asked[0].train, VIEW._pair(asked[0].test[0]))
    )
    stored(tmp_path, "toy", *asked, twisted)
    settings = share("demos:toy").model_copy(update={"exclude_leaks_with": ("toy",)})
    assert "tt" not in [task.task_id for task in mixture_tasks(tmp_path, settings)["demos:toy"]]
    found = gate(tmp_path, settings, [*asked, twisted])
    assert found.leaks == () and len(found.test_time) >= 5
    everything = MixtureSettings(
        sources=(SourceShare(source="toy"), SourceShare(source="demos:toy")), exclude_leaks_with=("toy",)
    )
    assert mixture_tasks(tmp_path, everything)["toy"] == []


def test_of_arc_seven_tasks_repeat_a_test_pair_in_their_demonstrations(arc: Path) -> None:
    """00576224 … f3e62deb: up to a recolouring the test is one of the demonstrations."""
    evaluated = list(load_tasks(arc, "arc1/evaluation").values())
    found = gate(arc, share("demos:arc1/evaluation"), evaluated)
    assert {leak.kind for leak in found.leaks} == {"test pair"}
    known = ["00576224", "3979b1a8", "66e6c45b", "94414823", "992798f6", "ca8de6ea", "f3e62deb"]
    assert sorted({leak.task_a for leak in found.leaks}) == known
    assert len(found.test_time) == 400
    settings = share("demos:arc1/evaluation").model_copy(update={"exclude_leaks_with": ("arc1/evaluation",)})
    without = gate(arc, settings, evaluated)
    assert without.leaks == () and len(without.test_time) == 393
