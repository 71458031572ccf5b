"""Mixtures: a stream that depends on seed and number alone, with the shares that were asked for."""

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.arc.tasks import Task, parse_task
from core.curation.stored import SourceInfo, store_source
from core.errors import UserError
from core.mixing.mixtures import Augmentation, Mixture, MixtureSettings, SourceShare, load_mixture
from core.settings import validated
from tests.curation.conftest import make_task
from tests.curation.test_leaks import random_task
from tests.patience import slowness

PLAIN = Augmentation(symmetries=False, colours="none", pair_order=False, swap_train_test=False)


def mixture(tasks: list[Task], augmentation: Augmentation, seed: int = 1) -> Mixture:
    settings = MixtureSettings(sources=(SourceShare(source="toy"),), augmentation=augmentation)
    return Mixture({"toy": tasks}, settings, seed)


def pool_task(n_train: int = 3) -> Task:
    pairs = [{"input": [[n]], "output": [[n, n]]} for n in range(10)]
    return parse_task({"train": pairs, "n_train": n_train}, task_id="pool", source="toy")


def test_a_sample_depends_on_seed_and_number_alone(root: Path) -> None:
    settings = MixtureSettings(sources=(SourceShare(source="toy"),))
    forwards = [load_mixture(root, settings, 5).sample(number) for number in range(20)]
    other = load_mixture(root, settings, 5)
    assert [other.sample(number) for number in reversed(range(20))] == forwards[::-1]
    assert [load_mixture(root, settings, 6).sample(number) for number in range(20)] != forwards
    np.random.seed(0)  # noqa: NPY002 - global seeds must not matter
    assert other.sample(3) == forwards[3]


def test_without_augmentation_the_task_itself_is_the_sample() -> None:
    task = make_task("a", tests=2, demonstrations=3)
    samples = [mixture([task], PLAIN).sample(number) for number in range(40)]
    assert all(sample.train == task.train and len(sample.test) == 1 for sample in samples)
    asked = {sample.test[0].input.tobytes() for sample in samples}
    assert asked == {pair.input.tobytes() for pair in task.test}


def test_swapping_keeps_both_orders() -> None:
    task = make_task("a", tests=1, demonstrations=3)
    swap = PLAIN.model_copy(update={"swap_train_test": True})
    samples = [mixture([task], swap).sample(number) for number in range(400)]
    asked = Counter(sample.test[0].input.tobytes() for sample in samples)
    assert set(asked) == {pair.input.tobytes() for pair in task.pairs}
    assert all(60 < count < 140 for count in asked.values())
    for sample in samples:
        assert len(sample.train) == 3
        assert {p.input.tobytes() for p in sample.pairs} == {p.input.tobytes() for p in task.pairs}


def test_demonstrations_come_in_every_order() -> None:
    task = make_task("a", demonstrations=3)
    shuffled = PLAIN.model_copy(update={"pair_order": True})
    orders = {
        tuple(pair.input.tobytes() for pair in mixture([task], shuffled).sample(number).train)
        for number in range(60)
    }
    assert len(orders) == 6


@pytest.mark.parametrize("swap", [True, False])
def test_a_pool_draws_its_number_of_demonstrations_and_another_pair(swap: bool) -> None:
    stream = mixture([pool_task()], Augmentation(swap_train_test=swap))
    for number in range(50):
        sample = stream.sample(number)
        assert (len(sample.train), len(sample.test), sample.n_train) == (3, 1, None)
        assert len({pair.input.tobytes() for pair in sample.pairs}) >= 3


def test_all_views_appear_and_black_stays_black() -> None:
    grid = [[0, 1, 2], [3, 4, 5]]
    record = {"train": [{"input": grid, "output": grid}], "test": [{"input": grid, "output": grid}]}
    task = parse_task(record, task_id="a", source="toy")
    black = Augmentation(symmetries=True, colours="keep_black")
    seen = [mixture([task], black).sample(number).test[0] for number in range(200)]
    places = {(pair.input.shape, tuple(np.argwhere(pair.input == 0)[0])) for pair in seen}
    assert len(places) == 8
    assert all((pair.input == pair.output).all() for pair in seen)
    every = mixture([task], Augmentation(symmetries=False, colours="all"))
    assert len({int(every.sample(number).test[0].input[0, 0]) for number in range(200)}) == 10


def test_shares_follow_the_weights() -> None:
    shares = (SourceShare(source="a", weight=3), SourceShare(source="b"))
    tasks = {"a": [make_task("a")], "b": [make_task(f"b{n}") for n in range(50)]}
    stream = Mixture(tasks, MixtureSettings(sources=shares), seed=0)
    counts = Counter(stream.sample(number).task_id[0] for number in range(2000))
    assert 0.71 < counts["a"] / 2000 < 0.79


def test_large_tasks_and_tasks_without_answers_are_left_out(root: Path) -> None:
    turned = MixtureSettings.model_validate({"sources": [{"source": "reversed:toy"}]})
    with pytest.raises(UserError, match="flag tasks of 'toy' on Curate or remove the source"):
        Mixture({"reversed:toy": []}, turned, 0)
    with pytest.raises(UserError, match=r"draws from 'toy', but no task of it is left. Raise max_cells"):
        load_mixture(root, MixtureSettings(sources=(SourceShare(source="toy", max_cells=5),)), 1)
    with pytest.raises(UserError, match="There is no source 'tay'"):
        load_mixture(root, MixtureSettings(sources=(SourceShare(source="tay"),)), 1)


def test_large_pairs_are_left_out_and_tasks_that_lose_too_many(root: Path) -> None:
    wide = [{"input": [[n] * width], "output": [[n]]} for n, width in enumerate((1, 2, 3, 8, 9))]
    pool = parse_task({"train": wide, "n_train": 3}, task_id="pool", source="mixed")
    plain = parse_task({"train": wide[1:3], "test": wide[3:4]}, task_id="plain", source="mixed")
    large = parse_task({"train": wide[2:4], "test": wide[4:5]}, task_id="large", source="mixed")
    store_source(root, SourceInfo("mixed", "made up", "1", "none", "0"), [pool, plain, large])

    def kept(most: int | None) -> dict[str, list[int]]:
        settings = MixtureSettings(sources=(SourceShare(source="mixed", max_pair_cells=most),))
        drawn = load_mixture(root, settings, 0)
        widths: dict[str, set[int]] = {}
        for number in range(100):
            task = drawn.sample(number)
            widths.setdefault(task.task_id, set()).update(max(p.input.shape) for p in task.pairs)
        return {task_id: sorted(seen) for task_id, seen in sorted(widths.items())}

    assert kept(None) == {"large": [3, 8, 9], "plain": [2, 3, 8], "pool": [1, 2, 3, 8, 9]}
    assert kept(9) == {"large": [3, 8], "plain": [2, 3, 8], "pool": [1, 2, 3, 8]}
    assert kept(4) == {"plain": [2, 3], "pool": [1, 2, 3]}
    with pytest.raises(UserError, match="no task of it is left"):
        kept(1)


def test_whole_families_that_give_away_an_evaluation_are_left_out(root: Path) -> None:
    """A twin, its pool under the same family, and what is evaluated itself."""
    held = random_task("held", "exam", 1)
    twin = replace(random_task("twin", "train", 2), train=held.train)
    other = random_task("other", "train", 3)
    pool = Task("twin", "pools", "twin", random_task("p", "p", 4, pairs=6).pairs, (), 2)
    free = Task("free", "pools", "free", random_task("q", "q", 5, pairs=6).pairs, (), 2)
    for name, tasks in {"exam": [held], "train": [twin, other], "pools": [pool, free]}.items():
        store_source(root, SourceInfo(name, "made up", "1", "none", "0"), tasks)

    def left(*evaluated: str) -> set[tuple[str, str]]:
        shares = (SourceShare(source="train"), SourceShare(source="pools"))
        settings = MixtureSettings(sources=shares, exclude_leaks_with=evaluated)
        drawn = load_mixture(root, settings, 0)
        return {(task.source, task.task_id) for task in map(drawn.sample, range(60))}

    assert left() == {("train", "twin"), ("train", "other"), ("pools", "twin"), ("pools", "free")}
    assert left("exam") == {("train", "other"), ("pools", "free")}
    with pytest.raises(UserError, match="no task of it is left"):
        left("pools", "train")
    with pytest.raises(UserError, match="exams"):
        left("exams")


def test_a_source_is_listed_once() -> None:
    with pytest.raises(UserError, match="source 'toy' is listed twice; give it one weight"):
        validated(MixtureSettings, {"sources": [{"source": "toy"}, {"source": "toy"}]}, "spec.yaml")
    with pytest.raises(UserError, match=r"unknown key 'sources.0.wheight'. Did you mean 'weight'"):
        validated(MixtureSettings, {"sources": [{"source": "toy", "wheight": 2}]}, "spec.yaml")


def test_samples_are_drawn_faster_than_a_model_reads_them(root: Path) -> None:
    stream = load_mixture(root, MixtureSettings(sources=(SourceShare(source="toy"),)), 1)
    started = time.process_time()
    for number in range(1000):
        stream.sample(number)
    assert time.process_time() - started < slowness() / 2
